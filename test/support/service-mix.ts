// A seeded variety of Services on one Node, with the questions worth asking of each: every kind of address from every kind of
// client. What the mode-agreement test and the kernel judge ask alike.
//
//   pod 10.244.0.50 ─┐                      ┌─ endpoints 10.244.1.1 … .8
//   outside ─────────┤ Node 192.168.49.2    │
//   blocked ─────────┘      192.168.50.2 ───┘  (the Node asks, too)
import type { Service, ServicePort as ServicePortSpec } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { Rng } from '../../src/lib/rng.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { Lab } from './kernel.ts';
import type { Manifest, ObjectBenchOptions } from './objects.ts';

export const NODE_IPS = ['192.168.49.2', '192.168.50.2'] as const;
export const ENDPOINTS = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `10.244.1.${i}`);
export const TARGET_PORT = { TCP: 8080, UDP: 5353, SCTP: 2905 } as const;
export const CLIENTS = {
  pod: '10.244.0.50',
  outside: '203.0.113.2',
  blocked: '203.0.113.130',
  node: NODE_IPS[0],
} as const;
export type Client = keyof typeof CLIENTS;
const CLIENT_NAMES = Object.keys(CLIENTS) as Client[];

export const MIX_BENCH = {
  nodeIPs: NODE_IPS,
  serviceCIDR: '10.96.0.0/16',
  zone: 'zone-a',
  config: { clusterCIDR: '10.244.0.0/16' },
} satisfies Omit<ObjectBenchOptions, 'mode'>;

export interface WideQuestion {
  /** A hairpin is an endpoint of the Service itself, on this Node. */
  readonly client: Client | 'hairpin';
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Which kind of address it is. */
  readonly target:
    | 'clusterIP'
    | 'externalIP'
    | 'loadBalancer'
    | 'nodePort'
    | 'secondary'
    | 'wrongPort'
    | 'unallocated'
    | 'notOurs'
    | 'healthCheck';
  readonly service: string;
  readonly spec: Service['spec'];
  readonly hasEndpoints: boolean;
  readonly hasLocal: boolean;
}

/** One that packets can ask, too. */
export interface Question extends WideQuestion {
  readonly client: Client;
  readonly protocol: 'tcp' | 'udp';
}

export interface Mix<Q extends WideQuestion = Question> {
  readonly objects: readonly Manifest[];
  readonly questions: readonly Q[];
}

/** `count` Services with indices from 1; at most 250. */
export function serviceMix(rng: Rng, count: number): Mix {
  return mixOf(rng, count, false) as Mix; // nothing wide in it
}

/** With what no packet is sent of here: SCTP, and Services with several ports, asked by their own endpoints, too. */
export function wideMix(rng: Rng, count: number): Mix<WideQuestion> {
  return mixOf(rng, count, true);
}

function mixOf(rng: Rng, count: number, wide: boolean): Mix<WideQuestion> {
  const objects: Manifest[] = [];
  const questions: WideQuestion[] = [];
  for (let i = 1; i <= count; i++) {
    const service = serviceOf(rng, i, wide);
    const slices = slicesOf(rng, i, service.spec.ports!);
    objects.push(service, ...slices);
    for (const port of service.spec.ports!) questions.push(...questionsOf(service, port, slices, wide));
  }
  const spec: Service['spec'] = { ports: [] };
  for (const client of CLIENT_NAMES) {
    questions.push({
      client,
      from: CLIENTS[client],
      to: '10.96.200.200',
      port: 80,
      protocol: 'tcp',
      target: 'unallocated',
      service: 'none',
      spec,
      hasEndpoints: false,
      hasLocal: false,
    });
  }
  return { objects, questions };
}

/** A Node with everybody around it: the Pod, the outside, and each endpoint behind a device of its own. */
export function surroundings(): Lab {
  const lab = new Lab();
  lab.pod('pod', CLIENTS.pod);
  const net = lab.uplink('net', ['192.168.49.1']);
  lab.kernel.addresses.add(net, ipv4(NODE_IPS[1]), 24);
  ENDPOINTS.forEach((address, i) => void lab.pod(`e${i}`, address));
  return lab;
}

function serviceOf(rng: Rng, i: number, wide: boolean): Service {
  const protocol = rng.below(4) === 0 ? 'UDP' : wide && rng.below(4) === 0 ? 'SCTP' : 'TCP';
  const type = pick(rng, ['ClusterIP', 'NodePort', 'LoadBalancer'] as const);
  const isExternal = type !== 'ClusterIP';
  const port: ServicePortSpec = {
    name: 'p',
    port: 80,
    protocol,
    ...(isExternal ? { nodePort: 30_000 + i } : {}),
  };
  const second: ServicePortSpec = {
    name: 'q',
    port: 90,
    protocol: 'UDP',
    ...(isExternal ? { nodePort: 30_300 + i } : {}),
  };
  const withAffinity = rng.below(6) === 0;
  // Two of a Service's own, and once an address that is the Node's already.
  const externalIPs = [`198.51.100.${i}`, ...(rng.below(2) === 0 ? [`198.51.101.${i}`] : [])];
  if (i === 1) externalIPs.push(NODE_IPS[1]);
  const externalTrafficPolicy = pick(rng, ['Cluster', 'Local'] as const);
  const hasHealthCheck = type === 'LoadBalancer' && externalTrafficPolicy === 'Local' && rng.below(2) === 0;
  const ingress = [
    { ip: `192.0.2.${i}` },
    ...(rng.below(3) === 0 ? [{ ip: `203.0.114.${i}`, ipMode: 'Proxy' as const }] : []),
  ];
  const internalTrafficPolicy = rng.below(4) === 0 ? 'Local' : 'Cluster';
  const hasExternalIPs = rng.below(3) === 0;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'mix', name: `s${i}` },
    spec: {
      type,
      clusterIP: `10.96.1.${i}`,
      ports: wide && rng.below(3) === 0 ? [port, second] : [port],
      internalTrafficPolicy,
      ...(isExternal || hasExternalIPs ? { externalTrafficPolicy } : {}),
      ...(hasHealthCheck ? { healthCheckNodePort: 31_000 + i } : {}),
      ...(hasExternalIPs ? { externalIPs } : {}),
      ...(withAffinity ? { sessionAffinity: 'ClientIP' as const } : {}),
      ...(type === 'LoadBalancer' && rng.below(2) === 0
        ? { loadBalancerSourceRanges: ['203.0.113.0/25', ...(rng.below(2) === 0 ? ['192.168.49.0/24'] : [])] }
        : {}),
    },
    ...(type === 'LoadBalancer' ? { status: { loadBalancer: { ingress } } } : {}),
  };
}

/** Slices as given: while they are rearranged an endpoint stands in two of them, and is local when one says so. */
function slicesOf(rng: Rng, i: number, ports: readonly ServicePortSpec[]): EndpointSlice[] {
  const n = pick(rng, [0, 1, 1, 2, 3, 5]);
  const from = rng.below(ENDPOINTS.length);
  const hints = pick(rng, ['none', 'none', 'zones', 'nodes', 'some'] as const);
  const endpoints = Array.from({ length: n }, (_, k) =>
    endpointOf(rng, ENDPOINTS[(from + k) % ENDPOINTS.length]!, hints),
  );
  // Of a port by another name the Service has no endpoints.
  const named = rng.below(12) === 0 ? ports.map((port) => ({ ...port, name: `not-${port.name}` })) : ports;
  const slice = (part: number, of: EndpointSlice['endpoints']): EndpointSlice => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'mix', name: `s${i}-${part}`, labels: { 'kubernetes.io/service-name': `s${i}` } },
    addressType: 'IPv4',
    endpoints: of,
    ports: named.map(({ name, protocol = 'TCP' }) => ({ name: name!, port: TARGET_PORT[protocol], protocol })),
  });
  if (n === 0 || rng.below(3) > 0) return [slice(1, endpoints)];
  const at = rng.below(n);
  const again = { ...endpoints[at]!, nodeName: pick(rng, ['test-node', 'other-node']) };
  return [slice(1, endpoints.slice(0, at + 1)), slice(2, [again, ...endpoints.slice(at + 1)])];
}

type SliceEndpoint = EndpointSlice['endpoints'][number];

/** Conditions that are not given count as ready; an endpoint without a Node is not local. */
const CONDITIONS: readonly (SliceEndpoint['conditions'] | undefined)[] = [
  { ready: false, serving: true, terminating: true },
  { ready: false, serving: false, terminating: false },
  { ready: false, serving: false, terminating: true },
  { ready: true, serving: true, terminating: false },
  { ready: true, serving: true, terminating: false },
  { ready: true },
  {},
  undefined,
];

function endpointOf(rng: Rng, address: string, hints: 'none' | 'zones' | 'nodes' | 'some'): SliceEndpoint {
  const conditions = pick(rng, CONDITIONS);
  const nodeName = pick(rng, ['test-node', 'test-node', 'other-node', 'other-node', undefined]);
  const zone = { forZones: [{ name: pick(rng, ['zone-a', 'zone-b']) }] };
  const node = { ...zone, forNodes: [{ name: pick(rng, ['test-node', 'other-node']) }] };
  const hint =
    hints === 'none' || (hints === 'some' && rng.below(2) === 0) ? undefined : hints === 'nodes' ? node : zone;
  return {
    addresses: [address],
    ...(conditions ? { conditions } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(hint ? { hints: hint } : {}),
  };
}

function questionsOf(
  service: Service,
  port: ServicePortSpec,
  slices: readonly EndpointSlice[],
  wide: boolean,
): WideQuestion[] {
  const { spec } = service;
  const endpoints = slices.filter((s) => s.ports!.some((p) => p.name === port.name)).flatMap((s) => s.endpoints);
  const ready = endpoints.filter((e) => e.conditions?.ready ?? true);
  const draining = endpoints.filter((e) => e.conditions?.ready === false && e.conditions.serving);
  const isLocal = (e: SliceEndpoint): boolean => e.nodeName === 'test-node';
  const common = {
    protocol: port.protocol!.toLowerCase() as WideQuestion['protocol'],
    service: service.metadata.name!,
    spec,
    hasEndpoints: ready.length > 0 || draining.length > 0,
    hasLocal: ready.some(isLocal) || draining.some(isLocal),
  };
  const targets: [WideQuestion['target'], string, number][] = [['clusterIP', spec.clusterIP!, port.port]];
  if (port.name === 'p') targets.push(['wrongPort', spec.clusterIP!, 81]);
  for (const ip of spec.externalIPs ?? []) targets.push(['externalIP', ip, port.port]);
  for (const { ip, ipMode } of service.status?.loadBalancer?.ingress ?? [])
    targets.push([ipMode === 'Proxy' ? 'notOurs' : 'loadBalancer', ip!, port.port]);
  if (spec.healthCheckNodePort) targets.push(['healthCheck', NODE_IPS[0], spec.healthCheckNodePort]);
  if (port.nodePort) {
    targets.push(['nodePort', NODE_IPS[0], port.nodePort]);
    targets.push(['secondary', NODE_IPS[1], port.nodePort]);
  }
  const clients: Pick<WideQuestion, 'client' | 'from'>[] = CLIENT_NAMES.map((client) => ({
    client,
    from: CLIENTS[client],
  }));
  const self = wide ? ready.find(isLocal)?.addresses[0] : undefined;
  if (self) clients.push({ client: 'hairpin', from: self });
  return clients.flatMap(({ client, from }) =>
    targets
      // A Node talks to its own second address from that address: another question than the others'.
      .filter(([, to]) => !(client === 'node' && to === NODE_IPS[1]))
      .filter(([target]) => target !== 'healthCheck' || common.protocol === 'tcp')
      .map(([target, to, number]) => ({ client, from, target, to, port: number, ...common })),
  );
}

function pick<T>(rng: Rng, from: readonly T[]): T {
  return from[rng.below(from.length)]!;
}
