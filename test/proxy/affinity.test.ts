// Session affinity ClientIP over time, in all modes: a client is bound by its first connection, by source address and service port;
// every connection renews the bond (`recent --set`, `update @affinity-`, the persistence template); it ends when its time is over or
// when its endpoint is none any more.
import t, { type Test } from 'tap';
import type { Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import { PROXY_MODES, type ProxyMode } from '../../src/proxy/config.ts';
import { ObjectBench } from '../support/objects.ts';
import { ip, tcp } from '../support/packet.ts';
import { CLIENTS, ENDPOINTS, MIX_BENCH, surroundings } from '../support/service-mix.ts';

const CLUSTER_IP = '10.96.1.1';
const TIMEOUT_S = 600;
const SERVICE: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'ns', name: 'web' },
  spec: {
    clusterIP: CLUSTER_IP,
    ports: [80, 81].map((port) => ({ name: `p${port}`, port, protocol: 'TCP' as const })),
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: TIMEOUT_S } },
  },
};

function slice(...endpoints: readonly number[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: endpoints.map((at) => ({ addresses: [ENDPOINTS[at]!], conditions: { ready: true } })),
    ports: [80, 81].map((port) => ({ name: `p${port}`, port: 8000 + port, protocol: 'TCP' as const })),
  };
}

class World {
  readonly lab = surroundings();
  readonly bench: ObjectBench;
  #sport = 20_000;

  constructor(mode: ProxyMode) {
    this.bench = new ObjectBench({ ...MIX_BENCH, mode, lab: this.lab });
    this.set(SERVICE, slice(0, 1, 2, 3));
  }

  set(...objects: readonly (Service | EndpointSlice)[]): void {
    this.bench.apply(...objects);
    this.bench.sync();
  }

  /** A connection is begun and broken off at once; returns the endpoint's index. */
  connect(port = 80): number {
    const { lab } = this;
    const sport = this.#sport++;
    const from = (flags: string, seq: number): void =>
      lab.from('pod', ip({ saddr: CLIENTS.pod, daddr: CLUSTER_IP }, tcp({ sport, dport: port, flags, seq })));
    from('S', 1000);
    const reached = ENDPOINTS.flatMap((_, i) => (lab.take(`e${i}`).length > 0 ? [i] : []));
    if (reached.length !== 1) throw new Error(`one endpoint expected, not ${reached.length}`);
    from('R', 1001);
    for (const i of reached) lab.take(`e${i}`);
    return reached[0]!;
  }

  /** How many endpoints the next connection may get. */
  choices(from: string = CLIENTS.pod, toPort = 80): number {
    return this.bench.explain({ from, to: CLUSTER_IP, toPort, protocol: 'tcp' }).endpoints.length;
  }

  wait(seconds: number): void {
    this.lab.clock.advance(seconds * 1e6);
  }
}

for (const mode of PROXY_MODES) {
  const check = (name: string, body: (t: Test, world: World) => void): void => {
    t.test(`${mode}: ${name}`, (t) => {
      const world = new World(mode);
      body(t as unknown as Test, world);
      t.same(world.lab.faults, []);
      world.bench.close();
      t.end();
    });
  };

  check('a bond is of one client and one service port', (t, world) => {
    t.equal(world.choices(), 4, 'nobody is bound');
    const first = world.connect();
    for (let i = 0; i < 20; i++) t.equal(world.connect(), first);
    t.equal(world.choices(), 1);
    t.equal(world.choices(CLIENTS.pod, 81), 4, 'another port of the Service');
    t.equal(world.choices('10.244.0.51'), 4, 'another client');
  });

  check('it ends when its time is over, and not before', (t, world) => {
    const first = world.connect();
    world.wait(TIMEOUT_S - 2);
    t.equal(world.choices(), 1);
    t.equal(world.connect(), first);
    world.wait(TIMEOUT_S - 2);
    t.equal(world.choices(), 1, 'the second connection renewed it');
    world.wait(mode === 'ipvs' ? TIMEOUT_S / 8 : 4); // a timer of Linux's fires late, by an eighth of its length at most
    t.equal(world.choices(), 4);
  });

  check('it ends with its endpoint; the others keep theirs', (t, world) => {
    const first = world.connect();
    const rest = [0, 1, 2, 3].filter((i) => i !== first);
    world.set(slice(...rest));
    t.equal(world.choices(), 3);
    const second = world.connect();
    t.not(second, first);
    world.set(slice(...rest.filter((i) => i === second || i === rest[0] || i === rest[1])));
    t.equal(world.connect(), second);
  });

  check('another timeout holds for bonds that are made from then on', (t, world) => {
    world.connect();
    const spec = { ...SERVICE.spec, sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
    world.set({ ...SERVICE, spec });
    world.connect();
    world.wait(58);
    t.equal(world.choices(), 1);
    world.wait(600);
    t.equal(world.choices(), 4);
  });
}
