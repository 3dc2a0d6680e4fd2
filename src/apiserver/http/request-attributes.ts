// What authorization is asked about a request. After k8s.io/apiserver/pkg/endpoints/request/requestinfo.go and
// filters/authorization.go (GetAuthorizerAttributes).
import { parseFieldSelector } from '../../api/selectors.ts';
import type { Attributes } from '../auth/attributes.ts';
import type { User } from '../auth/user.ts';
import type { RequestInfo } from './request-info.ts';

/** `info` undefined: the path names no resource. */
export function requestAttributes(
  user: User,
  method: string,
  path: string,
  query: URLSearchParams,
  info: RequestInfo | undefined,
): Attributes {
  if (!info) return { user, verb: method.toLowerCase(), path };
  const { verb, group, resource, subresource } = info;
  const name = info.name ?? (verb === 'list' || verb === 'watch' ? selectedName(query) : undefined);
  const namespace = info.namespace ?? (group === '' && resource === 'namespaces' ? info.name : undefined);
  return { user, verb, group, resource, subresource, namespace, name };
}

/** A list or watch of the one object that a field selector names asks about that object. */
function selectedName(query: URLSearchParams): string | undefined {
  const selector = query.get('fieldSelector');
  if (!selector?.includes('metadata.name')) return undefined;
  try {
    const { requirements } = parseFieldSelector(selector);
    return requirements.find(({ path, operator }) => path === 'metadata.name' && operator === '=')?.value;
  } catch {
    return undefined; // refused later, with the words for it
  }
}
