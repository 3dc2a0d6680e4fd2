// serviceaccounts/NAME/token: authentication.k8s.io/v1 TokenRequest, what `kubectl create token` sends. After
// k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage/token.go. Left out: binding the token to a Pod or Secret, refused.
import type { ServiceAccount } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { StatusError } from '../../api/status-error.ts';
import { DEFAULT_SECONDS, ISSUER, MAX_SECONDS, MIN_SECONDS, type ServiceAccountTokens } from '../auth/tokens.ts';

interface TokenRequestSpec {
  audiences?: unknown;
  expirationSeconds?: unknown;
  boundObjectRef?: unknown;
}

/** The TokenRequest with its status. Throws StatusError 400 or 422. */
export function requestToken(
  account: Stored<ServiceAccount>,
  body: unknown,
  tokens: ServiceAccountTokens,
  nowMs: number,
): unknown {
  const { spec } = (body ?? {}) as { spec?: TokenRequestSpec | null };
  const { audiences = [], expirationSeconds = DEFAULT_SECONDS, boundObjectRef } = spec ?? {};
  const { name, namespace } = account.metadata;
  if (!Array.isArray(audiences) || !audiences.every((audience) => typeof audience === 'string')) {
    throw new StatusError('BadRequest', 400, 'spec.audiences: Invalid value: expected a list of strings');
  }
  if (boundObjectRef) {
    throw new StatusError('BadRequest', 400, 'spec.boundObjectRef: tokens bound to an object are not supported');
  }
  const seconds = expirationSeconds === 0 ? DEFAULT_SECONDS : expirationSeconds;
  if (typeof seconds !== 'number' || !Number.isInteger(seconds)) {
    throw new StatusError('BadRequest', 400, 'spec.expirationSeconds: Invalid value: expected a whole number');
  }
  const wrong =
    seconds < MIN_SECONDS
      ? 'may not specify a duration less than 10 minutes'
      : seconds > MAX_SECONDS
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined;
  if (wrong) {
    const message = `spec.expirationSeconds: Invalid value: ${seconds}: ${wrong}`;
    throw new StatusError('Invalid', 422, `TokenRequest.authentication.k8s.io "${name}" is invalid: ${message}`);
  }
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: seconds3339(nowMs) },
    spec: { audiences: audiences.length > 0 ? audiences : [ISSUER], expirationSeconds: seconds, boundObjectRef: null },
    status: {
      token: tokens.issue(account, audiences, seconds, nowMs),
      expirationTimestamp: seconds3339(nowMs + seconds * 1000),
    },
  };
}

function seconds3339(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
