// serviceaccounts/NAME/token: authentication.k8s.io/v1 TokenRequest, what `kubectl create token` and kubelets send. After
// kubernetes/pkg/registry/core/serviceaccount/storage/token.go and pkg/apis/authentication/validation.
import type { BoundObjectReference, TokenRequest, TokenRequestSpec } from '../../api/authentication-v1.ts';
import type { Pod, ServiceAccount } from '../../api/core-v1.ts';
import type { ResourceType, Stored } from '../../api/meta.ts';
import { NODES, PODS, SECRETS } from '../../api/resources.ts';
import { badRequest, notFound, StatusError } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import type { Lookup } from '../admission/admission.ts';
import { type Bound, ISSUER, type ServiceAccountTokens } from './tokens.ts';

/** As the real server: a token lives an hour unless asked otherwise, and ten minutes at least. */
const DEFAULT_SECONDS = 3600;
const MIN_SECONDS = 600;
const MAX_SECONDS = 2 ** 32;
/** What kubelets ask for, by which the server knows them, and how long it then really holds. */
const POD_SECONDS = 3607;
const POD_REAL_SECONDS = 365 * 24 * 3600;

/** The TokenRequest with its status. Throws StatusError 400, 404, 409 or 422. */
export async function requestToken(
  account: Stored<ServiceAccount>,
  body: unknown,
  tokens: ServiceAccountTokens,
  lookup: Lookup,
  nowMs: number,
): Promise<TokenRequest> {
  const { spec } = (body ?? {}) as { spec?: TokenRequestSpec | null };
  const { audiences = [], boundObjectRef } = spec ?? {};
  const { name, namespace } = account.metadata;
  if (!Array.isArray(audiences) || !audiences.every((audience) => typeof audience === 'string')) {
    throw badRequest('spec.audiences: Invalid value: expected a list of strings');
  }
  const seconds = secondsOf(spec?.expirationSeconds, name);
  const bound = boundObjectRef?.kind ? await bind(account, boundObjectRef, lookup) : {};
  const ours = audiences.length === 0 || audiences.includes(ISSUER);
  const extended = bound.pod && seconds === POD_SECONDS && ours;
  const times = extended ? { seconds: POD_REAL_SECONDS, warnAfterSeconds: seconds } : { seconds };
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace: namespace!, creationTimestamp: formatTime(nowMs) },
    spec: {
      audiences: audiences.length > 0 ? audiences : [ISSUER],
      expirationSeconds: seconds,
      boundObjectRef: boundObjectRef ?? null,
    },
    status: {
      token: tokens.issue(account, audiences, times, bound, nowMs),
      expirationTimestamp: formatTime(nowMs + seconds * 1000),
    },
  };
}

function secondsOf(asked: unknown, name: string): number {
  const seconds = asked === undefined || asked === 0 ? DEFAULT_SECONDS : asked;
  if (typeof seconds !== 'number' || !Number.isInteger(seconds)) {
    throw badRequest('spec.expirationSeconds: Invalid value: expected a whole number');
  }
  const wrong =
    seconds < MIN_SECONDS
      ? 'may not specify a duration less than 10 minutes'
      : seconds > MAX_SECONDS
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined;
  if (!wrong) return seconds;
  const message = `spec.expirationSeconds: Invalid value: ${seconds}: ${wrong}`;
  throw new StatusError('Invalid', 422, `TokenRequest.authentication.k8s.io "${name}" is invalid: ${message}`);
}

async function bind(account: Stored<ServiceAccount>, ref: BoundObjectReference, lookup: Lookup): Promise<Bound> {
  const { kind = '', apiVersion = '', name = '', uid } = ref;
  const type: ResourceType | undefined =
    apiVersion === 'v1' ? [PODS, NODES, SECRETS].find((candidate) => candidate.kind === kind) : undefined;
  if (!type) {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    throw badRequest(`cannot bind token to object of type ${group}/${version}, Kind=${kind}`);
  }
  const { namespace } = account.metadata;
  const object = (await lookup.find(type, type.namespaced ? namespace : undefined, name)) as Stored<Pod> | undefined;
  if (!object) throw notFound(type, name);
  if (uid && uid !== object.metadata.uid) {
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw new StatusError('Conflict', 409, `Operation cannot be fulfilled on ${kind} "${name}": ${why}`, {
      name,
      kind,
    });
  }
  const reference = { name, uid: object.metadata.uid };
  if (kind === 'Secret') return { secret: reference };
  if (kind === 'Node') return { node: reference };
  if (object.spec.serviceAccountName !== account.metadata.name) {
    throw badRequest(
      `cannot bind token for serviceaccount "${account.metadata.name}" to pod running with different serviceaccount name.`,
    );
  }
  const { nodeName } = object.spec;
  const node = nodeName ? await lookup.find(NODES, undefined, nodeName) : undefined;
  return { pod: reference, ...(node?.metadata.uid ? { node: { name: nodeName!, uid: node.metadata.uid } } : {}) };
}
