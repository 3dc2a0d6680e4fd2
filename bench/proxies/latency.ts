// Network programming latency, as sig-scalability measures it, on a whole cluster of this process: API server, controllers and
// cluster DNS in the main thread, the Node in its own, the Services and slices made through the API. One write of an EndpointSlice at
// a time puts another address in; from before the write until the Node's what-if engine, which walks the rules that run, sends a
// packet there. It is asked every POLL_MS, and a question takes a call to the Node's thread and back, so a figure is a few milliseconds
// too long, never too short.
import { join } from 'node:path';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { Stored } from '../../src/api/meta.ts';
import { ENDPOINTSLICES, PODS, SERVICES } from '../../src/api/resources.ts';
import { launch, podsReady } from '../../src/cli/launch.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { onEnd, scratch } from '../clean-up.ts';
import { quantile } from './fit.ts';

export interface LatencyOptions {
  readonly mode: ProxyMode;
  readonly services: number;
  readonly endpoints: number;
  readonly writes: number;
}

export interface LatencyResult extends LatencyOptions {
  /** Making all Services and slices through the API, and until the Node has the last of them. */
  readonly loadS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly rssMiB: number;
}

const NAMESPACE = 'default';
const AT_ONCE = 32;
/** Pods that are there to be endpoints; each Service has some of them, and a write puts another one in. */
const PODS_COUNT = 12;
const LIMIT_MS = 60_000;
/** Between writes: the Node is at rest, as it mostly is. */
const PAUSE_MS = 20;
const POLL_MS = 2;
/** The first writes find code that has not run yet, and are not counted. */
const WARM_UP = 10;

export async function measureLatency(options: LatencyOptions): Promise<LatencyResult> {
  const { mode, services, endpoints, writes } = options;
  const { dir, remove } = scratch();
  process.env['PODWIRE_RUN_DIR'] = join(dir, 'run');
  const starting = launch(
    { nodes: 1, proxyMode: mode, ipvsScheduler: 'rr', runtime: 'userspace', offload: true },
    () => {},
  );
  const stop = onEnd(async () => (await starting).stop());
  const { cluster } = await starting;
  try {
    const pods = await podAddresses(cluster);
    const startMs = performance.now();
    const clusterIPs = await load(cluster, services, (i) => endpointsOf(pods, i, endpoints));
    await reached(cluster, clusterIPs.at(-1)!, endpointsOf(pods, services - 1, endpoints)[0]!);
    const loadS = (performance.now() - startMs) / 1000;
    const latencies: number[] = [];
    for (let i = 0; i < WARM_UP + writes; i++) {
      const index = (i * 7919 + 13) % services; // all over the list
      const ms = await changeOne(cluster, index, pods, clusterIPs[index]!);
      if (i >= WARM_UP) latencies.push(ms);
      await pause(PAUSE_MS);
    }
    return {
      ...options,
      loadS,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      maxMs: Math.max(...latencies),
      rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    };
  } finally {
    await stop();
    await remove();
  }
}

async function podAddresses(cluster: Cluster): Promise<string[]> {
  const pods = Array.from({ length: PODS_COUNT }, (_, i) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `endpoint-${i}`, namespace: NAMESPACE, labels: { app: 'endpoint' } },
    spec: { containers: [{ name: 'web', image: 'nginx' }] },
  }));
  for (const pod of pods) await cluster.client.create(PODS, pod);
  await podsReady(cluster, LIMIT_MS, () => {});
  const { items } = await cluster.client.list(PODS, { namespace: NAMESPACE, labelSelector: 'app=endpoint' });
  return items.map(({ status }) => status!.podIP!);
}

/** The ClusterIPs, in order. */
async function load(cluster: Cluster, services: number, endpoints: (i: number) => string[]): Promise<string[]> {
  const clusterIPs: string[] = new Array(services);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < services; i = next++) {
      const name = nameOf(i);
      const made = await cluster.client.create(SERVICES, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: NAMESPACE },
        spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }] },
      });
      clusterIPs[i] = made.spec.clusterIP!;
      await cluster.client.create(ENDPOINTSLICES, sliceOf(name, endpoints(i)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return clusterIPs;
}

/** Milliseconds from the write to the decision. */
async function changeOne(cluster: Cluster, index: number, pods: readonly string[], clusterIP: string): Promise<number> {
  const slice: Stored<EndpointSlice> = await cluster.client.get(ENDPOINTSLICES, NAMESPACE, nameOf(index));
  const fresh = pods.find((pod) => !slice.endpoints.some(({ addresses }) => addresses[0] === pod))!;
  const endpoints = [...slice.endpoints.slice(1), { addresses: [fresh], conditions: { ready: true } }];
  const start = performance.now();
  await cluster.client.update(ENDPOINTSLICES, { ...slice, endpoints });
  await reached(cluster, clusterIP, fresh);
  return performance.now() - start;
}

/** Resolves when the Node would send a Pod's connection to `clusterIP` on to `address`. */
async function reached(cluster: Cluster, clusterIP: string, address: string): Promise<void> {
  const [node] = cluster.nodes;
  const limit = performance.now() + LIMIT_MS;
  while (performance.now() < limit) {
    const answer = await node!.trace({ from: '10.244.0.250', to: clusterIP, toPort: 80, protocol: 'tcp' });
    if (answer.endpoints.some((e) => e.address === address)) return;
    await pause(POLL_MS); // the Node's thread has other things to do, too
  }
  throw new Error(`${clusterIP} does not lead to ${address} after ${LIMIT_MS / 1000} s`);
}

function sliceOf(name: string, addresses: readonly string[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

function nameOf(i: number): string {
  return `s${i}`;
}

function endpointsOf(pods: readonly string[], service: number, count: number): string[] {
  return Array.from({ length: count }, (_, k) => pods[(service + k) % pods.length]!);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
