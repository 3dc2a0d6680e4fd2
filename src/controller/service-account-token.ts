// The tokens controller: a Secret of type kubernetes.io/service-account-token that names an account gets a token for it, the CA
// and the Namespace, and goes when the account goes. After kubernetes/pkg/controller/serviceaccount/tokens_controller.go (1.32).
// Deviation: the token is one that is bound to the Secret and holds for a century, not one of the old kind without an end.
import type { Secret, ServiceAccount } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { SECRETS, SERVICEACCOUNTS } from '../api/resources.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import { BY_NAMESPACE, type Controller, type ControllerContext } from './context.ts';
import { ControlLoop, splitKey, tolerate } from './control-loop.ts';

const TYPE = 'kubernetes.io/service-account-token';
const ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const ACCOUNT_UID = 'kubernetes.io/service-account.uid';
const CENTURY_S = 100 * 365 * 24 * 3600;

export class ServiceAccountTokenController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #rootCA: Promise<string>;
  readonly #secrets: Informer<Secret>;
  readonly #accounts: Informer<ServiceAccount>;
  readonly #loop: ControlLoop;

  /** `rootCA`: PEM, once there is one. */
  constructor(ctx: ControllerContext, rootCA: Promise<string>) {
    this.#ctx = ctx;
    this.#rootCA = rootCA;
    this.#secrets = ctx.informers.of(SECRETS);
    this.#accounts = ctx.informers.of(SERVICEACCOUNTS);
    this.#loop = new ControlLoop(ctx, 'service account token', (key) => this.#sync(key));
    const enqueue = (secret: Stored<Secret>): void => {
      if (secret.type === TYPE) this.#loop.queue.add(keyOf(secret));
    };
    this.#secrets.addHandler({ add: enqueue, update: (_, secret) => enqueue(secret) });
    const enqueueSecrets = ({ metadata }: Stored<ServiceAccount>): void => {
      for (const secret of this.#secrets.byIndex(BY_NAMESPACE, metadata.namespace!)) {
        if (accountOf(secret) === metadata.name) enqueue(secret);
      }
    };
    this.#accounts.addHandler({ add: enqueueSecrets, delete: enqueueSecrets });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const secret = this.#secrets.get(key);
    if (!secret || secret.metadata.deletionTimestamp) return;
    const [namespace, name] = splitKey(key);
    const { client } = this.#ctx;
    const { uid, annotations = {} } = secret.metadata;
    const account = await client.list(SERVICEACCOUNTS, {
      namespace,
      fieldSelector: `metadata.name=${accountOf(secret)}`,
    });
    const found = account.items[0];
    if (!found || (annotations[ACCOUNT_UID] && annotations[ACCOUNT_UID] !== found.metadata.uid)) {
      await tolerate(client.delete(SECRETS, namespace, name, { preconditions: { uid } }), 'NotFound', 'Conflict');
      return;
    }
    const { data = {} } = secret;
    const text = { 'ca.crt': await this.#rootCA, namespace };
    const wanted = Object.fromEntries(Object.entries(text).map(([k, v]) => [k, Buffer.from(v).toString('base64')]));
    const same = Object.entries(wanted).every(([k, v]) => data[k] === v);
    if (same && data['token'] && annotations[ACCOUNT_UID]) return;
    const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name, uid };
    const spec = { expirationSeconds: CENTURY_S, boundObjectRef };
    const { status } = await client.createToken(namespace, found.metadata.name, spec);
    const metadata = { annotations: { [ACCOUNT_UID]: found.metadata.uid } };
    const patch = {
      metadata,
      data: { ...wanted, token: data['token'] ?? Buffer.from(status.token).toString('base64') },
    };
    await tolerate(client.patch(SECRETS, namespace, name, 'merge', patch), 'NotFound');
  }
}

function accountOf({ metadata }: Secret): string {
  return metadata.annotations?.[ACCOUNT_NAME] ?? '';
}
