// UDP flows over changes of their Service, in all modes: which conntrack entries kube-proxy forgets, seen by where the next packet
// of the same flow goes. The cases of TestCleanStaleEntries (pkg/proxy/conntrack/cleanup_test.go), as packets.
import t, { type Test } from 'tap';
import type { Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import { PROXY_MODES, type ProxyMode } from '../../src/proxy/config.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { ObjectBench } from '../support/objects.ts';
import { ip, parse, tcp, udp } from '../support/packet.ts';
import { CLIENTS, ENDPOINTS, MIX_BENCH, NODE_IPS, surroundings } from '../support/service-mix.ts';

const CLUSTER_IP = '10.96.1.1';
const EXTERNAL_IP = '198.51.100.1';
const LB_IP = '192.0.2.1';
const NODE_PORT = 30_001;
const SERVICE: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'ns', name: 'dns' },
  spec: {
    type: 'LoadBalancer',
    clusterIP: CLUSTER_IP,
    externalIPs: [EXTERNAL_IP],
    ports: [
      { name: 'u', port: 53, protocol: 'UDP', nodePort: NODE_PORT },
      { name: 't', port: 53, protocol: 'TCP', nodePort: NODE_PORT },
    ],
  },
  status: { loadBalancer: { ingress: [{ ip: LB_IP }] } },
};
/** Every way to the Service, with somebody who takes it. */
const WAYS = [
  { from: 'pod', to: CLUSTER_IP, port: 53 },
  { from: 'outside', to: EXTERNAL_IP, port: 53 },
  { from: 'outside', to: LB_IP, port: 53 },
  { from: 'outside', to: NODE_IPS[0], port: NODE_PORT },
] as const;
type Way = (typeof WAYS)[number];

/** By index in ENDPOINTS; a draining one still serves while it terminates. */
function slice(endpoints: readonly { at: number; draining?: boolean }[], port = 5353): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: 'dns-1', labels: { 'kubernetes.io/service-name': 'dns' } },
    addressType: 'IPv4',
    endpoints: endpoints.map(({ at, draining = false }) => ({
      addresses: [ENDPOINTS[at]!],
      conditions: { ready: !draining, serving: true, terminating: draining },
    })),
    ports: [
      { name: 'u', port, protocol: 'UDP' },
      { name: 't', port, protocol: 'TCP' },
    ],
  };
}

class World {
  readonly lab = surroundings();
  readonly bench: ObjectBench;

  constructor(mode: ProxyMode) {
    this.bench = new ObjectBench({ ...MIX_BENCH, mode, lab: this.lab });
    this.bench.sync();
  }

  set(...objects: readonly (Service | EndpointSlice)[]): void {
    this.bench.apply(...objects);
    this.bench.sync();
  }

  /** Sends a packet of a flow; who got it: `e0:5353`, `net` (passed on untranslated), `refused`, `nobody`. */
  send({ from, to, port }: Way, sport = 4000, segment = udp({ sport, dport: port }, 'q')): string {
    const { lab } = this;
    lab.clock.advance(2e6); // icmp_ratelimit
    lab.from(from === 'pod' ? 'pod' : 'net', ip({ saddr: CLIENTS[from], daddr: to }, segment));
    const at = ENDPOINTS.flatMap((_, i) => lab.take(`e${i}`).map((p) => `e${i}:${p.udp?.dport ?? p.tcp?.dport}`));
    const back = [...lab.take('net'), ...lab.take('pod'), ...lab.local.splice(0).map((bytes) => parse(bytes, 'ip'))];
    const others = back.map((p) => (p.icmp ? 'refused' : 'net'));
    return [...at, ...others].join() || 'nobody';
  }

  close(): void {
    this.bench.close();
  }
}

for (const mode of PROXY_MODES) {
  const check = (name: string, body: (t: Test, world: World) => void): void => {
    t.test(`${mode}: ${name}`, (t) => {
      const world = new World(mode);
      body(t as unknown as Test, world);
      t.same(world.lab.faults, []);
      world.close();
      t.end();
    });
  };

  check('flows to an endpoint that went move on, others stay', (t, world) => {
    world.set(SERVICE, slice([{ at: 0 }]));
    for (const way of WAYS) t.equal(world.send(way), 'e0:5353');
    world.set(slice([{ at: 0 }, { at: 1 }]));
    for (const way of WAYS) t.equal(world.send(way), 'e0:5353', `${way.to} stays`);
    world.set(slice([{ at: 1 }]));
    for (const way of WAYS) t.equal(world.send(way), 'e1:5353', `${way.to} moves`);
  });

  check('an endpoint that goes on at another port is another one', (t, world) => {
    world.set(SERVICE, slice([{ at: 0 }]));
    for (const way of WAYS) t.equal(world.send(way), 'e0:5353');
    world.set(slice([{ at: 0 }], 5354));
    for (const way of WAYS) t.equal(world.send(way), 'e0:5354', way.to);
  });

  check('what was sent before there was a Service is no reason to go there for ever', (t, world) => {
    const way = WAYS[1];
    t.equal(world.send(way), 'net', 'the Node knows nothing of it');
    world.set(SERVICE, slice([{ at: 0 }]));
    t.equal(world.send(way), 'e0:5353');
  });

  check('a Service without endpoints refuses, and has no memory of that', (t, world) => {
    world.set(SERVICE, slice([]));
    for (const way of WAYS) t.equal(world.send(way), 'refused', way.to);
    world.set(slice([{ at: 0 }]));
    for (const way of WAYS) t.equal(world.send(way), 'e0:5353', way.to);
  });

  check(
    'the last endpoint goes: flows to Service addresses end, those to a port of any address are left',
    (t, world) => {
      world.set(SERVICE, slice([{ at: 0 }]));
      for (const way of WAYS) world.send(way);
      world.set(slice([]));
      for (const { to } of WAYS.slice(0, 3))
        t.notOk(
          world.bench.netlink.conntrack({ proto: 17 }).some((c) => c.original.daddr === ipv4(to)),
          to,
        );
      t.equal(world.bench.netlink.conntrack({ proto: 17 }).length, 1, 'the NodePort: it could be somebody else there');
      for (const way of WAYS.slice(0, 3)) t.equal(world.send(way), 'refused', way.to);
    },
  );

  check('a Service that is deleted takes its flows along, although its endpoints are still there', (t, world) => {
    world.set(SERVICE, slice([{ at: 0 }]));
    for (const way of WAYS) world.send(way);
    world.bench.delete('Service ns/dns');
    world.bench.sync();
    const left = world.bench.netlink.conntrack({ proto: 17 }).map((c) => c.original.daddr);
    t.same(left, [ipv4(NODE_IPS[0])]);
  });

  check('an endpoint that serves while it terminates keeps its flows', (t, world) => {
    world.set(SERVICE, slice([{ at: 0 }]));
    for (const way of WAYS) world.send(way);
    world.set(slice([{ at: 0, draining: true }, { at: 1 }]));
    t.equal(world.bench.netlink.conntrack({ proto: 17 }).length, WAYS.length);
    // IPVS takes UDP real servers out at once, whoever is connected (graceful_termination.go, InTerminationList).
    if (mode !== 'ipvs') for (const way of WAYS) t.equal(world.send(way), 'e0:5353', way.to);
  });

  check('TCP connections are left to end by themselves', (t, world) => {
    world.set(SERVICE, slice([{ at: 0 }]));
    for (const way of WAYS) {
      const segment = tcp({ sport: 4000, dport: way.port, flags: 'S' });
      t.equal(world.send(way, 4000, segment), 'e0:5353');
    }
    world.set(slice([{ at: 1 }]));
    t.equal(world.bench.netlink.conntrack({ proto: 6 }).length, WAYS.length);
  });
}
