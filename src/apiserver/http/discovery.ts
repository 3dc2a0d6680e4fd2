// Discovery: which groups, versions and resources there are. Aggregated (one document for /api, one for /apis) for clients that
// ask for it, else a list for each group and version. After k8s.io/apiserver/pkg/endpoints/discovery.
import type { ResourceType } from '../../api/meta.ts';

const AGGREGATED = /application\/json;g=apidiscovery\.k8s\.io;v=(v2beta1|v2);as=APIGroupDiscoveryList/;
const CREATE_ONLY = ['create'];
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** What hangs under a resource, with the kind that it takes. */
export interface SubresourceInfo {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

export type Subresources = (type: ResourceType) => readonly SubresourceInfo[];

export interface DiscoveryAnswer {
  readonly contentType: string;
  readonly body: unknown;
}

/** undefined: the path is none of discovery's. */
export function discover(
  path: string,
  accept: string,
  resources: readonly ResourceType[],
  subresources: Subresources,
): DiscoveryAnswer | undefined {
  const version = AGGREGATED.exec(accept)?.[1];
  const core = path === '/api';
  if (core || path === '/apis') {
    const served = resources.filter((type) => (type.group === '') === core);
    if (version) {
      return {
        contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
        body: aggregated(version, served, subresources),
      };
    }
    return json(core ? apiVersions() : { kind: 'APIGroupList', apiVersion: 'v1', groups: groups(served).map(group) });
  }
  const [, root, first, second] = /^\/(apis?)\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (!root || !first) return undefined;
  if (root === 'apis' && !second) {
    const types = resources.filter((type) => type.group === first && first !== '');
    return types.length > 0 ? json({ kind: 'APIGroup', apiVersion: 'v1', ...group([first, types]) }) : undefined;
  }
  const gv = root === 'api' ? (second ? undefined : first) : `${first}/${second}`;
  const types = resources.filter((type) => groupVersion(type) === gv);
  return types.length > 0 ? json(resourceList(gv!, types, subresources)) : undefined;
}

function json(body: unknown): DiscoveryAnswer {
  return { contentType: 'application/json', body };
}

/** Reviews answer a question; nothing of them is kept. */
function verbsOf({ group: name }: ResourceType): readonly string[] {
  return name === 'authorization.k8s.io' || name === 'authentication.k8s.io' ? CREATE_ONLY : VERBS;
}

function apiVersions(): unknown {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
}

function groupVersion({ group: name, version }: ResourceType): string {
  return name === '' ? version : `${name}/${version}`;
}

function groups(types: readonly ResourceType[]): [string, ResourceType[]][] {
  const found = new Map<string, ResourceType[]>();
  for (const type of types) found.set(type.group, [...(found.get(type.group) ?? []), type]);
  return [...found];
}

function group([name, types]: [string, readonly ResourceType[]]): object {
  const versions = [...new Set(types.map((type) => type.version))].map((version) => ({
    groupVersion: `${name}/${version}`,
    version,
  }));
  return { name, versions, preferredVersion: versions[0] };
}

function resourceList(gv: string, types: readonly ResourceType[], subresources: Subresources): unknown {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: gv,
    resources: types.flatMap((type) => [
      {
        name: type.resource,
        singularName: type.singular,
        namespaced: type.namespaced,
        kind: type.kind,
        verbs: verbsOf(type),
        ...(type.shortNames.length > 0 ? { shortNames: type.shortNames } : {}),
        ...(type.categories.length > 0 ? { categories: type.categories } : {}),
      },
      ...subresources(type).map((sub) => ({
        name: `${type.resource}/${sub.name}`,
        singularName: '',
        namespaced: type.namespaced,
        ...(sub.group !== type.group || sub.version !== type.version ? { group: sub.group, version: sub.version } : {}),
        kind: sub.kind,
        verbs: sub.verbs,
      })),
    ]),
  };
}

function aggregated(version: string, types: readonly ResourceType[], subresources: Subresources): unknown {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups(types).map(([name, members]) => ({
      metadata: { ...(name === '' ? {} : { name }), creationTimestamp: null },
      versions: [...new Set(members.map((type) => type.version))].map((groupVersionName) => ({
        version: groupVersionName,
        freshness: 'Current',
        resources: members
          .filter((type) => type.version === groupVersionName)
          .map((type) => ({
            resource: type.resource,
            responseKind: { group: type.group, version: type.version, kind: type.kind },
            scope: type.namespaced ? 'Namespaced' : 'Cluster',
            singularResource: type.singular,
            verbs: verbsOf(type),
            ...(type.shortNames.length > 0 ? { shortNames: type.shortNames } : {}),
            ...(type.categories.length > 0 ? { categories: type.categories } : {}),
            subresources: subresources(type).map((sub) => ({
              subresource: sub.name,
              responseKind: { group: sub.group, version: sub.version, kind: sub.kind },
              verbs: sub.verbs,
            })),
          })),
      })),
    })),
  };
}
