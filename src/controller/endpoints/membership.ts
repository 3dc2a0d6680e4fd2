// Which Pods stand behind a Service, at which port and under which name; shared by the Endpoints and EndpointSlice
// controllers. Pure. After staging/src/k8s.io/endpointslice/{utils.go,util/controller_utils.go} (1.32).
import type { Pod, Service, ServicePort } from '../../api/core-v1.ts';
import { condition, isPodTerminal, isSidecar, podIPs } from '../../api/pod.ts';
import { matchesSet } from '../../api/selectors.ts';

/** Has an address and may still serve. Terminating Pods belong to EndpointSlices, not to Endpoints. */
export function belongsInEndpoints(pod: Pod, includeTerminating: boolean): boolean {
  if (isPodTerminal(pod)) return false;
  if (podIPs(pod).length === 0) return false;
  return includeTerminating || pod.metadata.deletionTimestamp === undefined;
}

/** The hostname counts only when the Pod's subdomain is the Service: then DNS answers `<hostname>.<service>`. */
export function publishesHostname(pod: Pod, service: Service): boolean {
  return (
    Boolean(pod.spec.hostname) &&
    pod.spec.subdomain === service.metadata.name &&
    pod.metadata.namespace === service.metadata.namespace
  );
}

/** The number behind targetPort; a name is looked up in the containers, then in the sidecars. Undefined: no such port. */
export function findPort(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  const protocol = port.protocol ?? 'TCP';
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar);
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const p of container.ports ?? []) {
      if (p.name === target && (p.protocol ?? 'TCP') === protocol) return p.containerPort;
    }
  }
  return undefined;
}

/** A Service whose endpoints we keep: one with a selector that is not an alias. */
export function hasManagedEndpoints(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length > 0;
}

export function isHeadless(service: Service): boolean {
  return !service.spec.clusterIP || service.spec.clusterIP === 'None';
}

/** Of `services`, those of the Pod's namespace that select it. */
export function servicesSelecting<S extends Service>(services: Iterable<S>, pod: Pod): S[] {
  const out: S[] = [];
  for (const service of services) {
    if (hasManagedEndpoints(service) && matchesSet(service.spec.selector, pod.metadata.labels)) out.push(service);
  }
  return out;
}

/** True when a change of the Pod can change what a Service publishes of it. */
export function endpointChanged(old: Pod, now: Pod): boolean {
  return (
    Boolean(old.metadata.deletionTimestamp) !== Boolean(now.metadata.deletionTimestamp) ||
    isPodTerminal(old) !== isPodTerminal(now) ||
    readiness(old) !== readiness(now) ||
    podIPs(old).join() !== podIPs(now).join() ||
    old.spec.nodeName !== now.spec.nodeName ||
    old.spec.hostname !== now.spec.hostname ||
    old.spec.subdomain !== now.spec.subdomain ||
    !sameLabels(old.metadata.labels, now.metadata.labels)
  );
}

function readiness(pod: Pod): string {
  return condition(pod.status?.conditions, 'Ready')?.status ?? '';
}

export function sameLabels(a: Record<string, string> = {}, b: Record<string, string> = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => a[k] === b[k]);
}
