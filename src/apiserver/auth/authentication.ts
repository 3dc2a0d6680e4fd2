// Who sends a request: a client certificate of the cluster's CA (CN is the user, each O a group), a bearer token (a static one or
// a service account's), or nobody: system:anonymous. After k8s.io/apiserver/pkg/authentication/request/{x509,bearertoken,
// anonymous,union}. A credential that is shown and does not hold is refused, not taken for none.
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../../api/status-error.ts';
import { ANONYMOUS, authenticated, CREDENTIAL_ID, type User } from './user.ts';

/** Looks a bearer token up. undefined: not one of its own, or not any more. */
export type TokenAuthenticator = (token: string) => Promise<User | undefined> | User | undefined;

/** Throws StatusError 401. */
export async function authenticate(request: IncomingMessage, tokens: readonly TokenAuthenticator[]): Promise<User> {
  const user = certificateUser(request);
  if (user) return authenticated(user);
  const token = bearerToken(request.headers.authorization);
  if (token === undefined) return ANONYMOUS;
  const found = await tokenUser(token, tokens);
  if (!found) throw unauthorized();
  return found;
}

export async function tokenUser(token: string, tokens: readonly TokenAuthenticator[]): Promise<User | undefined> {
  for (const lookup of tokens) {
    const user = await lookup(token);
    if (user) return authenticated(user);
  }
  return undefined;
}

/** Node takes a certificate apart anew each time it is asked, which costs as much as a small request; it stays that of its connection. */
const certificateUsers = new WeakMap<object, User | undefined>();

function certificateUser(request: IncomingMessage): User | undefined {
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  // Over HTTP/2 each request has a stand-in of its own for the socket.
  const connection = (request as { stream?: { session?: object } }).stream?.session ?? socket;
  if (!certificateUsers.has(connection)) certificateUsers.set(connection, readCertificate(socket));
  return certificateUsers.get(connection);
}

function readCertificate(socket: TLSSocket): User | undefined {
  const { subject, raw, fingerprint256 } = socket.getPeerCertificate();
  const name = all(subject?.CN)[0];
  if (!name || !raw) return undefined;
  const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase();
  return { name, groups: all(subject.O), extra: { [CREDENTIAL_ID]: [`X509SHA256=${fingerprint}`] } };
}

/** The credential of an `Authorization: Bearer` header. */
function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(header ?? '')?.[1];
}

function unauthorized(): StatusError {
  return new StatusError('Unauthorized', 401, 'Unauthorized');
}

/** Node's types say string; an attribute that is there several times comes as a list. */
function all(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
