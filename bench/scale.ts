// bench scale: the API server through its real face. Pods a second from POST to Running (scheduled by the scheduler, reported by the kubelets
// of hollow Nodes, all over HTTPS); a list of 10,000 Pods; 1,000 watchers that all hear of every change.
//   node dist/bench/scale.js [-o json] [--pods N] [--watchers N]
// The server is one process, all its clients another, so each figure holds the work of both on as many cores as there are.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ApiLoad, lines } from './scale/api-client.ts';
import { startHollowNode } from './scale/hollow-node.ts';
import type { Started, Usage } from './scale/server.ts';

const NODES = 10;
const CREATORS = 50;
const LISTS = 20;
/** One after the other, so that a latency is that of the fan-out and not of a queue. */
const PACED_CHANGES = 50;
/** All at once: how much gets through. */
const BURST_CHANGES = 100;

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'text' },
    pods: { type: 'string', default: '10000' },
    watchers: { type: 'string', default: '1000' },
  },
});
const pods = Number(values.pods);
const watchers = Number(values.watchers);

const child = fork(fileURLToPath(new URL('./scale/server.js', import.meta.url)), { stdio: 'inherit' });
const [started] = (await once(child, 'message')) as [Started];
const api = new ApiLoad(started);
try {
  for (let i = 0; i < NODES; i++) await startHollowNode(api, i);
  const created = await createPods(pods);
  const listed = await listPods();
  const watched = await watchPods();
  const result = { bench: 'scale', pods, watchers, created, listed, watched };
  process.stdout.write(values.output === 'json' ? `${JSON.stringify(result, null, 2)}\n` : text(result));
} finally {
  api.close();
  child.disconnect();
}

async function createPods(count: number) {
  let running = 0;
  let done = (): void => {};
  const allRun = new Promise<void>((resolve) => {
    done = resolve;
  });
  const seen = new Set<string>();
  const stream = await api.watch(
    '/api/v1/namespaces/default/pods?watch=true',
    lines((line) => {
      if (!line.includes('"phase":"Running"')) return;
      const name = /"name":"(p\d+)"/.exec(line)![1]!;
      if (seen.has(name)) return;
      seen.add(name);
      if (++running === count) done();
    }),
  );
  const before = await usage(child);
  const startMs = performance.now();
  let next = 0;
  const create = async (): Promise<void> => {
    while (next < count) await api.request('POST', '/api/v1/namespaces/default/pods', pod(next++));
  };
  await Promise.all(Array.from({ length: CREATORS }, create));
  const createdS = (performance.now() - startMs) / 1000;
  await allRun;
  const runningS = (performance.now() - startMs) / 1000;
  const after = await usage(child);
  stream.close();
  return {
    createdPerS: round(count / createdS),
    runningPerS: round(count / runningS),
    serverCpuMsPerPod: round((after.cpuMs - before.cpuMs) / count, 2),
    serverMiB: mib(after),
  };
}

async function listPods() {
  const times: number[] = [];
  let bytes = 0;
  for (let i = 0; i < LISTS; i++) {
    const startMs = performance.now();
    bytes = (await api.request('GET', '/api/v1/pods')).length;
    times.push(performance.now() - startMs);
  }
  const chunkedMs = performance.now();
  let token = '';
  do {
    const page = await api.request('GET', `/api/v1/pods?limit=500&continue=${encodeURIComponent(token)}`);
    token = /"continue":"([^"]+)"/.exec(page.toString('latin1', 0, 500))?.[1] ?? '';
  } while (token !== '');
  return { ...spread(times), bytes, chunksOf500Ms: round(performance.now() - chunkedMs) };
}

async function watchPods() {
  const { metadata } = JSON.parse((await api.request('GET', '/api/v1/pods?limit=1')).toString()) as {
    metadata: { resourceVersion: string };
  };
  const before = await usage(child);
  let events = 0;
  const latencies: number[] = [];
  const onEvent = (line: string): void => {
    events++;
    const sent = /"sent":"([\d.]+)"/.exec(line)?.[1];
    if (sent) latencies.push(performance.now() - Number(sent));
  };
  const path = `/api/v1/pods?watch=true&resourceVersion=${metadata.resourceVersion}`;
  const streams = await Promise.all(Array.from({ length: watchers }, () => api.watch(path, lines(onEvent))));
  const opened = await usage(child);
  const change = (i: number): Promise<Buffer> => {
    const patch = { metadata: { annotations: { sent: String(performance.now()) } } };
    return api.request('PATCH', `/api/v1/namespaces/default/pods/p${i}`, patch, 'application/merge-patch+json');
  };
  const until = async (count: number): Promise<void> => {
    while (events < count) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  for (let i = 0; i < PACED_CHANGES; i++) {
    await change(i);
    await until((i + 1) * watchers);
  }
  const paced = spread(latencies);
  const startMs = performance.now();
  const cpu = await usage(child);
  await Promise.all(Array.from({ length: BURST_CHANGES }, (_, i) => change(i)));
  await until((PACED_CHANGES + BURST_CHANGES) * watchers);
  const burstS = (performance.now() - startMs) / 1000;
  const after = await usage(child);
  for (const stream of streams) stream.close();
  return {
    paced,
    burstEventsPerS: round((BURST_CHANGES * watchers) / burstS),
    serverCpuUsPerEvent: round(((after.cpuMs - cpu.cpuMs) * 1000) / (BURST_CHANGES * watchers), 2),
    kibPerWatcher: round((opened.rssBytes - before.rssBytes) / 1024 / watchers, 1),
    serverMiB: mib(after),
  };
}

function pod(i: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${i}`, labels: { app: `a${i % 100}` } },
    spec: { containers: [{ name: 'c', image: 'nginx', resources: { requests: { cpu: '10m' } } }] },
  };
}

async function usage(of: ChildProcess): Promise<Usage> {
  of.send('usage');
  return ((await once(of, 'message')) as [Usage])[0];
}

function spread(times: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (q: number): number => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!, 1);
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

function mib({ rssBytes }: Usage): number {
  return Math.round(rssBytes / 2 ** 20);
}

function round(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}

type Result = {
  readonly pods: number;
  readonly watchers: number;
  readonly created: Awaited<ReturnType<typeof createPods>>;
  readonly listed: Awaited<ReturnType<typeof listPods>>;
  readonly watched: Awaited<ReturnType<typeof watchPods>>;
};

function text({ pods: count, watchers: ears, created, listed, watched }: Result): string {
  return (
    `create   ${created.createdPerS} Pods/s created, ${created.runningPerS}/s Running; ` +
    `${created.serverCpuMsPerPod} ms of the server's CPU a Pod (${round(1000 / created.serverCpuMsPerPod)}/s a core), ${created.serverMiB} MiB with ${count}\n` +
    `list     ${count} Pods in ${listed.p50Ms} ms, p99 ${listed.p99Ms} ms, ${(listed.bytes / 1e6).toFixed(1)} MB; in chunks of 500 ${listed.chunksOf500Ms} ms\n` +
    `watch    ${ears} watchers hear of a change within ${watched.paced.p50Ms} ms, p99 ${watched.paced.p99Ms} ms; of ${BURST_CHANGES} at once ` +
    `${watched.burstEventsPerS} events/s, ${watched.serverCpuUsPerEvent} µs of the server's CPU each; ${watched.kibPerWatcher} KiB a watcher, ${watched.serverMiB} MiB in all\n`
  );
}
