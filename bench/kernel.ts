// bench kernel: what the emulated kernel costs a packet, in process: Ethernet and IP parsed, conntrack, trapped by IPVS on
// kube-ipvs0, translated, kube-proxy's rules walked, routed, sent with its link header; requests and answers in turn, so a
// figure is the mean of both directions. 64-byte frames. Established packets go over FLOWS connections spread over the
// Services; first packets are each a connection of its own. Sizes are measured in turns; the least and the median of the
// rounds are printed, by CPU time of the process, which other programs disturb less than the clock on the wall.
//   node dist/bench/kernel.js [-o json] [--rounds N] [--services N,...] [--packets N] [--high] [--only tcp|udp]
// Left out: the system calls (bench wire), and the iptables and nftables modes (bench proxies).
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { put32 } from '../src/tcpip-ts/wire/bytes.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../src/tcpip-ts/wire/ipv4.ts';
import { TCP_ACK, TCP_PSH, TCP_SYN } from '../src/tcpip-ts/wire/tcp.ts';
import { allocated } from '../test/support/allocated.ts';
import { BenchNode, HIGH, LOW } from './kernel/node.ts';
import { median } from './median.ts';

const FLOWS = 1000;
/** First packets a round: more would fill the connection table. */
const FIRST = 20_000;
const FIRST_SPORT = 30_000;
/** All connections of a first-packet round are gone after it: SYN_SENT lasts 120 s in both tables. */
const EXPIRY_S = 140;
const TCP_SEQ = 14 + 20 + 4;
/** DESIGN.md section 7. */
const TARGET_NS = 1000;
const TARGET_RATIO = 1.2;

interface Row {
  readonly proto: 'tcp' | 'udp';
  readonly node: BenchNode;
  readonly requests: Uint8Array[];
  readonly answers: Uint8Array[];
  readonly firsts: Uint8Array[];
  readonly establishedNs: number[];
  readonly firstNs: number[];
  bytes: number;
}

function prepare(proto: 'tcp' | 'udp', services: number, high: boolean): Row {
  const number = proto === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP;
  const node = new BenchNode({ services, proto: number, addresses: high ? HIGH : LOW });
  const payload = proto === 'tcp' ? 10 : 22;
  const sports = Array.from({ length: FLOWS }, (_, i) => 1024 + i);
  // Spread over all Services, not the first thousand of them.
  const step = Math.max(1, Math.floor(services / FLOWS));
  const data = TCP_PSH | TCP_ACK;
  const requests = sports.map((sport, i) => node.request(number, sport, i * step, data, payload));
  const answers = sports.map((sport) => node.answer(number, sport, data, payload));
  const firsts = Array.from({ length: FIRST }, (_, i) => node.request(number, FIRST_SPORT + i, i, TCP_SYN, payload));
  node.put(0, node.request(number, 1, 0, TCP_SYN, payload)); // asks for the server's MAC
  node.put(1, node.answer(number, 1, TCP_SYN | TCP_ACK, 0));
  node.resolve();
  const row: Row = { proto, node, requests, answers, firsts, establishedNs: [], firstNs: [], bytes: Infinity };
  open(row);
  return row;
}

/** Makes the connections of the established packets. */
function open({ node, proto, requests, answers }: Row): void {
  node.resolve();
  const before = node.sent;
  for (let i = 0; i < FLOWS; i++) {
    if (proto === 'tcp') {
      node.put(0, node.request(IPPROTO_TCP, 1024 + i, i * Math.max(1, Math.floor(node.services / FLOWS)), TCP_SYN, 0));
      node.put(1, node.answer(IPPROTO_TCP, 1024 + i, TCP_SYN | TCP_ACK, 0));
    }
    node.put(0, requests[i]!);
    node.put(1, answers[i]!);
  }
  const wanted = FLOWS * (proto === 'tcp' ? 4 : 2);
  if (node.sent - before !== wanted) throw new Error(`${node.sent - before} of ${wanted} packets came through`);
}

/** Requests and answers in turn, `count` packets in all; TCP's numbers move on as data does. */
function established({ node, proto, requests, answers }: Row, count: number): void {
  const isTcp = proto === 'tcp';
  for (let i = 0, flow = 0; i < count; i += 2) {
    const request = requests[flow]!;
    const answer = answers[flow]!;
    if (isTcp) {
      const sent = get(request, TCP_SEQ) + 10;
      put32(request, TCP_SEQ, sent);
      put32(answer, TCP_SEQ + 4, sent + 10);
      put32(request, TCP_SEQ + 4, get(answer, TCP_SEQ) + 10);
      put32(answer, TCP_SEQ, get(answer, TCP_SEQ) + 10);
    }
    node.put(0, request);
    node.put(1, answer);
    flow = flow + 1 === FLOWS ? 0 : flow + 1;
  }
}

function get(b: Uint8Array, o: number): number {
  return (b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!;
}

function first({ node, firsts }: Row): void {
  for (let i = 0; i < firsts.length; i++) node.put(0, firsts[i]!);
}

/** Nanoseconds of CPU time a packet; throws when one does not come through. */
function timed(node: BenchNode, packets: number, work: () => void): number {
  const before = node.sent;
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  if (node.sent - before !== packets) throw new Error(`${node.sent - before} of ${packets} packets came through`);
  return ((user + system) * 1000) / packets;
}

function summarize(row: Row, least: Row) {
  const { proto, node, establishedNs, firstNs, bytes } = row;
  return {
    proto,
    services: node.services,
    syncMs: node.syncMs,
    establishedNs: { min: Math.min(...establishedNs), median: median(establishedNs) },
    packetsPerSecond: 1e9 / median(establishedNs),
    bytesPerPacket: bytes,
    firstNs: { min: Math.min(...firstNs), median: median(firstNs) },
    /** Beside the fewest Services: the median of the rounds' ratios. */
    ratio: median(establishedNs.map((ns, i) => ns / least.establishedNs[i]!)),
    firstRatio: median(firstNs.map((ns, i) => ns / least.firstNs[i]!)),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', short: 'o' },
      rounds: { type: 'string', default: '7' },
      services: { type: 'string', default: '10,1000,10000' },
      packets: { type: 'string', default: '400000' },
      high: { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  });
  const sizes = values.services.split(',').map(Number);
  const packets = Number(values.packets);
  const protos = (['tcp', 'udp'] as const).filter((p) => values.only === undefined || p === values.only);
  const rows = protos.flatMap((proto) => sizes.map((services) => prepare(proto, services, values.high)));
  for (const row of rows) established(row, packets);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const row of rows) row.establishedNs.push(timed(row.node, packets, () => established(row, packets)));
  }
  for (const row of rows) row.bytes = (await allocated(0, () => established(row, packets), 3)) / packets;
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const row of rows) {
      row.node.advance(EXPIRY_S);
      row.node.resolve();
      const ns = timed(row.node, FIRST, () => first(row));
      if (round >= 0) row.firstNs.push(ns); // the first time warms up
    }
  }
  const results = rows.map((row) => summarize(row, rows.find((r) => r.proto === row.proto)!));
  for (const row of rows) row.node.close();
  const machine = `${cpus().length} x ${cpus()[0]!.model}, Linux ${release()}, Node ${process.versions.node}`;
  if (values.output === 'json') {
    console.log(JSON.stringify({ bench: 'kernel', machine, flows: FLOWS, results }, null, 2));
    return;
  }
  console.log(`${machine}\nns of CPU a 64-byte packet through the emulated Node, IPVS; ${FLOWS} connections\n`);
  console.log('      services   established: min  median   M/s   x least   bytes   first: min  median   x least');
  for (const r of results) {
    const { proto, services, establishedNs: e, firstNs: f } = r;
    const figures = [
      e.min.toFixed(0).padStart(16),
      e.median.toFixed(0).padStart(7),
      (r.packetsPerSecond / 1e6).toFixed(2).padStart(5),
      r.ratio.toFixed(2).padStart(9),
      r.bytesPerPacket.toFixed(1).padStart(7),
      f.min.toFixed(0).padStart(12),
      f.median.toFixed(0).padStart(7),
      r.firstRatio.toFixed(2).padStart(9),
    ];
    console.log(`${proto}   ${String(services).padStart(9)} ${figures.join(' ')}`);
  }
  const last = results.filter((r) => r.services === Math.max(...sizes));
  for (const r of last) {
    const met = (yes: boolean): string => (yes ? 'met' : 'MISSED');
    console.log(
      `${r.proto}, ${r.services} Services: at least ${1000 / TARGET_NS} M packets/s ${met(r.establishedNs.median <= TARGET_NS)}; ` +
        `at most ${TARGET_RATIO} x the cost at ${sizes[0]} ${met(r.ratio <= TARGET_RATIO)}`,
    );
  }
}

await main();
