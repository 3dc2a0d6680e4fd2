// Which subresources the API serves, as discovery tells them.
import type { ResourceType } from '../../api/meta.ts';
import { NAMESPACES, NODES, PODS, SERVICEACCOUNTS, SERVICES } from '../../api/resources.ts';
import type { Strategy } from '../registry/strategy.ts';
import type { SubresourceInfo } from './discovery.ts';

const CONNECT = ['create', 'get'];
const PROXY = ['create', 'delete', 'get', 'patch', 'update'];
const CHANGE = ['get', 'patch', 'update'];

export function subresourcesOf(type: ResourceType, strategy: Strategy): SubresourceInfo[] {
  const own = (name: string, verbs: readonly string[]): SubresourceInfo => ({
    name,
    group: type.group,
    version: type.version,
    kind: type.kind,
    verbs,
  });
  const found: SubresourceInfo[] = [];
  if (type.resource === PODS.resource && type.group === PODS.group) {
    found.push(
      { name: 'attach', group: '', version: 'v1', kind: 'PodAttachOptions', verbs: CONNECT },
      { name: 'binding', group: '', version: 'v1', kind: 'Binding', verbs: ['create'] },
      own('ephemeralcontainers', CHANGE),
      { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] },
      { name: 'exec', group: '', version: 'v1', kind: 'PodExecOptions', verbs: CONNECT },
      { ...own('log', ['get']) },
      { name: 'portforward', group: '', version: 'v1', kind: 'PodPortForwardOptions', verbs: CONNECT },
      { name: 'proxy', group: '', version: 'v1', kind: 'PodProxyOptions', verbs: PROXY },
    );
  }
  if (type.resource === SERVICES.resource && type.group === SERVICES.group) {
    found.push({ name: 'proxy', group: '', version: 'v1', kind: 'ServiceProxyOptions', verbs: PROXY });
  }
  if (type.resource === NODES.resource && type.group === NODES.group) {
    found.push({ name: 'proxy', group: '', version: 'v1', kind: 'NodeProxyOptions', verbs: PROXY });
  }
  if (type.resource === SERVICEACCOUNTS.resource && type.group === SERVICEACCOUNTS.group) {
    found.push({
      name: 'token',
      group: 'authentication.k8s.io',
      version: 'v1',
      kind: 'TokenRequest',
      verbs: ['create'],
    });
  }
  if (type.resource === NAMESPACES.resource && type.group === NAMESPACES.group) found.push(own('finalize', ['update']));
  if (strategy.subresources?.approval) found.push(own('approval', CHANGE));
  if (strategy.scale) {
    found.push({ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: CHANGE });
  }
  if (strategy.status) found.push(own('status', CHANGE));
  return found;
}
