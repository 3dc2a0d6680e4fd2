// `--as`, `--as-group`, `--as-uid`: somebody who may impersonate another user makes a request as they would. After
// k8s.io/apiserver/pkg/endpoints/filters/impersonation. Each part is asked for by itself: the verb is `impersonate`.
import type { IncomingHttpHeaders } from 'node:http';
import { StatusError } from '../../api/status-error.ts';
import type { ResourceAttributes } from './attributes.ts';
import type { Authorizer } from './rbac/authorizer.ts';
import {
  ANONYMOUS,
  AUTHENTICATED,
  authenticated,
  parseServiceAccount,
  serviceAccountGroups,
  type User,
} from './user.ts';

const USER = 'impersonate-user';
const GROUP = 'impersonate-group';
const UID = 'impersonate-uid';
const EXTRA = 'impersonate-extra-';

/** The user to act as: `user` where no header says otherwise. Throws StatusError 403 and 400. */
export async function impersonate(
  user: User,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  authorizer: Authorizer,
): Promise<User> {
  const name = one(headers[USER]);
  const groups = values(rawHeaders, GROUP);
  const uid = one(headers[UID]);
  const extra = extras(rawHeaders);
  const others = groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0;
  if (!name) {
    if (!others) return user;
    throw new StatusError(
      'InternalError',
      500,
      'Internal error occurred: requested impersonation without impersonating a user',
    );
  }
  const account = parseServiceAccount(name);
  const ask = (attributes: Pick<ResourceAttributes, 'group' | 'resource' | 'name' | 'namespace' | 'subresource'>) =>
    authorizer.require({ user, verb: 'impersonate', ...attributes });
  if (account) await ask({ group: '', resource: 'serviceaccounts', ...account });
  else await ask({ group: '', resource: 'users', name });
  for (const group of groups) await ask({ group: '', resource: 'groups', name: group });
  const group = 'authentication.k8s.io';
  for (const [key, list] of Object.entries(extra)) {
    for (const value of list) await ask({ group, resource: 'userextras', subresource: key, name: value });
  }
  if (uid !== undefined) await ask({ group, resource: 'uids', name: uid });
  const implied = account && groups.length === 0 ? serviceAccountGroups(account.namespace) : [];
  const impersonated = {
    name,
    groups: [...groups, ...implied],
    ...(uid !== undefined ? { uid } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
  if (name !== ANONYMOUS.name) return authenticated(impersonated);
  return { ...impersonated, groups: [...groups.filter((g) => g !== AUTHENTICATED), ...ANONYMOUS.groups] };
}

function one(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}

/** Of a header that may come several times. Node joins those it does not know with commas, and a value may hold one. */
function values(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name);
}

function extras(rawHeaders: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]!.toLowerCase();
    if (!header.startsWith(EXTRA)) continue;
    const key = unescapeKey(header.slice(EXTRA.length));
    found[key] = [...(found[key] ?? []), rawHeaders[i + 1]!];
  }
  return found;
}

function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
