// Frames that nobody should send: a short run of the fuzzer (fuzz-round.ts), and the rounds that once found
// something. The long run: `npm run fuzz:tcp`.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { put16, put32 } from '../../src/tcpip-ts/wire/bytes.ts';
import { finish, pseudoSum, sumBytes } from '../../src/tcpip-ts/wire/checksum.ts';
import { SEED } from '../support/property.ts';
import { Pair } from '../support/tcp-pair.ts';
import { fuzz, fuzzRound } from './fuzz-round.ts';

const KEPT = new URL('../../../test/fixtures/tcpip-ts/kept-rounds.txt', import.meta.url);

t.test('mutated frames and noise: nothing throws, leaks or hangs', async (t) => {
  for (const seed of [SEED, SEED + 1]) {
    const { frames, rounds, states, failure } = fuzz(seed, 60_000, () => false);
    t.equal(failure, undefined, `seed ${seed}, ${rounds} rounds`);
    t.ok(frames >= 60_000);
    const wanted = ['LISTEN', 'SYN-SENT', 'SYN-RECEIVED', 'SYN-RECEIVED (queue)', 'ESTABLISHED', 'FIN-WAIT-1'];
    for (const state of [...wanted, 'FIN-WAIT-2', 'CLOSE-WAIT', 'CLOSING', 'LAST-ACK', 'TIME-WAIT', 'CLOSED'])
      t.ok(states.has(state), `some met ${state}`);
  }
});

t.test('the rounds that once found something', async (t) => {
  for (const line of readFileSync(KEPT, 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [round = '', ...what] = line.split(' ');
    t.equal(fuzzRound(Number(round)).problem, '', `${round}: ${what.join(' ')}`);
  }
});

t.test('a round depends on its seed alone', async (t) => {
  const one = fuzzRound(7);
  fuzzRound(8);
  t.same(fuzzRound(7), one);
});

t.test('a flood of SYNs leaves half-open connections bounded, and the listener still answers', async (t) => {
  const pair = new Pair({ poolSize: 256 });
  const listener = pair.b.tcp.listen({ port: 80, backlog: 64 });
  t.type(listener, 'object');
  pair.b.ip.drop = () => true; // nobody is there to reset what was not asked for
  for (let i = 0; i < 20_000; i++) {
    const skb = pair.a.ip.alloc()!;
    const b = skb.bytes;
    const th = skb.th;
    put16(b, th, 1024 + (i % 60_000));
    put16(b, th + 2, 80);
    put32(b, th + 4, i);
    put32(b, th + 8, 0);
    b[th + 12] = 0x50;
    b[th + 13] = 2;
    put16(b, th + 14, 1000);
    put32(b, th + 16, 0);
    skb.tail = th + 20;
    put16(b, th + 16, finish(sumBytes(b, th, skb.tail, pseudoSum(pair.a.addr + 5, pair.b.addr, 6, 20))));
    pair.a.ip.send(skb, pair.a.addr + 5, pair.b.addr, 6, 64, 0);
    if (i % 50 === 0) pair.advance(1);
  }
  pair.advance(10);
  pair.b.ip.drop = null;
  t.ok(pair.b.tcp.synQueue.size <= 64);
  t.ok(pair.b.counters.get('TcpExtSyncookiesSent') > 19_000);
  t.equal(pair.b.tcp.connectionCount, 0);
  if (typeof listener === 'number') return;
  const client = pair.a.tcp.connect({ daddr: pair.b.addr, dport: 80 });
  if (typeof client === 'number') return;
  t.ok(
    pair.until(() => listener.queue.length === 1, 5000),
    'a true client gets through by its cookie',
  );
});
