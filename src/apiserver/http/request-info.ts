// What a request is about, from its method and path. After k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
//   /api/v1/namespaces/NS/pods/NAME/log     /apis/apps/v1/deployments     /api/v1/namespaces/NAME/finalize
//   /api/v1/namespaces/NS/services/NAME/proxy/WHAT/EVER
// Left out: /api/v1/watch/..., deprecated for the parameter `watch`.
import { badRequest, StatusError } from '../../api/status-error.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

export interface RequestInfo {
  readonly verb: Verb;
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly resource: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** What follows `namespaces/NAME` and is not a resource. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

/** undefined: the path names no resource. Throws StatusError 405 for a method that means nothing. */
export function requestInfo(method: string, path: string, query: URLSearchParams): RequestInfo | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return undefined;
  const [group, version, rest] = core ? ['', parts[1], parts.slice(2)] : [parts[1], parts[2], parts.slice(3)];
  if (group === undefined || version === undefined || rest.length === 0) return undefined;
  let namespace: string | undefined;
  let place = rest;
  if (rest[0] === 'namespaces' && rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2]!)) {
    namespace = rest[1];
    place = rest.slice(2);
  }
  const [resource, name, subresource] = place;
  if (resource === undefined || (place.length > 3 && subresource !== 'proxy')) return undefined;
  for (const part of [namespace, name]) if (part !== undefined) requirePathSegment(part);
  return { verb: verbOf(method, name, query), group, version, namespace, resource, name, subresource };
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): Verb {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (name !== undefined) return 'get';
      return isTrue(query.get('watch')) ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === undefined ? 'deletecollection' : 'delete';
    default:
      throw methodNotAllowed();
  }
}

export function methodNotAllowed(): StatusError {
  return new StatusError('MethodNotAllowed', 405, 'the server does not allow this method on the requested resource');
}

/** As the real server reads a boolean parameter: whatever is there and is not false. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}

/** As k8s.io/apimachinery pkg/api/validation/path (IsValidPathSegmentName): no name, and so no key, reaches beyond its place. */
function requirePathSegment(name: string): void {
  const why =
    name === '.' || name === '..'
      ? `may not be '${name}'`
      : /[/%]/.test(name)
        ? `may not contain '${/[/%]/.exec(name)![0]}'`
        : undefined;
  if (why) throw badRequest(`invalid name ${JSON.stringify(name)}: ${why}`);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`invalid URL escape in ${JSON.stringify(part)}`);
  }
}
