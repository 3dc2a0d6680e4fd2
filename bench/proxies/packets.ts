// What a packet costs in the emulated Node, by benchmark.js: 64-byte UDP datagrams from a Pod to ClusterIPs through the whole
// kernel path in process (bench/kernel/node.ts). A first packet opens a connection; connections are spread evenly over all Services,
// so that iptables walks half of its list on average. Established packets go over FLOWS connections that are there. Sizes are
// measured in turns, a short Benchmark each round, by CPU time: the machine's mood then falls on all alike.
import type { ProxyMode } from '../../src/proxy/config.ts';
import { put16 } from '../../src/tcpip-ts/wire/bytes.ts';
import { IPPROTO_UDP } from '../../src/tcpip-ts/wire/ipv4.ts';
import { BenchNode } from '../kernel/node.ts';
import { CpuBenchmark } from './cpu-benchmark.ts';
import { median } from './fit.ts';

export interface PacketSeries {
  readonly services: number;
  /** Nanoseconds a packet, one a round: the median of the round's samples. */
  readonly firstNs: number[];
  readonly establishedNs: number[];
}

export interface PacketOptions {
  readonly mode: ProxyMode;
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** Of each Benchmark. */
  readonly maxTimeS: number;
}

/** First packets before the source port comes round. */
const FRAMES = 8192;
const PASSES = 7;
const FIRST_SPORT = 1024;
/** UDP lasts 300 s in IPVS' table. */
const EXPIRY_S = 310;
const FLOWS = 1000;
const FLOW_SPORT = 60_000;
/** A prime: neighbours in the list are far apart in time. */
const STRIDE = 7919;
/** Packets an operation. */
const BATCH = 16;
/** Of one cycle: short ones, so that no cycle opens more connections than there are source ports. */
const MIN_TIME_S = 0.005;
const PAYLOAD = 22;
const SPORT_AT = 14 + 20;

export function measurePackets(options: PacketOptions, progress: (what: string) => void): PacketSeries[] {
  const { mode, sizes, rounds, maxTimeS } = options;
  const rows = sizes.map((services) => {
    progress(`${mode}: ${services} Services`);
    const node = new BenchNode({ services, proto: IPPROTO_UDP, mode });
    node.put(0, node.request(IPPROTO_UDP, 1, 0, 0, PAYLOAD)); // asks for the server's MAC
    node.resolve();
    return { node, series: { services, firstNs: [], establishedNs: [] } as PacketSeries, subject: subjectOf(node) };
  });
  for (let round = -1; round < rounds; round++) {
    progress(`${mode}: round ${round + 1} of ${rounds}`);
    for (const { series, subject } of rows) {
      const firstNs = nsPerPacket('first', subject.first, subject.expire, maxTimeS);
      const establishedNs = nsPerPacket('established', subject.established, subject.open, maxTimeS);
      if (round < 0) continue; // it warms up
      series.firstNs.push(firstNs);
      series.establishedNs.push(establishedNs);
    }
  }
  for (const { node } of rows) node.close();
  return rows.map(({ series }) => series);
}

interface Subject {
  /** Send BATCH packets. */
  first(): void;
  established(): void;
  /** Ends all connections. */
  expire(): void;
  /** Ends all connections and makes those of the established packets. */
  open(): void;
}

function subjectOf(node: BenchNode): Subject {
  const firsts = Array.from({ length: FRAMES }, (_, i) =>
    node.request(IPPROTO_UDP, FIRST_SPORT + i, i * STRIDE, 0, PAYLOAD),
  );
  const flows = Array.from({ length: FLOWS }, (_, i) =>
    node.request(IPPROTO_UDP, FLOW_SPORT + i, i * STRIDE, 0, PAYLOAD),
  );
  let at = 0;
  let pass = 0;
  let flow = 0;
  const send = (frame: Uint8Array, count: number): void => {
    node.put(0, frame);
    if (node.sent !== count) throw new Error(`a packet of connection ${at} was lost`);
  };
  const expire = (): void => {
    node.advance(EXPIRY_S);
    node.resolve();
    at = 0;
    pass = 0;
  };
  return {
    first() {
      for (let i = 0; i < BATCH; i++) {
        const frame = firsts[at]!;
        put16(frame, SPORT_AT, FIRST_SPORT + at + pass * FRAMES);
        send(frame, node.sent + 1);
        if (++at < FRAMES) continue;
        at = 0;
        if (++pass === PASSES) throw new Error('a cycle of more connections than there are ports');
      }
    },
    established() {
      for (let i = 0; i < BATCH; i++) {
        send(flows[flow]!, node.sent + 1);
        flow = flow + 1 === FLOWS ? 0 : flow + 1;
      }
    },
    expire,
    open() {
      expire();
      for (let i = 0; i < FLOWS; i++) {
        node.put(0, flows[i]!);
        node.put(1, node.answer(IPPROTO_UDP, FLOW_SPORT + i, 0, PAYLOAD));
      }
    },
  };
}

function nsPerPacket(name: string, fn: () => void, setup: () => void, maxTime: number): number {
  const bench = new CpuBenchmark(name, { fn, setup, maxTime, minTime: MIN_TIME_S, minSamples: 5 });
  bench.run();
  if (bench.error) throw bench.error;
  return (median(bench.stats.sample) / BATCH) * 1e9;
}
