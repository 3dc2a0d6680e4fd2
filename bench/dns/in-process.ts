// The server without a network: queries as bytes in, replies as bytes out, in one thread, for the figure "answers a second a
// core": by the processor's time that the process took, its collector's threads included, so that others on the machine do not
// count. Everything CoreDNS does with a query is in it: reading, the plugins of kubeadm's Corefile (metrics, cache, rotation...),
// writing. Names are asked for in turn over all Services, so no two neighbours are the same.
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { KubeObject } from '../../src/api/meta.ts';
import { TYPE } from '../../src/dns/constants.ts';
import { ManifestObjects } from '../../src/dns/manifest-objects.ts';
import { encodeMessage, FLAG_RD } from '../../src/dns/message-writer.ts';
import { runCoreDns } from '../../src/dns/run.ts';
import type { Address, DnsSockets, UdpPort } from '../../src/dns/sockets.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';

export interface InProcessFigure {
  readonly what: string;
  readonly services: number;
  readonly queriesPerSecond: number;
  readonly nsPerQuery: number;
  /** Bytes of heap a query takes, from the garbage collector's own counts. */
  readonly bytesPerQuery: number;
  readonly gcMsPerMillion: number;
}

type Deliver = (bytes: Uint8Array, from: Address) => void;

/** kubeadm's, less what listens on other ports; `cache` stands where kubeadm has `cache 30`. */
function corefile(cache: boolean): string {
  return `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus 127.0.0.1:0
    ${cache ? 'cache 30' : ''}
    loop
    reload
    loadbalance
}
`;
}

/** Services with a ClusterIP and three endpoints each, in a hundred namespaces. */
export function serviceObjects(count: number): KubeObject[] {
  const objects: KubeObject[] = [];
  for (let i = 0; i < Math.min(100, count); i++)
    objects.push({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `ns-${i}` } });
  for (let i = 0; i < count; i++) {
    const [name, namespace] = [`svc-${i}`, `ns-${i % 100}`];
    const clusterIP = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    const ports = [{ name: 'http', protocol: 'TCP', port: 80 }];
    objects.push(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ports },
      } as KubeObject,
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-s`, namespace, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        endpoints: [0, 1, 2].map((n) => ({
          addresses: [`10.244.${((i * 3 + n) >> 8) & 255}.${(i * 3 + n) & 255}`],
          conditions: { ready: true },
        })),
        ports,
      } as KubeObject,
    );
  }
  return objects;
}

export function serviceName(i: number): string {
  return `svc-${i}.ns-${i % 100}.svc.cluster.local.`;
}

interface Bench {
  readonly deliver: Deliver;
  replies(): number;
  bytes(): number;
  stop(): Promise<unknown>;
}

async function serve(objects: readonly KubeObject[], cache: boolean): Promise<Bench> {
  let deliver: Deliver | undefined;
  let replies = 0;
  let bytes = 0;
  const port: UdpPort = {
    local: { address: '10.244.0.2', port: 53 },
    onMessage: (handler) => {
      deliver = handler;
    },
    onError: () => {},
    send: (reply) => {
      replies++;
      bytes += reply.length;
    },
    close: () => {},
  };
  const sockets: DnsSockets = {
    listenUdp: async () => port,
    listenTcp: async (address, number) => ({ local: { address, port: number }, close: () => {} }),
    openUdp: () => Promise.reject(new Error('there is no upstream')),
    connectTcp: () => Promise.reject(new Error('there is no upstream')),
  };
  const source = new ManifestObjects();
  source.replace(objects);
  const abort = new AbortController();
  let ended: Promise<unknown> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    ended = runCoreDns({
      ...{ sockets, objects: source, corefile: corefile(cache), clock: new RealClock(), rng: new SeededRng(1) },
      ...{ log: () => {}, signal: abort.signal, localAddresses: ['10.244.0.2'], resolvConf: '' },
      onListening: () => resolve(),
    }).then(() => reject(new Error('it ended')));
    ended.catch(() => {});
  });
  return {
    deliver: (query, from) => deliver!(query, from),
    replies: () => replies,
    bytes: () => bytes,
    async stop() {
      abort.abort();
      await ended.catch(() => {});
    },
  };
}

/** A query as glibc sends it: recursion desired, no EDNS; or as dig does, with an OPT record. */
export function queryBytes(name: string, type: number, edns: boolean): Uint8Array {
  const question = { name, type, class: 1 };
  const opt = edns ? { udpSize: 1232, version: 0, dnssecOk: false, options: [] } : undefined;
  const nothing = { rcode: 0, answer: [], authority: [], additional: [] };
  return encodeMessage({ id: 1, flags: FLAG_RD, question, edns: opt, ...nothing }, 65535)!;
}

interface Load {
  readonly what: string;
  readonly services: number;
  readonly cache: boolean;
  readonly names: (services: number) => Uint8Array[];
}

const addresses = (services: number): Uint8Array[] =>
  Array.from({ length: services }, (_, i) => queryBytes(serviceName(i), TYPE.A, false));
const LOADS: readonly Load[] = [
  { what: 'kubernetes, A', services: 10, cache: false, names: addresses },
  { what: 'kubernetes, A', services: 10_000, cache: false, names: addresses },
  {
    what: 'kubernetes, A with EDNS',
    services: 10_000,
    cache: false,
    names: (n) => Array.from({ length: n }, (_, i) => queryBytes(serviceName(i), TYPE.A, true)),
  },
  {
    what: 'kubernetes, NXDOMAIN (search path)',
    services: 10_000,
    cache: false,
    names: (n) =>
      Array.from({ length: n }, (_, i) => queryBytes(`svc-${i}.ns-0.ns-1.svc.cluster.local.`, TYPE.A, false)),
  },
  {
    what: 'kubernetes, AAAA (no data)',
    services: 10_000,
    cache: false,
    names: (n) => Array.from({ length: n }, (_, i) => queryBytes(serviceName(i), TYPE.AAAA, false)),
  },
  {
    what: 'kubernetes, SRV',
    services: 10_000,
    cache: false,
    names: (n) => Array.from({ length: n }, (_, i) => queryBytes(`_http._tcp.${serviceName(i)}`, TYPE.SRV, false)),
  },
  { what: 'cached, A', services: 10, cache: true, names: addresses },
  { what: 'cached, A', services: 9_000, cache: true, names: addresses },
];

const BATCH = 1000;

async function measure(load: Load, seconds: number): Promise<InProcessFigure> {
  const bench = await serve(serviceObjects(load.services), load.cache);
  const queries = load.names(load.services);
  const from: Address = { address: '10.244.0.9', port: 40000 };
  let next = 0;
  const round = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const query = queries[next]!;
      next = next + 1 === queries.length ? 0 : next + 1;
      // A new id each time, as a client has it.
      query[0] = i >> 8;
      query[1] = i;
      bench.deliver(query, from);
    }
  };
  round(100_000);
  let gcMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) gcMs += entry.duration;
  });
  observer.observe({ entryTypes: ['gc'] });
  await new Promise((resolve) => setTimeout(resolve, 10));
  gcMs = 0;
  // Allocation: heap growth over runs short enough that most see no collection; the largest quotient is such a run.
  let bytesPerQuery = 0;
  for (let i = 0; i < 10; i++) {
    const before = process.memoryUsage().heapUsed;
    round(BATCH);
    bytesPerQuery = Math.max(bytesPerQuery, (process.memoryUsage().heapUsed - before) / BATCH);
  }
  const before = bench.replies();
  const cpu = process.cpuUsage();
  const endMs = performance.now() + seconds * 1000;
  let count = 0;
  while (performance.now() < endMs) {
    round(BATCH);
    count += BATCH;
  }
  const used = process.cpuUsage(cpu);
  const elapsedMs = (used.user + used.system) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 10));
  observer.disconnect();
  if (bench.replies() - before !== count)
    throw new Error(`${load.what}: ${bench.replies() - before} of ${count} answered`);
  await bench.stop();
  return {
    what: load.what,
    services: load.services,
    queriesPerSecond: Math.round((count / elapsedMs) * 1000),
    nsPerQuery: Math.round((elapsedMs * 1e6) / count),
    bytesPerQuery: Math.round(bytesPerQuery),
    gcMsPerMillion: Math.round((gcMs / count) * 1e6),
  };
}

/** All loads, one after the other. */
export async function measureInProcess(seconds: number): Promise<InProcessFigure[]> {
  const figures: InProcessFigure[] = [];
  for (const load of LOADS) figures.push(await measure(load, seconds));
  return figures;
}

export interface ScaleFigure {
  readonly services: number;
  readonly endpoints: number;
  /** From the objects at hand to the first answer. */
  readonly syncMs: number;
  /** What the server keeps of them, the objects themselves left out. */
  readonly heapMiB: number;
}

/** Time to take in so many Services with three endpoints each, and the heap that takes. */
export async function measureScale(services: number): Promise<ScaleFigure> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const objects = serviceObjects(services);
  collect();
  const before = process.memoryUsage().heapUsed;
  const startMs = performance.now();
  const bench = await serve(objects, false);
  bench.deliver(queryBytes(serviceName(services - 1), TYPE.A, false), { address: '10.244.0.9', port: 40000 });
  const syncMs = performance.now() - startMs;
  if (bench.replies() !== 1) throw new Error('no answer');
  collect();
  const heapMiB = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  await bench.stop();
  if (objects.length === 0) throw new Error('the objects were let go'); // keeps them out of the difference
  return { services, endpoints: services * 3, syncMs, heapMiB };
}
