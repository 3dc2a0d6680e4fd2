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

export const MIX_BENCH: Omit<ObjectBenchOptions, 'mode'> = {
  nodeIPs: NODE_IPS,
  serviceCIDR: '10.96.0.0/16',
  config: { clusterCIDR: '10.244.0.0/16' },
};

export interface WideQuestion {
  /** A hairpin is an endpoint of the Service itself, on this Node. */
  readonly client: Client | 'hairpin';
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Which kind of address it is. */
  readonly target: 'clusterIP' | 'externalIP' | 'loadBalancer' | 'nodePort' | 'secondary' | 'wrongPort' | 'unallocated';
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
    const slice = sliceOf(rng, i, service.spec.ports!);
    objects.push(service, slice);
    for (const port of service.spec.ports!) questions.push(...questionsOf(service, port, slice, wide));
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
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'mix', name: `s${i}` },
    spec: {
      type,
      clusterIP: `10.96.1.${i}`,
      ports: wide && rng.below(3) === 0 ? [port, second] : [port],
      internalTrafficPolicy: rng.below(4) === 0 ? 'Local' : 'Cluster',
      ...(isExternal ? { externalTrafficPolicy: pick(rng, ['Cluster', 'Local'] as const) } : {}),
      ...(rng.below(3) === 0 ? { externalIPs: [`198.51.100.${i}`] } : {}),
      ...(withAffinity ? { sessionAffinity: 'ClientIP' as const } : {}),
      ...(type === 'LoadBalancer' && rng.below(2) === 0
        ? { loadBalancerSourceRanges: ['203.0.113.0/25', ...(rng.below(2) === 0 ? ['192.168.49.0/24'] : [])] }
        : {}),
    },
    ...(type === 'LoadBalancer' ? { status: { loadBalancer: { ingress: [{ ip: `192.0.2.${i}` }] } } } : {}),
  };
}

function sliceOf(rng: Rng, i: number, ports: readonly ServicePortSpec[]): EndpointSlice {
  const n = pick(rng, [0, 1, 1, 2, 3, 5]);
  const from = rng.below(ENDPOINTS.length);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'mix', name: `s${i}-1`, labels: { 'kubernetes.io/service-name': `s${i}` } },
    addressType: 'IPv4',
    endpoints: Array.from({ length: n }, (_, k) => {
      const state = rng.below(6);
      return {
        addresses: [ENDPOINTS[(from + k) % ENDPOINTS.length]!],
        conditions:
          state === 0
            ? { ready: false, serving: true, terminating: true }
            : state === 1
              ? { ready: false, serving: false, terminating: false }
              : { ready: true, serving: true, terminating: false },
        nodeName: rng.below(2) === 0 ? 'test-node' : 'other-node',
      };
    }),
    ports: ports.map(({ name, protocol = 'TCP' }) => ({ name: name!, port: TARGET_PORT[protocol], protocol })),
  };
}

function questionsOf(service: Service, port: ServicePortSpec, slice: EndpointSlice, wide: boolean): WideQuestion[] {
  const { spec } = service;
  const ready = slice.endpoints.filter((e) => e.conditions?.ready);
  const draining = slice.endpoints.filter((e) => e.conditions?.serving && e.conditions.terminating);
  const isLocal = (e: { nodeName?: string }): boolean => e.nodeName === 'test-node';
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
  for (const { ip } of service.status?.loadBalancer?.ingress ?? []) targets.push(['loadBalancer', ip!, port.port]);
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
      .filter(([target]) => !(client === 'node' && target === 'secondary'))
      .map(([target, to, number]) => ({ client, from, target, to, port: number, ...common })),
  );
}

function pick<T>(rng: Rng, from: readonly T[]): T {
  return from[rng.below(from.length)]!;
}
