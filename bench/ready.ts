// bench ready: from the start of the process to the first DNS answer that a Pod gets, as `dig` in that Pod sees it.
//   node dist/bench/ready.js [-o json] [--rounds N]
// Each round is a process of its own: Node.js's own start counts. netns Pods need root; without it only userspace is measured.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseManifests } from '../src/api/manifest.ts';
import { launch } from '../src/cli/launch.ts';
import { missingForNetns } from '../src/cli/requirements.ts';
import type { RuntimeHandler } from '../src/cluster/settings.ts';
import { onEnd, scratch } from './clean-up.ts';
import { runInPod } from './cluster/run-in-pod.ts';
import { median } from './median.ts';

const TARGET_S = 1; // DESIGN.md, section 7
const LIMIT_MS = 60_000;
const POD = `
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  containers:
  - {name: client, image: busybox, args: [sleep, infinity]}
`;

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'text' },
    rounds: { type: 'string', default: '5' },
    child: { type: 'string' },
  },
});

if (values.child) await child(values.child as RuntimeHandler);
else await parent();

/** One cluster: prints the wall time of its first answer, and ends. */
async function child(runtime: RuntimeHandler): Promise<void> {
  const starting = launch({ nodes: 1, runtime, offload: true }, () => {});
  const stop = onEnd(async () => (await starting).stop());
  const { cluster } = await starting;
  await cluster.apply(parseManifests(POD, 'client.yml'), () => {});
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const answer = await runInPod(cluster, 'default', 'client', [
      'dig',
      '+short',
      '+time=1',
      '+tries=1',
      'kubernetes.default.svc.cluster.local',
    ]).catch(
      () => ({ code: 1, output: '' }), // not running yet
    );
    if (answer.output.includes('10.96.0.1\n')) break;
    if (Date.now() > end) throw new Error(`no DNS answer within ${LIMIT_MS} ms; last: ${answer.output}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  process.stdout.write(`${Date.now()}\n`);
  await stop();
  process.exit(0);
}

async function parent(): Promise<void> {
  const runtimes: RuntimeHandler[] = missingForNetns().length === 0 ? ['userspace', 'netns'] : ['userspace'];
  const seconds: Record<string, number[]> = {};
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const runtime of runtimes) {
      seconds[runtime] = [...(seconds[runtime] ?? []), await measure(runtime)];
    }
  }
  const rows = Object.entries(seconds).map(([runtime, list]) => ({
    runtime,
    medianS: median(list),
    minS: Math.min(...list),
    maxS: Math.max(...list),
  }));
  if (values.output === 'json') {
    process.stdout.write(`${JSON.stringify({ bench: 'ready', targetS: TARGET_S, rows }, null, 2)}\n`);
    return;
  }
  process.stdout.write('Seconds from process start to the first DNS answer in a Pod\n');
  for (const { runtime, medianS, minS, maxS } of rows) {
    const verdict = medianS < TARGET_S ? 'ok' : 'MISSED';
    process.stdout.write(
      `${runtime.padEnd(10)} median ${medianS.toFixed(2)}  min ${minS.toFixed(2)}  max ${maxS.toFixed(2)}  target < ${TARGET_S}: ${verdict}\n`,
    );
  }
}

async function measure(runtime: RuntimeHandler): Promise<number> {
  const { dir, remove } = scratch();
  const startMs = Date.now();
  const process_ = spawn(process.execPath, [fileURLToPath(import.meta.url), '--child', runtime], {
    env: { ...process.env, PODWIRE_RUN_DIR: join(dir, 'run') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = onEnd(async () => {
    if (process_.exitCode !== null) return;
    const closed = once(process_, 'close');
    process_.kill('SIGTERM');
    await closed;
  });
  let output = '';
  process_.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    const [code] = await once(process_, 'close');
    if (code !== 0) throw new Error(`a ${runtime} round ended with ${code}`);
    return (Number(output.trim()) - startMs) / 1000;
  } finally {
    await stop();
    await remove();
  }
}
