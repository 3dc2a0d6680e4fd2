// The signer of kubernetes.io/kube-apiserver-client: approved requests get a certificate of the cluster's CA. After
// kubernetes/pkg/controller/certificates/signer. Left out: the kubelets' signers (kubelets need no certificate here), and the
// controllers that approve theirs and clean up.
import { type CertificateSigningRequest, CLIENT_SIGNER, hasCondition } from '../api/certificates-v1.ts';
import { CERTIFICATESIGNINGREQUESTS } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Informer } from '../client/informer.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';

/** Signs a PKCS #10 request in base64 of PEM; the certificate comes back likewise. Rejects for one that is not sound. */
export type SignClient = (request: string, seconds: number) => Promise<string>;

const CLIENT_AUTH = 'client auth';
const ALLOWED = new Set(['digital signature', 'key encipherment', CLIENT_AUTH]);
const YEAR_S = 365 * 24 * 3600;

export class CertificateSigner implements Controller {
  readonly #ctx: ControllerContext;
  readonly #sign: SignClient;
  readonly #requests: Informer<CertificateSigningRequest>;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext, sign: SignClient) {
    this.#ctx = ctx;
    this.#sign = sign;
    this.#requests = ctx.informers.of(CERTIFICATESIGNINGREQUESTS);
    this.#loop = new ControlLoop(ctx, 'certificate signer', (name) => this.#sync(name));
    const enqueue = ({ metadata }: CertificateSigningRequest): void => this.#loop.queue.add(metadata.name!);
    this.#requests.addHandler({ add: enqueue, update: (_, request) => enqueue(request) });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(name: string): Promise<void> {
    const request = this.#requests.get(name);
    if (!request || request.spec.signerName !== CLIENT_SIGNER || request.status?.certificate) return;
    if (!hasCondition(request, 'Approved') || hasCondition(request, 'Denied') || hasCondition(request, 'Failed'))
      return;
    const { usages = [], expirationSeconds = YEAR_S } = request.spec;
    const sound = usages.includes(CLIENT_AUTH) && usages.every((usage) => ALLOWED.has(usage));
    const status = sound
      ? await this.#issue(request, expirationSeconds)
      : this.#failed(request, `invalid usages for client certificate: ${usages.join(', ')}`);
    await tolerate(this.#ctx.client.update(CERTIFICATESIGNINGREQUESTS, { ...request, status }, 'status'), 'NotFound');
  }

  async #issue(
    request: CertificateSigningRequest,
    seconds: number,
  ): Promise<CertificateSigningRequest['status'] & object> {
    try {
      const certificate = await this.#sign(request.spec.request, Math.min(seconds, YEAR_S));
      return { ...request.status, certificate };
    } catch (error) {
      return this.#failed(request, (error as Error).message);
    }
  }

  #failed({ status }: CertificateSigningRequest, message: string): CertificateSigningRequest['status'] & object {
    const now = formatTime(this.#ctx.clock.unixMs());
    const times = { lastUpdateTime: now, lastTransitionTime: now };
    const condition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message, ...times };
    return { ...status, conditions: [...(status?.conditions ?? []), condition] };
  }
}
