// Which of a Service's endpoints this Node may use: a pure function that all proxiers share, after CategorizeEndpoints() of
// pkg/proxy/topology.go, v1.34 (node hints included). Usable are the ready endpoints, or when there are none, those that still
// serve while they terminate; separately for the Cluster and the Local traffic policy.
import { type Endpoint, endpointName } from './endpoints.ts';
import { type ServicePort, usesClusterEndpoints, usesLocalEndpoints } from './service-port.ts';

export interface Topology {
  readonly nodeName: string;
  /** The Node's label topology.kubernetes.io/zone, '' without. */
  readonly zone: string;
}

export interface EndpointCategories {
  /** For policy Cluster; null when the Service never uses it. */
  readonly cluster: readonly Endpoint[] | null;
  /** For policy Local; null when the Service never uses it. */
  readonly local: readonly Endpoint[] | null;
  /** Everything this Node may send to. */
  readonly reachable: readonly Endpoint[];
  /** Whether there is a usable endpoint anywhere in the cluster. */
  readonly hasAny: boolean;
  /** Whether there is one for what is sent to the ClusterIP, and for what is sent to the other addresses and node ports. */
  readonly hasInternal: boolean;
  readonly hasExternal: boolean;
}

type Usable = Omit<EndpointCategories, 'hasInternal' | 'hasExternal'>;

export function categorizeEndpoints(
  endpoints: readonly Endpoint[],
  port: ServicePort,
  topology: Topology,
): EndpointCategories {
  const usable = usableEndpoints(endpoints, port, topology);
  const { hasAny, local } = usable;
  const hasLocal = local !== null && local.length > 0;
  return {
    ...usable,
    hasInternal: hasAny && (!port.internalPolicyLocal || hasLocal),
    hasExternal: hasAny && (!port.externalPolicyLocal || hasLocal),
  };
}

function usableEndpoints(endpoints: readonly Endpoint[], port: ServicePort, topology: Topology): Usable {
  const isDraining = (e: Endpoint): boolean => !e.ready && e.serving && e.terminating;
  let cluster: readonly Endpoint[] | null = null;
  let hints: 'node' | 'zone' | null = null;
  if (usesClusterEndpoints(port)) {
    hints = usableHints(endpoints, topology);
    cluster = endpoints.filter((e) => e.ready && isHinted(e, hints, topology));
    if (cluster.length === 0) cluster = endpoints.filter((e) => e.serving && e.terminating);
  }
  if (!usesLocalEndpoints(port)) {
    return { cluster, local: null, reachable: cluster ?? [], hasAny: (cluster ?? []).length > 0 };
  }
  const hasAny = (cluster ?? []).length > 0 || endpoints.some((e) => e.ready || isDraining(e));
  let local: readonly Endpoint[] = endpoints.filter((e) => e.local && e.ready);
  const draining = local.length === 0;
  if (draining) local = endpoints.filter((e) => e.local && isDraining(e));
  if (!cluster) return { cluster, local, reachable: local, hasAny };
  // Without hints and draining endpoints, every local endpoint is among the cluster's.
  if (hints === null && !(draining && local.length > 0)) return { cluster, local, reachable: cluster, hasAny };
  const union = new Map([...cluster, ...local].map((e) => [endpointName(e), e]));
  return { cluster, local, reachable: [...union.values()], hasAny };
}

/** Hints count only when every ready endpoint has them and one at least is meant for us. */
function usableHints(endpoints: readonly Endpoint[], { nodeName, zone }: Topology): 'node' | 'zone' | null {
  const ready = endpoints.filter((e) => e.ready);
  if (ready.every((e) => e.nodeHints.length > 0) && ready.some((e) => e.nodeHints.includes(nodeName))) return 'node';
  if (ready.every((e) => e.zoneHints.length > 0) && ready.some((e) => e.zoneHints.includes(zone))) return 'zone';
  return null;
}

function isHinted(e: Endpoint, hints: 'node' | 'zone' | null, { nodeName, zone }: Topology): boolean {
  return hints === null || (hints === 'node' ? e.nodeHints.includes(nodeName) : e.zoneHints.includes(zone));
}
