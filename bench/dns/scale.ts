// A cluster that grows: the same questions with ten Services and with ten thousand, three endpoints each. How long it takes until
// the last of them answers, what the process weighs, and whether answers come later than before. Machines are noisy: latency is the
// median of rounds, in which the grown cluster is asked for few names and for all of them in turn.

import type { Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import { ENDPOINTSLICES, SERVICES } from '../../src/api/resources.ts';
import { runInPod } from '../cluster/run-in-pod.ts';
import { timesToAnswer } from './first-answer.ts';
import { type Cluster, type Latency, latency, type Name, names } from './load.ts';

export interface GrownFigure {
  readonly services: number;
  readonly endpoints: number;
  /** From the first object made to the last name's first answer; making them is most of it. */
  readonly fillS: number;
  readonly residentMiB: number;
  /** Of questions for names all over the cluster, and in the same rounds for ten of them. */
  readonly latency: Latency;
  readonly ofTen: Latency;
  /** From the change in the API to the changed answer. */
  readonly toAnswerMs: { readonly p50: number; readonly p99: number };
}

const TEN = 10;
const ROUNDS = 3;
const AT_ONCE = 32;
const LIMIT_MS = 120_000;

/** `write` puts the names' questions into a file for dnsperf. The cluster has `from` Services and gets those up to `services`. */
export async function grow(
  cluster: Cluster,
  from: number,
  services: number,
  seconds: number,
  write: (list: readonly Name[]) => string,
): Promise<GrownFigure> {
  const list = names(services);
  const startMs = performance.now();
  await fill(cluster, list.slice(from), from);
  await answers(cluster, list.at(-1)!);
  const fillS = (performance.now() - startMs) / 1000;
  const residentMiB = process.memoryUsage().rss / 2 ** 20;
  const files = [write(list), write(list.slice(0, TEN))];
  const rounds: Latency[][] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    for (const i of [0, 1]) rounds[i]!.push(await latency(cluster, files[i]!, seconds));
  }
  const times = await timesToAnswer(cluster.running, 50);
  const at = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))]!;
  return {
    ...{
      services,
      endpoints: services * 3,
      fillS,
      residentMiB,
      latency: median(rounds[0]!),
      ofTen: median(rounds[1]!),
    },
    toAnswerMs: { p50: at(0.5), p99: at(0.99) },
  };
}

function median(list: readonly Latency[]): Latency {
  const of = (pick: (one: Latency) => number): number => list.map(pick).sort((a, b) => a - b)[list.length >> 1]!;
  return { p50Ms: of((one) => one.p50Ms), p90Ms: of((one) => one.p90Ms), p99Ms: of((one) => one.p99Ms) };
}

async function fill({ running }: Cluster, list: readonly Name[], first: number): Promise<void> {
  const { client } = running.cluster;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < list.length) {
      const i = next++;
      const [name, namespace] = list[i]!.name.split('.') as [string, string];
      const metadata = { name, namespace };
      const ports = [{ name: 'http', port: 80, protocol: 'TCP' as const }];
      const clusterIP = list[i]!.address;
      const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP, ports } } as Service;
      if (first > 0) await client.create(SERVICES, service as never);
      await client.create(ENDPOINTSLICES, slice(name, namespace, first + i) as never);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function slice(name: string, namespace: string, i: number): EndpointSlice {
  const addresses = [0, 1, 2].map(
    (n) => `10.${200 + (((3 * i + n) >> 16) & 31)}.${((3 * i + n) >> 8) & 255}.${(3 * i + n) & 255}`,
  );
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-bench`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  };
}

async function answers({ running }: Cluster, { name, address }: Name): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const argv = ['dig', '+short', '+time=1', '+tries=1', name];
    const { output } = await runInPod(running.cluster, 'default', 'client', argv).catch(() => ({ output: '' }));
    if (output.includes(address)) return;
    if (Date.now() > end) throw new Error(`no answer for ${name}: ${output}`);
  }
}
