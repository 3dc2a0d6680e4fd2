// bench dns: the cluster DNS under load.
//   node dist/bench/dns.js [-o json] [--rounds N] [--seconds S] [--services N] [--in-process] [--grown N]
// In process (dns/in-process.ts): answers a second in one thread, without a network. Then, as root and where the programs are
// installed, dnsperf (dns/load.ts) from a Pod through the kube-dns ClusterIP, in turns with dnsmasq and unbound behind a veth pair;
// and a cluster that grows from ten Services to N (10000; dns/scale.ts).
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { scratch } from './clean-up.ts';
import { measureInProcess, measureScale } from './dns/in-process.ts';
import {
  type Contender,
  dnsmasq,
  type Latency,
  type Load,
  latency,
  load,
  type Name,
  names,
  podwire,
  questions,
  unbound,
} from './dns/load.ts';
import { type GrownFigure, grow } from './dns/scale.ts';
import { median } from './median.ts';
import { isInstalled } from './wire/contender.ts';

const SUBJECT = 'Podwire';
/** Issue 6: least ratio of Podwire's answers a second to dnsmasq's, and the least in process. */
const TARGET_RATIO = 0.5;
const TARGET_IN_PROCESS = 200_000;
/** ... and from a change in the API to the changed answer. */
const TARGET_TO_ANSWER_MS = 100;
const FEW = 10;

interface Row {
  readonly name: string;
  readonly loads: Load[];
  latency?: Latency;
}

async function overTheWire(services: number, rounds: number, seconds: number): Promise<Row[]> {
  const list = names(services);
  const { dir, remove } = scratch();
  const file = join(dir, 'questions');
  writeFileSync(file, questions(list));
  const made: Contender[] = [];
  try {
    for (const make of [podwire, dnsmasq, unbound]) {
      try {
        made.push(await make(list));
      } catch (error) {
        console.error(`dns: without ${make.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const rows = made.map((contender): Row => ({ name: contender.name, loads: [] }));
    for (const contender of made) await load(contender, file, 1); // warming up
    for (let round = 0; round < rounds; round++) {
      for (let k = 0; k < made.length; k++) {
        const i = (k + round) % made.length; // another one first each round
        rows[i]!.loads.push(await load(made[i]!, file, seconds));
      }
    }
    for (let i = 0; i < made.length; i++) rows[i]!.latency = await latency(made[i]!, file, seconds);
    return rows;
  } finally {
    for (const contender of made) await contender.close();
    await remove();
  }
}

/** Ten Services, then `services`, in one cluster. */
async function grown(services: number, seconds: number): Promise<GrownFigure[]> {
  const { dir, remove } = scratch();
  const write = (list: readonly Name[]): string => {
    const file = join(dir, `questions-${list.length}`);
    writeFileSync(file, questions(list));
    return file;
  };
  const cluster = await podwire(names(FEW));
  try {
    return [await grow(cluster, 0, FEW, seconds, write), await grow(cluster, FEW, services, seconds, write)];
  } finally {
    await cluster.close();
    await remove();
  }
}

function printGrown(figures: readonly GrownFigure[]): void {
  for (const { services, endpoints, fillS, residentMiB, latency: all, ofTen, toAnswerMs } of figures) {
    const met = toAnswerMs.p99 < TARGET_TO_ANSWER_MS ? 'met' : 'MISSED';
    const text = (l: Latency): string =>
      `p50 ${l.p50Ms.toFixed(3)} p90 ${l.p90Ms.toFixed(3)} p99 ${l.p99Ms.toFixed(3)} ms`;
    console.log(
      `\n${services} Services, ${endpoints} endpoints: filled in ${fillS.toFixed(1)} s, the process has ${residentMiB.toFixed(0)} MiB\n` +
        `  asked for all names: ${text(all)}\n  in turns, for ten:   ${text(ofTen)}\n` +
        `  from a change in the API to the changed answer: p50 ${toAnswerMs.p50} p99 ${toAnswerMs.p99} ms (target ${TARGET_TO_ANSWER_MS}: ${met})`,
    );
  }
}

function summarize(rows: readonly Row[]) {
  const subject = rows.find((row) => row.name === SUBJECT);
  return rows.map((row) => {
    const qps = row.loads.map((one) => one.queriesPerSecond);
    const ratios =
      subject === undefined || subject === row ? [] : subject.loads.map((one, i) => one.queriesPerSecond / qps[i]!);
    return {
      name: row.name,
      queriesPerSecond: qps,
      median: median(qps),
      lost: row.loads.reduce((sum, one) => sum + one.lost, 0),
      averageMs: median(row.loads.map((one) => one.averageMs)),
      latency: row.latency,
      ratio: ratios.length === 0 ? undefined : median(ratios),
      target: row.name === 'dnsmasq' ? TARGET_RATIO : undefined,
    };
  });
}

function printTable(rows: ReturnType<typeof summarize>): void {
  console.log('\nqueries/s      median      min      max   lost  p50 ms  p90 ms  p99 ms   Podwire / it');
  for (const row of rows) {
    const qps = [row.median, Math.min(...row.queriesPerSecond), Math.max(...row.queriesPerSecond)];
    const times = row.latency === undefined ? [] : [row.latency.p50Ms, row.latency.p90Ms, row.latency.p99Ms];
    const verdict =
      row.ratio === undefined
        ? ''
        : `${row.ratio.toFixed(2)}${row.target === undefined ? '' : ` (target ${row.target}: ${row.ratio >= row.target ? 'met' : 'MISSED'})`}`;
    console.log(
      `${row.name.padEnd(11)} ${qps.map((v) => v.toFixed(0).padStart(8)).join(' ')} ${String(row.lost).padStart(6)} ${times.map((v) => v.toFixed(3).padStart(7)).join(' ')}   ${verdict}`.trimEnd(),
    );
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o', default: 'text' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      services: { type: 'string', default: '1000' },
      'in-process': { type: 'boolean', default: false },
      grown: { type: 'string', default: '10000' },
    },
  });
  const seconds = Number(values.seconds);
  const json = values.output === 'json';
  const machine = `${cpus().length} x ${cpus()[0]!.model}, Linux ${release()}, Node ${process.versions.node}`;
  if (!json) console.log(machine);
  const inProcess = await measureInProcess(Math.min(seconds, 2));
  if (!json) {
    console.log(
      `\nin process, one thread, target ${TARGET_IN_PROCESS} answers/s      Services  answers/s  ns/query  heap bytes/query`,
    );
    for (const f of inProcess) {
      const verdict = f.queriesPerSecond >= TARGET_IN_PROCESS ? 'met' : 'MISSED';
      console.log(
        `${f.what.padEnd(56)} ${String(f.services).padStart(6)} ${String(f.queriesPerSecond).padStart(10)} ${String(f.nsPerQuery).padStart(9)} ${String(f.bytesPerQuery).padStart(17)}  ${verdict}`,
      );
    }
  }
  const scale = [await measureScale(10), await measureScale(10_000)];
  if (!json) {
    console.log('\nServices  endpoints  ms to the first answer  MiB of heap');
    for (const f of scale)
      console.log(
        `${String(f.services).padStart(8)} ${String(f.endpoints).padStart(10)} ${f.syncMs.toFixed(1).padStart(23)} ${f.heapMiB.toFixed(1).padStart(12)}`,
      );
  }
  let rows: ReturnType<typeof summarize> = [];
  let growth: GrownFigure[] = [];
  if (!values['in-process']) {
    const missing = ['ip', 'dig', 'dnsperf'].filter((program) => !isInstalled(program));
    if (process.getuid?.() !== 0) console.error('dns: without dnsperf: network namespaces need root');
    else if (missing.length > 0) console.error(`dns: without dnsperf: ${missing.join(', ')} not installed`);
    else {
      rows = summarize(await overTheWire(Number(values.services), Number(values.rounds), seconds));
      if (!json) printTable(rows);
      if (Number(values.grown) > FEW) growth = await grown(Number(values.grown), seconds);
      if (!json && growth.length > 0) printGrown(growth);
    }
  }
  if (json)
    console.log(JSON.stringify({ bench: 'dns', machine, inProcess, scale, overTheWire: rows, grown: growth }, null, 2));
}

try {
  await main();
  process.exit(process.exitCode);
} catch (error) {
  console.error(`dns: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
