// Transfers between two layers over a bad network, byte-exact, on a virtual clock: a minute of network time takes a moment.
import t from 'tap';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import { Pair, type PairOptions, pump, Sink } from '../../support/tcp-pair.ts';

const MIB = 1 << 20;

interface Result {
  readonly ms: number;
  readonly pair: Pair;
  readonly problem: string;
}

function transfer(options: PairOptions, up: number, down: number): Result {
  const pair = new Pair(options);
  const [client, server] = pair.connect();
  const atServer = new Sink(server);
  const atClient = new Sink(client);
  const startUs = pair.clock.nowUs();
  pump(client, up);
  pump(server, down);
  const done = pair.until(() => atServer.ended && atClient.ended && client.slot < 0 && server.slot < 0, 3_600_000);
  const ms = (pair.clock.nowUs() - startUs) / 1000;
  let problem = '';
  if (!done) problem = `not done: ${atServer.received} of ${up} up, ${atClient.received} of ${down} down`;
  else if (atServer.wrongAt >= 0) problem = `wrong byte at ${atServer.wrongAt} up`;
  else if (atClient.wrongAt >= 0) problem = `wrong byte at ${atClient.wrongAt} down`;
  else if (atServer.received !== up || atClient.received !== down)
    problem = `${atServer.received} up, ${atClient.received} down`;
  else if (atServer.errno !== 0 || atClient.errno !== 0) problem = `errno ${atServer.errno} ${atClient.errno}`;
  pair.advance(70_000);
  if (problem === '') problem = pair.leaks().join(', ');
  return { ms, pair, problem };
}

const CASES: [string, PairOptions, number, number][] = [
  ['a clean network', { delayUs: 1000 }, 8 * MIB, 8 * MIB],
  ['one way', { delayUs: 5000 }, 8 * MIB, 0],
  ['no delay at all', {}, 4 * MIB, 4 * MIB],
  ['loss of 0.1 %', { delayUs: 2000, loss: 0.001 }, 4 * MIB, 4 * MIB],
  ['loss of 1 %', { delayUs: 2000, loss: 0.01 }, 4 * MIB, 4 * MIB],
  ['loss of 5 %', { delayUs: 2000, loss: 0.05 }, 2 * MIB, 2 * MIB],
  ['loss of 20 %', { delayUs: 2000, loss: 0.2 }, MIB / 4, MIB / 4],
  ['loss of 5 % without SACK', { delayUs: 2000, loss: 0.05, tcp: { sack: false } }, MIB, MIB],
  ['loss of 5 % without timestamps', { delayUs: 2000, loss: 0.05, tcp: { timestamps: false } }, MIB, MIB],
  [
    'loss of 5 % without any option',
    { delayUs: 2000, loss: 0.05, tcp: { timestamps: false, sack: false, windowScaling: false } },
    MIB,
    MIB,
  ],
  ['loss of 1 % under CUBIC', { delayUs: 2000, loss: 0.01, tcp: { congestion: 'cubic' } }, 4 * MIB, 4 * MIB],
  ['reordering', { delayUs: 2000, jitterUs: 3000 }, 4 * MIB, 4 * MIB],
  ['reordering without SACK', { delayUs: 2000, jitterUs: 3000, tcp: { sack: false } }, MIB, MIB],
  ['duplication of 10 %', { delayUs: 2000, duplicate: 0.1 }, 4 * MIB, 4 * MIB],
  ['corruption of 2 %', { delayUs: 2000, corrupt: 0.02 }, 2 * MIB, 2 * MIB],
  ['a rate of 10 Mbit/s with a short queue', { delayUs: 10_000, rate: 1.25e6, queue: 30_000 }, 4 * MIB, MIB],
  [
    'everything at once',
    { delayUs: 3000, jitterUs: 2000, loss: 0.02, duplicate: 0.02, corrupt: 0.01, rate: 12.5e6 },
    2 * MIB,
    2 * MIB,
  ],
  ['marks and losses', { delayUs: 2000, loss: 0.01, mark: 0.02, tcp: { ecn: 1 } }, 4 * MIB, 4 * MIB],
  ['an MTU of 576', { delayUs: 1000, loss: 0.01, mtu: 576 }, MIB, MIB],
  ['an MTU of 65,520', { delayUs: 1000, loss: 0.01, mtu: 65_520 }, 4 * MIB, 4 * MIB],
  ['super-segments', { delayUs: 1000, features: LINK_F_CSUM | LINK_F_TSO4 }, 16 * MIB, 16 * MIB],
  ['super-segments lost whole', { delayUs: 1000, loss: 0.02, features: LINK_F_CSUM | LINK_F_TSO4 }, 8 * MIB, 8 * MIB],
  [
    'super-segments lost whole without SACK',
    { delayUs: 1000, loss: 0.02, features: LINK_F_CSUM | LINK_F_TSO4, tcp: { sack: false } },
    2 * MIB,
    2 * MIB,
  ],
  [
    'a tiny receive buffer',
    { delayUs: 1000, loss: 0.01, tcp: { receiveBuffer: 3000, receiveBufferMax: 3000 } },
    MIB / 4,
    MIB / 4,
  ],
  ['one byte', { delayUs: 1000, loss: 0.1 }, 1, 1],
  ['nothing', { delayUs: 1000, loss: 0.1 }, 0, 0],
];

for (const [name, options, up, down] of CASES) {
  t.test(`bytes arrive exactly over ${name}`, async (t) => {
    for (let seed = 1; seed <= 3; seed++) {
      const { ms, pair, problem } = transfer({ ...options, seed }, up, down);
      t.equal(problem, '', `seed ${seed}`);
      t.comment(
        `seed ${seed}: ${Math.round(ms)} ms, ${((up + down) / ms / 125).toFixed(1)} Mbit/s, ` +
          `${pair.a.counters.get('TcpRetransSegs') + pair.b.counters.get('TcpRetransSegs')} retransmitted, ` +
          `${pair.a.counters.get('TcpExtTCPTimeouts') + pair.b.counters.get('TcpExtTCPTimeouts')} timeouts`,
      );
    }
  });
}

t.test('the same seed gives the same run', async (t) => {
  const run = (): string => {
    const { ms, pair } = transfer({ delayUs: 2000, jitterUs: 500, loss: 0.03, seed: 7 }, MIB, MIB);
    return `${ms} ${JSON.stringify(pair.a.counters.nonZero())} ${JSON.stringify(pair.b.counters.nonZero())}`;
  };
  t.equal(run(), run());
});

t.test('marks do what losses do, without anything being sent again', async (t) => {
  for (const [features, mark] of [
    [0, 0.005],
    [LINK_F_CSUM | LINK_F_TSO4, 0.1],
  ] as const) {
    const { ms, pair, problem } = transfer({ delayUs: 5000, mark, features, tcp: { ecn: 1 } }, 16 * MIB, 0);
    t.equal(problem, '');
    t.equal(pair.a.counters.get('TcpRetransSegs'), 0);
    t.ok(pair.a.counters.get('TcpExtTCPDeliveredCE') > 0, 'echoes came');
    const free = transfer({ delayUs: 5000, mark, features, tcp: { ecn: 0 } }, 16 * MIB, 0);
    t.equal(free.pair.a.counters.get('TcpExtTCPDeliveredCE'), 0);
    t.ok(ms > 1.5 * free.ms, `${Math.round(ms)} ms with marks, ${Math.round(free.ms)} ms where nobody heeds them`);
  }
});

t.test(
  'many stalled readers hold no more memory than the layer may take, and get everything when they go on',
  async (t) => {
    const MAX = 2 * MIB;
    const pair = new Pair({ delayUs: 1000, loss: 0.01, tcp: { maxBuffers: MAX } });
    const listener = pair.b.tcp.listen({ port: 80 });
    if (typeof listener === 'number') throw new Error('listen');
    const sinks: Sink[] = [];
    listener.onConnection = (c) => {
      const sink = new Sink(c);
      sink.paused = true;
      sinks.push(sink);
    };
    for (let i = 0; i < 60; i++) {
      const c = pair.a.tcp.connect({ daddr: pair.b.addr, dport: 80 });
      if (typeof c === 'number') throw new Error('connect');
      pump(c, 150_000);
    }
    pair.advance(20_000);
    t.equal(sinks.length, 60);
    t.ok(pair.b.tcp.buffers.inUse <= MAX, `${pair.b.tcp.buffers.inUse} bytes`);
    t.ok(pair.b.counters.get('TcpExtTCPRcvQDrop') > 0, 'what found no buffer was dropped and counted');
    for (const sink of sinks) {
      sink.paused = false;
      sink.read();
    }
    t.ok(
      pair.until(() => sinks.every((s) => s.ended), 600_000),
      'all arrive',
    );
    t.ok(sinks.every((s) => s.received === 150_000 && s.wrongAt < 0));
  },
);

t.test('a reader that stops and goes on gets everything', async (t) => {
  const pair = new Pair({ delayUs: 1000, loss: 0.02 });
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  sink.paused = true;
  pump(client, MIB);
  pair.advance(30_000);
  t.ok(server.readable > server.rcvLimit - server.mss, 'the window is full');
  sink.paused = false;
  sink.read();
  t.ok(pair.until(() => sink.ended));
  t.equal(sink.wrongAt, -1);
  t.equal(sink.received, MIB);
});

t.test('a reader of a few bytes at a time gets everything', async (t) => {
  const pair = new Pair({ delayUs: 100, loss: 0.01 });
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  sink.paused = true;
  server.onReadable = null;
  pump(client, 300_000);
  while (!sink.ended && pair.clock.nowUs() < 600e6) {
    pair.advance(1);
    sink.paused = false;
    sink.read(333);
    sink.paused = true;
  }
  t.equal(sink.received, 300_000);
  t.equal(sink.wrongAt, -1);
});
