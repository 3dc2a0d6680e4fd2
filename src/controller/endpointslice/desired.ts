// What the EndpointSlices of a Service should hold: endpoints grouped by the ports they resolve to. Pure. After
// staging/src/k8s.io/endpointslice/{reconciler.go,utils.go} at daa4d01084ee. Leaves out topology hints and trafficDistribution.
import type { Node, Pod, Service } from '../../api/core-v1.ts';
import {
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
  LABEL_HEADLESS,
  LABEL_MANAGED_BY,
  LABEL_SERVICE_NAME,
} from '../../api/discovery-v1.ts';
import type { KubeObject } from '../../api/meta.ts';
import { isPodReady, podIPs } from '../../api/pod.ts';
import { SERVICES } from '../../api/resources.ts';
import { belongsInEndpoints, findPort, isHeadless, publishesHostname } from '../endpoints/membership.ts';
import { controllerRef } from '../owner.ts';

export const ENDPOINTSLICE_CONTROLLER = 'endpointslice-controller.k8s.io';
export const LABEL_ZONE = 'topology.kubernetes.io/zone';

export type AddressType = 'IPv4' | 'IPv6';

/** Endpoints with the same ports; they share slices. */
export interface PortGroup {
  readonly ports: EndpointPort[];
  readonly endpoints: Endpoint[];
}

/** The families the Service publishes. */
export function addressTypes(service: Service): AddressType[] {
  const families = service.spec.ipFamilies;
  if (families && families.length > 0) return [...families];
  return service.spec.clusterIP?.includes(':') ? ['IPv6'] : ['IPv4'];
}

/** Groups by port key, in the order of `pods`. A Pod on a node that is not there is left out. */
export function desiredGroups(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
  addressType: AddressType,
): Map<string, PortGroup> {
  const groups = new Map<string, PortGroup>();
  for (const pod of pods) {
    if (!belongsInEndpoints(pod, true)) continue;
    const ports = endpointPorts(service, pod);
    const key = portKey(ports);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { ports, endpoints: [] }));
    const node = pod.spec.nodeName ? nodeOf(pod.spec.nodeName) : undefined;
    if (!node && service.spec.publishNotReadyAddresses !== true) continue;
    const endpoint = podEndpoint(pod, node, service, addressType);
    if (endpoint.addresses.length > 0) group.endpoints.push(endpoint);
  }
  return groups;
}

function podEndpoint(pod: Pod, node: Node | undefined, service: Service, addressType: AddressType): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const zone = node?.metadata.labels?.[LABEL_ZONE];
  return {
    addresses: podIPs(pod).filter((ip) => ip.includes(':') === (addressType === 'IPv6')),
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(publishesHostname(pod, service) ? { hostname: pod.spec.hostname! } : {}),
    targetRef: { kind: 'Pod', namespace: pod.metadata.namespace!, name: pod.metadata.name!, uid: pod.metadata.uid! },
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    ...(zone ? { zone } : {}),
  };
}

/** A port whose name the Pod does not have is left out. */
function endpointPorts(service: Service, pod: Pod): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const port of service.spec.ports ?? []) {
    const number = findPort(pod, port);
    if (number === undefined) continue;
    ports.push({
      name: port.name ?? '',
      port: number,
      protocol: port.protocol ?? 'TCP',
      ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}),
    });
  }
  return ports;
}

/** Equal for equal sets of ports, whatever their order. */
export function portKey(ports: readonly EndpointPort[] | undefined | null): string {
  return (ports ?? [])
    .map((p) => `${p.name ?? ''}/${p.port ?? ''}/${p.protocol ?? 'TCP'}/${p.appProtocol ?? ''}`)
    .sort()
    .join(' ');
}

/** The labels of the Service's slices: its own, and those that only the controller may set. */
export function sliceLabels(service: Service): Record<string, string> {
  const {
    [LABEL_SERVICE_NAME]: _,
    [LABEL_MANAGED_BY]: __,
    [LABEL_HEADLESS]: ___,
    ...own
  } = service.metadata.labels ?? {};
  return {
    ...own,
    [LABEL_SERVICE_NAME]: service.metadata.name!,
    [LABEL_MANAGED_BY]: ENDPOINTSLICE_CONTROLLER,
    ...(isHeadless(service) ? { [LABEL_HEADLESS]: '' } : {}),
  };
}

/** A new slice, named by the server. */
export function newSlice(
  service: Service,
  addressType: AddressType,
  ports: EndpointPort[],
  endpoints: Endpoint[],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${service.metadata.name}-`,
      namespace: service.metadata.namespace!,
      labels: sliceLabels(service),
      ownerReferences: [controllerRef(service, SERVICES)],
    },
    addressType,
    endpoints,
    ports,
  };
}

export function isOwnedBy(slice: KubeObject, service: Service): boolean {
  return (slice.metadata.ownerReferences ?? []).some((o) => o.uid === service.metadata.uid && o.kind === 'Service');
}

/** `namespace/name` of the Service that the slice is of. */
export function serviceKey(slice: EndpointSlice): string {
  return `${slice.metadata.namespace}/${slice.metadata.labels?.[LABEL_SERVICE_NAME] ?? ''}`;
}
