// Where numbers wrap, clocks run long and sizes are absurd.
import t from 'tap';
import { type Rng, SeededRng } from '../../../src/lib/rng.ts';
import { ECONNRESET } from '../../../src/tcpip-ts/errno.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import type { TcpOptions } from '../../../src/tcpip-ts/tcp/settings.ts';
import { put16, put32 } from '../../../src/tcpip-ts/wire/bytes.ts';
import { finish, pseudoSum, sumBytes } from '../../../src/tcpip-ts/wire/checksum.ts';
import { SEED } from '../../support/property.ts';
import { Pair, type PairOptions, patternByte, pump, Sink } from '../../support/tcp-pair.ts';

const GIB = 2 ** 30;

t.test(
  'beyond two and four gigabytes nothing of what was remembered from before is taken for the future',
  async (t) => {
    for (const sack of [true, false]) {
      const pair = new Pair({ delayUs: 50, features: LINK_F_CSUM | LINK_F_TSO4, tcp: { sack, maxCwnd: 1 << 20 } });
      const [client, server] = pair.connect();
      const { bytes, blocks } = pair.pool;
      const into = blocks.take(20);
      let received = 0;
      server.onReadable = () => {
        for (let n = server.read(bytes, into, into + (1 << 20)); n > 0; n = server.read(bytes, into, into + (1 << 20)))
          received += n;
      };
      const chunk = new Uint8Array(180 * client.mss);
      let sent = 0;
      client.write(chunk, 0, 10); // a small segment, for Nagle to remember
      sent += 10;
      for (const upTo of [2.1 * GIB, 4.2 * GIB]) {
        while (sent < upTo) {
          const taken = client.write(chunk);
          sent += taken;
          if (taken < chunk.length) pair.advance(0.2);
        }
        // To the end of a segment, so that none is left that is small.
        const rest = client.mss - ((sent - 10) % client.mss);
        client.write(chunk, 0, rest);
        sent += rest;
        t.ok(pair.until(() => received === sent, 10_000));
        pair.advance(100);
        client.write(chunk, 0, 10);
        sent += 10;
        pair.advance(1);
        t.equal(
          received,
          sent,
          `${upTo / GIB} GiB, SACK ${sack}: a small segment does not wait when nothing is under way`,
        );
        const timeouts = pair.a.counters.get('TcpExtTCPTimeouts');
        let n = 0;
        pair.a.ip.drop = () => ++n === 2;
        client.setNoDelay(true);
        for (let i = 0; i < 12; i++) {
          client.write(chunk, 0, 100);
          sent += 100;
        }
        pair.advance(50);
        t.equal(received, sent, 'a loss is repaired');
        t.equal(pair.a.counters.get('TcpExtTCPTimeouts'), timeouts, 'without a timeout');
        pair.a.ip.drop = null;
        client.setNoDelay(false);
      }
    }
  },
);

t.test('after an hour of silence a loss is repaired as before', async (t) => {
  const pair = new Pair({ delayUs: 20_000, rate: 12.5e6 });
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  const chunk = new Uint8Array(1448);
  client.setNoDelay(true);
  for (let round = 0; round < 4; round++) {
    let n = 0;
    pair.a.ip.drop = () => ++n === 2;
    const before = { ...pair.a.counters.nonZero() };
    for (let i = 0; i < 8; i++) client.write(chunk);
    pair.advance(35);
    for (let i = 0; i < 8; i++) client.write(chunk);
    pair.advance(400);
    t.equal(sink.received, (round + 1) * 16 * 1448, `round ${round}`);
    const after = pair.a.counters.nonZero();
    t.equal(after.TcpExtTCPTimeouts, before.TcpExtTCPTimeouts, 'no timeout');
    t.equal((after.TcpRetransSegs ?? 0) - (before.TcpRetransSegs ?? 0), 1, 'one segment sent again');
    pair.a.ip.drop = null;
    pair.advance(45 * 60_000);
  }
});

const ISNS = [0xffff_ff00, 0x7fff_ff00, 0] as const;
const SIZE = 100_000;

function exchange(
  options: PairOptions,
  isns: readonly [number, number],
  prepare: (pair: Pair) => void = () => {},
): string {
  const pair = new Pair(options);
  pair.a.tcp.initialSeq = () => isns[0] | 0;
  pair.b.tcp.initialSeq = () => isns[1] | 0;
  prepare(pair);
  const [client, server] = pair.connect();
  const sinks = [new Sink(client), new Sink(server)];
  pump(client, SIZE);
  pump(server, SIZE);
  const done = pair.until(() => sinks.every((s) => s.ended) && client.slot < 0 && server.slot < 0, 600_000);
  pair.advance(70_000);
  const bad = sinks.find((s) => s.received !== SIZE || s.wrongAt >= 0 || s.errno !== 0);
  if (!done || bad) return `${sinks.map((s) => `${s.received} wrong at ${s.wrongAt} errno ${s.errno}`).join(', ')}`;
  return pair.leaks().join(', ');
}

t.test('sequence numbers wrap anywhere, with losses', async (t) => {
  for (const a of ISNS) {
    for (const b of ISNS) {
      const options = { delayUs: 1000, jitterUs: 1500, loss: 0.03, duplicate: 0.02, seed: a + b };
      t.equal(exchange(options, [a, b]), '', `${a} and ${b}`);
      t.equal(exchange({ ...options, tcp: { sack: false, timestamps: false } }, [a, b]), '', `${a} and ${b}, bare`);
    }
  }
});

t.test('timestamps wrap in the middle', async (t) => {
  const isNear = (pair: Pair): void => {
    for (const { tcp } of [pair.a, pair.b]) tcp.timestampOffset = () => -50; // 50 ms before zero
  };
  const isHalf = (pair: Pair): void => {
    for (const { tcp } of [pair.a, pair.b]) tcp.timestampOffset = () => 0x7fff_ffff - 50;
  };
  for (const prepare of [isNear, isHalf]) {
    t.equal(exchange({ delayUs: 2000, jitterUs: 1000, loss: 0.03 }, [1, 2], prepare), '');
  }
});

t.test('a peer of tiny segments that reports single bytes has a bounded list walked (CVE-2019-11478)', async (t) => {
  const pair = new Pair({ delayUs: 100, mtu: 100, tcp: { receiveBuffer: 4 << 20, receiveBufferMax: 4 << 20 } });
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  client.cwnd = 8 << 20;
  const total = 2_000_000;
  pump(client, total);
  let most = 0;
  let n = 0;
  // Each acknowledgment now claims a byte here and there.
  pair.b.ip.drop = (skb) => {
    most = Math.max(most, client.records);
    const b = skb.bytes;
    const o = skb.th + 32;
    if (b[o + 2] !== 5) return false;
    const start = (client.sndUna + 101 + 96 * (n++ % 5000)) | 0;
    put32(b, o + 4, start);
    put32(b, o + 8, start + 1);
    put16(b, skb.th + 16, 0);
    const sum = pseudoSum(pair.b.addr, pair.a.addr, 6, skb.tail - skb.th);
    put16(b, skb.th + 16, finish(sumBytes(b, skb.th, skb.tail, sum)));
    return false;
  };
  let k = 0;
  pair.a.ip.drop = () => k++ % 50 === 0;
  pair.advance(600);
  t.ok(n > 1000, `${n} claims`);
  t.ok(most <= 8192 + 2, `${most} records at most`);
  pair.a.ip.drop = pair.b.ip.drop = null;
  pair.until(() => sink.ended || client.slot < 0, 60_000);
  let sum = 0;
  for (let i = client.head; i >= 0; i = pair.a.tcp.segments.next[i]!) sum++;
  t.equal(client.records, sum, 'the count is right');
});

t.test('windows from a byte to a gigabyte', async (t) => {
  for (const receiveBuffer of [1, 2, 100, 1447, 1449, 65_535, 65_536, 70_000, 2 ** 20, 2 ** 26]) {
    const small = receiveBuffer < 1000;
    const pair = new Pair({ delayUs: 500, loss: 0.01, tcp: { receiveBuffer, receiveBufferMax: receiveBuffer } });
    const [client, server] = pair.connect();
    const sinks = [new Sink(client), new Sink(server)];
    const total = small ? 300 * receiveBuffer : 2_000_000;
    for (const c of [client, server]) pump(c, total);
    const done = pair.until(() => sinks.every((s) => s.ended), 3_600_000);
    t.ok(done && sinks.every((s) => s.received === total && s.wrongAt < 0), `buffers of ${receiveBuffer}`);
  }
  const pair = new Pair({ delayUs: 50_000, features: LINK_F_CSUM | LINK_F_TSO4, tcp: { receiveBufferMax: 2 ** 30 } });
  t.equal(pair.a.tcp.rcvWscale, 14);
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  pump(client, 64 << 20);
  t.ok(pair.until(() => sink.ended));
  t.equal(sink.wrongAt, -1);
});

t.test('MTUs from the least that IPv4 allows', async (t) => {
  for (const mtu of [68, 88, 100, 200, 575, 65_535]) {
    t.equal(exchange({ delayUs: 500, loss: 0.005, mtu }, [1, 2]), '', `MTU ${mtu}`);
  }
});

t.test('both open and both close at once, over a network that loses a third', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const pair = new Pair({ delayUs: 5000, jitterUs: 3000, loss: 0.33, seed });
    const a = pair.a.tcp.connect({ daddr: pair.b.addr, dport: 7000, sport: 7000 });
    const b = pair.b.tcp.connect({ daddr: pair.a.addr, dport: 7000, sport: 7000 });
    if (typeof a === 'number' || typeof b === 'number') throw new Error('connect');
    const sinks = [new Sink(a), new Sink(b)];
    for (const c of [a, b]) pump(c, 5000);
    const done = pair.until(() => a.slot < 0 && b.slot < 0, 1_000_000);
    // A FIN sent again so late that TIME-WAIT is over is reset: then too everything has arrived.
    const whole = sinks.every((s) => s.received === 5000 && s.wrongAt < 0 && [0, ECONNRESET].includes(s.errno));
    t.ok(done && whole, `seed ${seed}: ${sinks.map((s) => `${s.received}, errno ${s.errno}`).join('; ')}`);
    pair.advance(70_000);
    t.same(pair.leaks(), [], `seed ${seed}`);
  }
});

function drawOptions(rng: Rng): Partial<TcpOptions> {
  const receiveBuffer = [1, 500, 3000, 65_536, 200_000][rng.below(5)]!;
  return {
    timestamps: rng.below(4) > 0,
    sack: rng.below(4) > 0,
    windowScaling: rng.below(4) > 0,
    ecn: rng.below(3) as 0 | 1 | 2,
    congestion: rng.below(2) ? 'cubic' : 'newreno',
    receiveBuffer,
    receiveBufferMax: receiveBuffer * (1 + rng.below(8)),
  };
}

t.test(
  'whatever the two sides are like and however their applications write and read, the bytes are the same',
  async (t) => {
    for (let seed = SEED; seed < SEED + 60; seed++) {
      const rng = new SeededRng(seed);
      const tcp = drawOptions(rng);
      const offloads = rng.below(3) === 0;
      const pair = new Pair({
        seed,
        delayUs: rng.below(20_000),
        jitterUs: rng.below(2) * rng.below(8000),
        loss: rng.below(3) * 0.02,
        duplicate: rng.below(2) * 0.03,
        corrupt: offloads ? 0 : rng.below(2) * 0.01, // nobody sums what a link has vouched for
        mark: rng.below(2) * 0.02,
        mtu: [128, 576, 1500, 9000][rng.below(4)]!,
        features: offloads ? LINK_F_CSUM | LINK_F_TSO4 : 0,
        tcp,
        tcpB: drawOptions(rng),
      });
      const ends = pair.connect();
      const total = pair.a.tcp.options.receiveBuffer < 100 || pair.b.tcp.options.receiveBuffer < 100 ? 400 : 60_000;
      const sinks = ends.map((c) => new Sink(c));
      const sent = [0, 0];
      const chunk = new Uint8Array(20_000);
      let ms = 0;
      const isDone = (): boolean => sinks.every((s) => s.ended) && ends.every((c) => c.slot < 0);
      for (; ms < 3_600_000 && !isDone(); ms += 5) {
        for (const [i, c] of ends.entries()) {
          const sink = sinks[i]!;
          if (rng.below(20) === 0) sink.paused = !sink.paused && ms < 60_000;
          if (!sink.paused) sink.read(rng.below(3) ? Infinity : 1 + rng.below(5000));
          if (rng.below(30) === 0) c.setNoDelay(rng.below(2) === 0);
          const n = Math.min(total - sent[i]!, 1 + rng.below(rng.below(4) ? 3000 : 20_000));
          if (rng.below(4) > 0 || c.finQueued) continue;
          for (let k = 0; k < n; k++) chunk[k] = patternByte(sent[i]! + k);
          if (n > 0) sent[i]! += Math.max(0, c.write(chunk, 0, n));
          if (sent[i] === total) c.end();
        }
        pair.advance(5);
      }
      const found = sinks.map((s) => `${s.received} wrong at ${s.wrongAt} errno ${s.errno}`).join('; ');
      const wanted = `${total} wrong at -1 errno 0`;
      if (found !== `${wanted}; ${wanted}` || !isDone()) t.fail(`seed ${seed}, ${ms} ms: ${found}`);
      pair.advance(70_000);
      if (pair.leaks().length > 0) t.fail(`seed ${seed}: ${pair.leaks().join(', ')}`);
    }
    t.pass(`seeds ${SEED} to ${SEED + 59}`);
  },
);
