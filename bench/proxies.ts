// bench proxies: what Services cost as they grow, in the three proxy modes of the emulated Node and, beside them in the same run, in
// this machine's own kernel with the same rules: first and established packets, loading the rules, one changed Service, memory, and
// the time from an API write to the Node's decision.
//   node dist/bench/proxies.js [-o json] [--out DIR] [--only packets,peers,sync,latency] [--services N,...] [--rounds N]
//                              [--latency-services N] [--writes N]
// With --out, DIR gets proxies.json, proxies.svg and proxies.txt (the tables). Times of packets are CPU time. How it is measured, and
// results: bench/README.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ProxyMode } from '../src/proxy/config.ts';
import { scratch } from './clean-up.ts';
import { fitLine, type Line, median, ratioByRound } from './proxies/fit.ts';
import { type LatencyResult, measureLatency } from './proxies/latency.ts';
import { measurePackets, type PacketSeries } from './proxies/packets.ts';
import { type Curve, type Panel, plotSvg } from './proxies/plot.ts';
import { compileSender, measurePeer, missingForPeers, PEERS, type PeerResult } from './proxies/real-kernel.ts';
import { measureSync, type SyncResult } from './proxies/sync.ts';
import { isInstalled } from './wire/contender.ts';

const MODES: readonly ProxyMode[] = ['iptables', 'nftables', 'ipvs'];
const COLOURS: Readonly<Record<string, string>> = {
  iptables: '#d62728',
  nftables: '#1f77b4',
  ipvs: '#2ca02c',
  'Linux iptables-legacy': '#8c1c13',
  'Linux iptables-nft': '#ff7f0e',
  'Linux nftables': '#17407a',
};
const MAX_TIME_S = 0.15;
/** Loading more takes nft minutes. */
const MOST_FOR_PEERS = 10_000;
/** What is to be reached. */
const TARGETS = { r2: 0.99, flat: 1.2, latencyMs: 100 } as const;
/** Between which a flat mode is judged. */
const FLAT = [10, 10_000] as const;

interface Series extends PacketSeries {
  readonly name: string;
}

interface Shape {
  readonly name: string;
  /** First packet at FLAT[1] beside FLAT[0]; and established. */
  readonly firstRatio: number | null;
  readonly establishedRatio: number | null;
  /** Nanoseconds of a first packet over Services. */
  readonly line: Line;
}

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'text' },
    out: { type: 'string' },
    only: { type: 'string', default: 'packets,peers,sync,latency' },
    services: { type: 'string', default: '1,10,100,1000,10000,100000' },
    rounds: { type: 'string', default: '5' },
    'latency-services': { type: 'string', default: '10000' },
    writes: { type: 'string', default: '300' },
  },
});
const parts = values.only.split(',');
const sizes = values.services.split(',').map(Number);
const rounds = Number(values.rounds);
const say = (what: string): void => void (process.stderr.isTTY && process.stderr.write(`\r\x1b[Kproxies: ${what}`));

const series: Series[] = [];
const syncs: SyncResult[] = [];
const peers: PeerResult[] = [];
const latencies: LatencyResult[] = [];
const loadBefore = loadavg()[0]!;

if (parts.includes('packets')) {
  for (const mode of MODES)
    series.push(
      ...measurePackets({ mode, sizes, rounds, maxTimeS: MAX_TIME_S }, say).map((s) => ({ ...s, name: mode })),
    );
}
if (parts.includes('sync')) {
  for (const mode of MODES) {
    for (const services of sizes) {
      const endpoints = services > 10_000 ? 1 : 5; // or it would not fit into the heap
      say(`${mode}: syncing ${services} Services of ${endpoints}`);
      syncs.push(await measureSync(mode, services, endpoints));
    }
  }
}
if (parts.includes('peers')) await measurePeers();
if (parts.includes('latency')) {
  for (const mode of MODES) {
    say(`${mode}: network programming latency`);
    const services = Number(values['latency-services']);
    latencies.push(await measureLatency({ mode, services, endpoints: 5, writes: Number(values.writes) }));
  }
}
say('');
const shapes = series.length > 0 ? [...new Set(series.map((s) => s.name))].map(shapeOf) : [];
const machine = `${cpus().length} x ${cpus()[0]!.model}, Linux ${release()}, Node ${process.versions.node}`;
const load = { before: loadBefore, after: loadavg()[0]! };
const result = {
  bench: 'proxies',
  machine,
  load,
  date: new Date().toISOString(),
  rounds,
  series,
  shapes,
  syncs,
  peers,
  latencies,
};
const tables = `${machine}; load ${load.before.toFixed(1)} to ${load.after.toFixed(1)}\n${packetTable()}${syncTable()}${latencyTable()}${verdicts()}`;
if (values.out !== undefined) {
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'proxies.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(values.out, 'proxies.txt'), tables);
  if (series.length > 0) writeFileSync(join(values.out, 'proxies.svg'), plot());
}
process.stdout.write(values.output === 'json' ? `${JSON.stringify(result, null, 2)}\n` : tables);
process.exit(0);

async function measurePeers(): Promise<void> {
  const missing = missingForPeers();
  if (missing !== null) {
    console.error(`proxies: without this machine's own kernel: ${missing}`);
    return;
  }
  const { dir, remove } = scratch();
  try {
    const sender = compileSender(dir);
    for (const peer of PEERS) {
      if (!isInstalled(peer.load[0]!)) {
        console.error(`proxies: without ${peer.name}: ${peer.load[0]} is not installed`);
        continue;
      }
      for (const services of sizes.filter((n) => n <= MOST_FOR_PEERS)) {
        say(`${peer.name}: ${services} Services`);
        const measured = await measurePeer(peer, services, rounds, sender);
        peers.push(measured);
        series.push({ name: peer.name, ...measured });
      }
    }
  } finally {
    await remove();
  }
}

function shapeOf(name: string): Shape {
  const own = series.filter((s) => s.name === name);
  const [small, large] = FLAT.map((n) => own.find((s) => s.services === n));
  const ratio = (of: (s: Series) => readonly number[]): number | null =>
    small && large ? ratioByRound(of(large), of(small)) : null;
  return {
    name,
    firstRatio: ratio((s) => s.firstNs),
    establishedRatio: ratio((s) => s.establishedNs),
    line: fitLine(own.map((s) => [s.services, median(s.firstNs)])),
  };
}

function packetTable(): string {
  if (series.length === 0) return '';
  const names = [...new Set(series.map((s) => s.name))];
  const spread = (ns: readonly number[]): string => `${median(ns).toFixed(0)} (${Math.min(...ns).toFixed(0)})`;
  let out = '';
  for (const [what, of] of [
    ['first packet of a connection', (s: Series) => s.firstNs],
    ['established packet', (s: Series) => s.establishedNs],
  ] as const) {
    out += `\nns of CPU, ${what}: median of ${rounds} rounds (least)\n`;
    out += row('Services', names);
    for (const services of sizes) {
      const cells = names.map((name) => series.find((s) => s.name === name && s.services === services));
      out += row(
        services.toLocaleString('en-US'),
        cells.map((s) => (s ? spread(of(s)) : '-')),
      );
    }
  }
  return out;
}

function syncTable(): string {
  if (syncs.length === 0) return '';
  let out = `\nkube-proxy's syncs in the emulated Node, and the real tools with the same rules (one endpoint a Service)\n`;
  out += row('Services', [
    'mode',
    'endpoints each',
    'first load, ms',
    'one changed: median, ms',
    'p99, ms',
    'memory, MiB',
  ]);
  for (const { mode, services, endpoints, loadMs, changeMs, memoryMiB } of syncs) {
    const cells = [mode, String(endpoints), loadMs.toFixed(1), changeMs.median.toFixed(3), changeMs.p99.toFixed(2)];
    out += row(services.toLocaleString('en-US'), [...cells, memoryMiB.toFixed(1)]);
  }
  for (const { peer, services, loadMs } of peers)
    out += row(services.toLocaleString('en-US'), [peer, '1', loadMs.toFixed(1), '-', '-', '-']);
  return out;
}

function latencyTable(): string {
  if (latencies.length === 0) return '';
  let out = '\nnetwork programming latency, from the API write of an EndpointSlice to the decision, ms\n';
  out += row('Services', ['mode', 'endpoints each', 'writes', 'p50', 'p99', 'most']);
  for (const { mode, services, endpoints, writes, p50Ms, p99Ms, maxMs } of latencies) {
    const figures = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1));
    out += row(services.toLocaleString('en-US'), [mode, String(endpoints), String(writes), ...figures]);
  }
  return out;
}

function verdicts(): string {
  const lines: string[] = [];
  const met = (yes: boolean): string => (yes ? 'met' : 'MISSED');
  for (const { name, firstRatio, establishedRatio, line } of shapes) {
    const fit = `first packet = ${line.intercept.toFixed(0)} ns + ${line.slope.toFixed(3)} ns a Service, r² ${line.r2.toFixed(4)}`;
    const ratio = firstRatio === null ? '' : `; at ${FLAT[1]} ${firstRatio.toFixed(2)} x the cost at ${FLAT[0]}`;
    const established = establishedRatio === null ? '' : `, established ${establishedRatio.toFixed(2)} x`;
    const isOurs = (MODES as readonly string[]).includes(name);
    const target =
      name === 'iptables'
        ? `linear: ${met(line.r2 >= TARGETS.r2)}`
        : firstRatio === null
          ? ''
          : `flat: ${met(firstRatio <= TARGETS.flat)}`;
    lines.push(`${name}: ${fit}${ratio}${established}${isOurs && target !== '' ? `; ${target}` : ''}`);
  }
  for (const { mode, services, p99Ms } of latencies)
    lines.push(
      `${mode}: ${services} Services, latency p99 ${p99Ms.toFixed(1)} ms, under ${TARGETS.latencyMs} ms: ${met(p99Ms < TARGETS.latencyMs)}`,
    );
  return lines.length > 0 ? `\n${lines.join('\n')}\n` : '';
}

function row(first: string, cells: readonly string[]): string {
  return `${first.padStart(9)}${cells.map((cell) => cell.padStart(24)).join('')}\n`;
}

function plot(): string {
  const curve = (name: string, points: Curve['points']): Curve => ({
    name: name.startsWith('Linux') ? name : `Podwire, ${name}`,
    colour: COLOURS[name]!,
    dashed: name.startsWith('Linux'),
    points,
  });
  const names = [...new Set(series.map((s) => s.name))];
  const packets = (of: (s: Series) => readonly number[]): Curve[] =>
    names.map((name) =>
      curve(
        name,
        series.filter((s) => s.name === name).map((s) => [s.services, median(of(s))]),
      ),
    );
  const time = (ns: number): string =>
    ns >= 1e9 ? `${ns / 1e9} s` : ns >= 1e6 ? `${ns / 1e6} ms` : ns >= 1e3 ? `${ns / 1e3} µs` : `${ns} ns`;
  const panels: Panel[] = [
    { title: 'First packet of a connection', yLabel: 'CPU time', unit: time, curves: packets((s) => s.firstNs) },
    { title: 'Established packet', yLabel: 'CPU time', unit: time, curves: packets((s) => s.establishedNs) },
  ];
  if (syncs.length > 0) {
    const of = (pick: (s: SyncResult) => number): Curve[] =>
      MODES.map((mode) =>
        curve(
          mode,
          syncs.filter((s) => s.mode === mode).map((s) => [s.services, pick(s) * 1e6]),
        ),
      );
    const loads = [...new Set(peers.map((p) => p.peer))].map((name) =>
      curve(
        name,
        peers.filter((p) => p.peer === name).map((p) => [p.services, p.loadMs * 1e6]),
      ),
    );
    panels.push({ title: 'Loading all rules', yLabel: 'time', unit: time, curves: [...of((s) => s.loadMs), ...loads] });
    panels.push({
      title: 'One changed Service',
      yLabel: 'time of the sync, median',
      unit: time,
      curves: of((s) => s.changeMs.median),
    });
  }
  const notes = [
    machine,
    'solid: the emulated Node, 64-byte UDP through the whole path in process; dashed: this machine’s kernel, the same rules, through veth;',
    'connections spread evenly over all Services',
  ];
  return plotSvg('Services: what a packet and a change cost as they grow', notes, 'Services', panels);
}
