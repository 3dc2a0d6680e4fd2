// What an object takes of a ResourceQuota, by the names that quotas use. After kubernetes/pkg/quota/v1/evaluator/core (pods.go,
// services.go) and k8s.io/apiserver/pkg/quota/v1/generic. Left out: storage, and what claims take.
import { type Amount, add, amountsOf, count } from '../amount.ts';
import type { Pod, Service } from '../core-v1.ts';
import type { KubeObject, ResourceType } from '../meta.ts';
import { isPodTerminal, isSidecar } from '../pod.ts';
import { CONFIGMAPS, PODS, RESOURCES, SECRETS, SERVICES } from '../resources.ts';

/** Counted under their own name as well as under `count/...`. */
const NAMED = new Set<ResourceType>([CONFIGMAPS, PODS, SECRETS, SERVICES]);
const RESOURCE_QUOTAS = 'resourcequotas';
const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];

/** `count/deployments.apps` */
export function countName({ group, resource }: ResourceType): string {
  return `count/${resource}${group === '' ? '' : `.${group}`}`;
}

/** The type that a quota's resource counts or measures; undefined: none that is served here. */
export function typeOfQuota(name: string): ResourceType | undefined {
  const counted = RESOURCES.find((type) => type.namespaced && countName(type) === name);
  if (counted) return counted;
  const named = RESOURCES.find(({ group, resource }) => group === '' && resource === name);
  if (named) return named;
  if (name.startsWith('services.')) return SERVICES;
  return COMPUTE.some((c) => name === c || name === `requests.${c}` || name === `limits.${c}`) ? PODS : undefined;
}

export function usageOf(type: ResourceType, object: KubeObject): Map<string, Amount> {
  const usage = new Map([[countName(type), count(1)]]);
  if (type.group === '' && (NAMED.has(type) || type.resource === RESOURCE_QUOTAS)) {
    if (type !== PODS) usage.set(type.resource, count(1));
  }
  if (type === SERVICES) addService(object as Service, usage);
  if (type === PODS) addPod(object as Pod, usage);
  return usage;
}

/** A Pod that has ended takes nothing but its place in the store. */
function addPod(pod: Pod, usage: Map<string, Amount>): void {
  if (isPodTerminal(pod)) return;
  usage.set('pods', count(1));
  for (const [name, amount] of podTotal(pod, 'requests')) {
    usage.set(`requests.${name}`, amount);
    if (COMPUTE.includes(name)) usage.set(name, amount);
  }
  for (const [name, amount] of podTotal(pod, 'limits')) usage.set(`limits.${name}`, amount);
}

/** All containers together, or one init container if that takes more: they run before, one at a time. */
function podTotal({ spec }: Pod, what: 'requests' | 'limits'): Map<string, Amount> {
  const total = new Map<string, Amount>();
  const inits = spec.initContainers ?? [];
  for (const container of [...spec.containers, ...inits.filter(isSidecar)]) {
    for (const [name, amount] of amountsOf(container.resources?.[what])) total.set(name, add(total.get(name), amount));
  }
  for (const container of inits.filter((init) => !isSidecar(init))) {
    for (const [name, amount] of amountsOf(container.resources?.[what])) {
      if (amount.nano > (total.get(name)?.nano ?? -1n)) total.set(name, amount);
    }
  }
  return total;
}

function addService({ spec }: Service, usage: Map<string, Amount>): void {
  const ports = spec.ports?.length ?? 0;
  if (spec.type === 'NodePort') usage.set('services.nodeports', count(ports));
  if (spec.type !== 'LoadBalancer') return;
  usage.set('services.loadbalancers', count(1));
  usage.set('services.nodeports', count(spec.allocateLoadBalancerNodePorts === false ? 0 : ports));
}
