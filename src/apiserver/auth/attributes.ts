// What authorization decides about: who does what to what. After k8s.io/apiserver/pkg/authorization/authorizer (interfaces.go)
// and pkg/endpoints/filters/authorization.go.
import { StatusError } from '../../api/status-error.ts';
import type { User } from './user.ts';

export interface ResourceAttributes {
  readonly user: User;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

export interface PathAttributes {
  readonly user: User;
  /** The HTTP method in lower case. */
  readonly verb: string;
  readonly path: string;
}

export type Attributes = ResourceAttributes | PathAttributes;

/** 403, worded as k8s.io/apiserver/pkg/endpoints/handlers/responsewriters (errors.go) and apimachinery's NewForbidden. */
export function denied(attributes: Attributes, reason: string): StatusError {
  const why = escapeHtml(describe(attributes)) + (reason === '' ? '' : `: ${reason}`);
  if ('path' in attributes) return new StatusError('Forbidden', 403, `forbidden: ${why}`, {});
  const { group, resource, name } = attributes;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  return new StatusError(
    'Forbidden',
    403,
    `${qualified}${name ? ` ${JSON.stringify(name)}` : ''} is forbidden: ${why}`,
    {
      ...(name ? { name } : {}),
      ...(group ? { group } : {}),
      kind: resource,
    },
  );
}

function describe(attributes: Attributes): string {
  const user = JSON.stringify(attributes.user.name);
  if ('path' in attributes) return `User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
  const { verb, group, resource, subresource, namespace } = attributes;
  const what = subresource ? `${resource}/${subresource}` : resource;
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope';
  return `User ${user} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
