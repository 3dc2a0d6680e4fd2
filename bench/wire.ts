// bench wire: TCP from Pod to ClusterIP to Pod, by iperf3, through the emulated Node and through its peers, in turns in one
// run: the machine's mood then falls on all alike, and a figure is a ratio within a round.
//   node dist/bench/wire.js [-o json] [--rounds N] [--seconds S] [--only NAME,...]
// Needs root, iperf3, gcc; slirp4netns, iptables and ethtool for their contenders (missing ones are named and left out).
import { spawn } from 'node:child_process';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { scratch } from './clean-up.ts';
import { median } from './median.ts';
import {
  type Contender,
  cLoop,
  isInstalled,
  PORT,
  run,
  slirp,
  stop,
  untilPrints,
  veth,
  workerContender,
} from './wire/contender.ts';

interface Series {
  readonly name: string;
  readonly mtu: number;
  /** Gbit/s received, one a round. */
  readonly gbps: number[];
}

interface Comparison {
  readonly shape: string;
  readonly series: Series[];
}

const SHAPES = [
  { shape: 'offloads on', mtu: 1500, offload: true, slirpMtu: 65520 },
  { shape: 'MTU 1500, no offload', mtu: 1500, offload: false, slirpMtu: 1500 },
] as const;
const SUBJECT = 'Podwire';
/** DESIGN.md section 7: least ratio of Podwire to each peer. */
const TARGETS: Record<string, Record<string, number>> = {
  'offloads on': { 'C loop': 0.9, slirp4netns: 3, 'veth + iptables DNAT': 0.6 },
  'MTU 1500, no offload': { 'C loop': 0.9, slirp4netns: 2 },
};

function compileCLoop(dir: string): string {
  const native = fileURLToPath(new URL('../../native/', import.meta.url));
  const program = join(dir, 'tap-loop');
  const sources = ['bench/tap-loop.c', 'tap.c', 'set.c'].map((file) => join(native, file));
  run('gcc', '-O2', '-D_GNU_SOURCE', '-pthread', '-o', program, ...sources);
  return program;
}

type Maker = readonly [name: string, needs: string, make: () => Promise<Contender>];

async function contenders(
  shape: (typeof SHAPES)[number],
  program: string,
  only: string[] | undefined,
): Promise<Contender[]> {
  const makers: Maker[] = [
    [SUBJECT, 'ip', () => workerContender(SUBJECT, './podwire-node.js', shape)],
    ['JS loop', 'ip', () => workerContender('JS loop', './js-loop.js', shape)],
    ['C loop', 'gcc', () => cLoop(program, shape)],
    ['slirp4netns', 'slirp4netns', () => slirp(shape.slirpMtu)],
    ['veth + iptables DNAT', 'iptables', () => veth(shape)],
  ];
  const made: Contender[] = [];
  for (const [name, needs, make] of makers) {
    if (only && !only.includes(name)) continue;
    if (!isInstalled(needs)) {
      console.error(`wire: without ${name}: ${needs} is not installed`);
      continue;
    }
    try {
      made.push(await make());
    } catch (error) {
      console.error(`wire: without ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return made;
}

/** Gbit/s that the server received in `seconds`, after one second of warming up. */
async function measure(contender: Contender, seconds: number): Promise<number> {
  const server = spawn('ip', [
    'netns',
    'exec',
    contender.serverNetns,
    'iperf3',
    '-s',
    '-1',
    '-p',
    String(PORT),
    '--forceflush',
  ]);
  try {
    await untilPrints(server, 'Server listening');
    const args = [
      '-c',
      contender.target,
      '-p',
      String(PORT),
      '-t',
      String(seconds),
      '-O',
      '1',
      '-J',
      '--connect-timeout',
      '3000',
    ];
    const client = spawn('ip', ['netns', 'exec', contender.clientNetns, 'iperf3', ...args]);
    let text = '';
    client.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const timer = setTimeout(() => client.kill('SIGKILL'), (seconds + 10) * 1000);
    await new Promise((resolve) => client.once('close', resolve));
    clearTimeout(timer);
    const report = JSON.parse(text) as { error?: string; end?: { sum_received?: { bits_per_second: number } } };
    const bps = report.end?.sum_received?.bits_per_second;
    if (report.error || bps === undefined)
      throw new Error(`iperf3 through ${contender.name}: ${report.error ?? 'no result'}`);
    return bps / 1e9;
  } finally {
    await stop(server);
  }
}

async function compare(
  shape: (typeof SHAPES)[number],
  program: string,
  options: { rounds: number; seconds: number; only: string[] | undefined },
): Promise<Comparison> {
  const made = await contenders(shape, program, options.only);
  const series = made.map((c): Series => ({ name: c.name, mtu: c.mtu, gbps: [] }));
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (let k = 0; k < made.length; k++) {
        const i = (k + round) % made.length; // another one first each round
        series[i]!.gbps.push(await measure(made[i]!, options.seconds));
      }
    }
  } finally {
    for (const contender of made) await contender.close();
  }
  return { shape: shape.shape, series };
}

/** Median over the rounds of the ratio within each round. */
function ratio(subject: Series, peer: Series): number {
  return median(subject.gbps.map((gbps, i) => gbps / peer.gbps[i]!));
}

function summarize(comparison: Comparison) {
  const subject = comparison.series.find((s) => s.name === SUBJECT);
  return comparison.series.map((s) => ({
    name: s.name,
    mtu: s.mtu,
    gbps: s.gbps,
    median: median(s.gbps),
    min: Math.min(...s.gbps),
    max: Math.max(...s.gbps),
    ratio: subject && subject !== s ? ratio(subject, s) : undefined,
    target: subject && subject !== s ? TARGETS[comparison.shape]?.[s.name] : undefined,
  }));
}

function printTable(comparison: Comparison): void {
  console.log(`\n${comparison.shape}`);
  console.log(`${'Gbit/s'.padEnd(22)}   MTU  median     min     max   ${SUBJECT} / it   target`);
  for (const row of summarize(comparison)) {
    const figures = [row.median, row.min, row.max].map((v) => v.toFixed(2).padStart(7)).join(' ');
    const target =
      row.target === undefined ? '' : `${row.target.toFixed(2)} ${row.ratio! >= row.target ? 'met' : 'MISSED'}`;
    const ratioText = row.ratio === undefined ? '' : row.ratio.toFixed(2);
    console.log(
      `${row.name.padEnd(22)} ${String(row.mtu).padStart(5)} ${figures}   ${ratioText.padStart(12)}   ${target}`.trimEnd(),
    );
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      only: { type: 'string' },
    },
  });
  if (process.getuid?.() !== 0) throw new Error('bench wire makes network namespaces: needs root');
  for (const needed of ['ip', 'iperf3', 'gcc']) {
    if (!isInstalled(needed)) throw new Error(`bench wire needs ${needed}`);
  }
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const machine = `${cpus().length} x ${cpus()[0]!.model}, Linux ${release()}, Node ${process.versions.node}`;
  const method = `iperf3, one TCP stream, Pod to ClusterIP to Pod; ${rounds} rounds of ${seconds} s after 1 s, contenders in turn`;
  const { dir, remove } = scratch();
  const program = compileCLoop(dir);
  const comparisons: Comparison[] = [];
  const json = values.output === 'json';
  if (!json) console.log(`${machine}\n${method}`);
  try {
    for (const shape of SHAPES) {
      const comparison = await compare(shape, program, { rounds, seconds, only: values.only?.split(',') });
      comparisons.push(comparison);
      if (!json) printTable(comparison);
    }
  } finally {
    await remove();
  }
  if (json) {
    const results = comparisons.map((c) => ({ shape: c.shape, rows: summarize(c) }));
    console.log(JSON.stringify({ bench: 'wire', machine, method, results }, null, 2));
  }
}

try {
  await main();
} catch (error) {
  console.error(`wire: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
