// Who sends a request: a client certificate of the cluster's CA (CN is the user, each O a group), or nobody. After
// k8s.io/apiserver/pkg/authentication/request/x509. Or a service account's bearer token (tokens.ts). Left out so far: RBAC after
// it: whoever is authenticated may do everything.
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../../api/status-error.ts';
import type { User } from '../admission/admission.ts';

/** undefined: anonymous. */
export function userOf(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = first(subject?.CN);
  if (!name) return undefined;
  return { name, groups: [...all(subject.O), 'system:authenticated'] };
}

/** The credential of an `Authorization: Bearer` header. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(header ?? '')?.[1];
}

export function unauthorized(): StatusError {
  return new StatusError('Unauthorized', 401, 'Unauthorized');
}

function first(value: string | readonly string[] | undefined): string | undefined {
  return all(value)[0];
}

/** Node's types say string; an attribute that is there several times comes as a list. */
function all(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
