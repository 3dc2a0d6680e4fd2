// bench pods: many Pods on one Node come up, each resolves a Service and reaches it. Prints times and memory.
//   node dist/bench/pods.js [-o json] [--pods N]
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseManifests } from '../src/api/manifest.ts';
import { PODS } from '../src/api/resources.ts';
import { launch, podsReady } from '../src/cli/launch.ts';
import { missingForNetns } from '../src/cli/requirements.ts';
import type { RuntimeHandler } from '../src/cluster/settings.ts';
import { onEnd, scratch } from './clean-up.ts';
import { runInPod } from './cluster/run-in-pod.ts';

const SERVERS = 4;
const AT_ONCE = 8;
const READY_LIMIT_MS = 300_000;

interface Row {
  readonly runtime: string;
  readonly pods: number;
  readonly readyS: number;
  readonly reached: number;
  readonly fetchS: number;
  readonly downS: number;
  /** Of Podwire's own process. */
  readonly rssMiB: number;
  /** Of the Pods' processes together, proportional shares. */
  readonly podsPssMiB: number;
}

const { values } = parseArgs({
  options: { output: { type: 'string', short: 'o', default: 'text' }, pods: { type: 'string', default: '200' } },
});

const runtimes: RuntimeHandler[] = missingForNetns().length === 0 ? ['userspace', 'netns'] : ['userspace'];
const rows: Row[] = [];
for (const runtime of runtimes) rows.push(await measure(runtime, Number(values.pods)));
if (values.output === 'json') process.stdout.write(`${JSON.stringify({ bench: 'pods', rows }, null, 2)}\n`);
else {
  for (const r of rows) {
    process.stdout.write(
      `${r.runtime.padEnd(10)} ${r.pods} Pods ready in ${r.readyS.toFixed(2)} s (${Math.round(r.pods / r.readyS)}/s), ` +
        `${r.reached} resolved and reached the Service in ${r.fetchS.toFixed(2)} s, down in ${r.downS.toFixed(2)} s; ` +
        `Podwire ${r.rssMiB} MiB, Pods' processes ${r.podsPssMiB} MiB\n`,
    );
  }
}
process.exit(rows.every((r) => r.reached === r.pods - SERVERS) ? 0 : 1);

async function measure(runtime: RuntimeHandler, pods: number): Promise<Row> {
  const { dir, remove } = scratch();
  process.env['PODWIRE_RUN_DIR'] = join(dir, 'run');
  const starting = launch({ nodes: 1, runtime, offload: true }, () => {});
  const stop = onEnd(async () => (await starting).stop());
  const { cluster } = await starting;
  try {
    await podsReady(cluster, READY_LIMIT_MS, () => {});
    const startMs = performance.now();
    await cluster.apply(parseManifests(manifest(pods), 'pods.yml'), () => {});
    let seen = 0;
    while (seen < pods) {
      await podsReady(cluster, READY_LIMIT_MS, () => {});
      seen = (await cluster.client.list(PODS, { namespace: 'default' })).items.length;
    }
    const readyS = (performance.now() - startMs) / 1000;
    const clients = (await cluster.client.list(PODS, { namespace: 'default', labelSelector: 'app=client' })).items.map(
      (p) => p.metadata.name,
    );
    const fetchMs = performance.now();
    let reached = 0;
    const queue = [...clients];
    const worker = async (): Promise<void> => {
      for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
        const { code, output } = await runInPod(cluster, 'default', name, ['curl', '-sS', '--max-time', '20', 'web']);
        if (code === 0 && output.includes('It works')) reached++;
        else process.stderr.write(`${runtime}: ${name}: ${output}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const fetchS = (performance.now() - fetchMs) / 1000;
    const rssMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
    const podsPssMiB = Math.round(podProcessesKiB() / 1024);
    const downMs = performance.now();
    await stop();
    return { runtime, pods, readyS, reached, fetchS, downS: (performance.now() - downMs) / 1000, rssMiB, podsPssMiB };
  } finally {
    await stop();
    await remove();
  }
}

function manifest(pods: number): string {
  const deployment = (name: string, replicas: number, container: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [${container}]}
---`;
  return `${deployment('web', SERVERS, '{name: web, image: nginx}')}
${deployment('client', pods - SERVERS, '{name: client, image: busybox, args: [sleep, infinity]}')}
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`;
}

/** Sum of the proportional set sizes of every process below pod-init of this process. */
function podProcessesKiB(): number {
  const parents = new Map<number, number>();
  for (const pid of readdirSync('/proc')
    .filter((n) => /^\d+$/.test(n))
    .map(Number)) {
    try {
      parents.set(
        pid,
        Number(
          readFileSync(`/proc/${pid}/stat`, 'utf8')
            .replace(/^.*\) \S+ /s, '')
            .split(' ')[0],
        ),
      );
    } catch {
      // ended meanwhile
    }
  }
  const isOurs = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined; at = parents.get(at)) if (at === process.pid) return true;
    return false;
  };
  let sum = 0;
  for (const pid of parents.keys()) {
    if (!isOurs(pid)) continue;
    try {
      sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // ended meanwhile
    }
  }
  return sum;
}
