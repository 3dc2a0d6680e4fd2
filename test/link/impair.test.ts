import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { TX_DROPPED, TX_PACKETS } from '../../src/link/counters.ts';
import { ImpairedLink, type Impairment } from '../../src/link/impair.ts';
import type { Link } from '../../src/tcpip-ts/link.ts';
import { type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';

interface Sent {
  readonly atUs: number;
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** An impaired link over one that records when each packet went out. */
function makeLink(impairment: Impairment, seed = 1) {
  const clock = new VirtualClock();
  const pool = new SkbPool(64);
  const sent: Sent[] = [];
  const inner: Link & { closed: boolean } = {
    kind: 'ether',
    mtu: 1500,
    features: 7,
    closed: false,
    attach() {},
    transmit(skb) {
      sent.push({ atUs: clock.nowUs(), number: skb.bytes[skb.nh]!, bytes: skb.bytes.slice(skb.mh, skb.tail) });
      skb.free();
    },
    close() {
      inner.closed = true;
    },
  };
  const link = new ImpairedLink(inner, { clock, rng: new SeededRng(seed) }, impairment);
  /** Sends packets number from, from + 1, ... of 1000 bytes on the wire. */
  const send = (count: number, from = 0): void => {
    for (let i = 0; i < count; i++) link.transmit(packet(pool, (from + i) & 255));
  };
  return { clock, pool, inner, link, sent, send };
}

function packet(pool: SkbPool, number: number): Skb {
  const skb = pool.alloc()!;
  skb.bytes.fill(0, skb.mh, skb.mh + 1000);
  skb.tail = skb.mh + 1000;
  skb.bytes[skb.nh] = number;
  return skb;
}

const numbers = (sent: Sent[]): number[] => sent.map((s) => s.number);

t.test('without impairments everything passes at once, unchanged', async (t) => {
  const { link, sent, send, pool } = makeLink({});
  send(3);
  t.same(
    sent.map((s) => [s.atUs, s.number]),
    [
      [0, 0],
      [0, 1],
      [0, 2],
    ],
  );
  t.match(link, { kind: 'ether', mtu: 1500, features: 7 });
  t.equal(pool.available, pool.size);
});

t.test('delay holds each packet for its time, in order', async (t) => {
  const { clock, sent, send, pool } = makeLink({ delayUs: 50_000 });
  send(2);
  clock.advance(10_000);
  send(1, 2);
  clock.advance(39_999);
  t.same(sent, []);
  clock.advance(1);
  t.same(numbers(sent), [0, 1]);
  clock.advance(10_000);
  t.same(
    sent.map((s) => s.atUs),
    [50_000, 50_000, 60_000],
  );
  t.equal(pool.available, pool.size);
});

t.test('jitter spreads the delay within its bounds, and never drops', async (t) => {
  const { clock, sent, send } = makeLink({ delayUs: 10_000, jitterUs: 4000 });
  send(50);
  clock.advance(20_000);
  t.equal(sent.length, 50);
  t.ok(sent.every((s) => s.atUs >= 6000 && s.atUs <= 14_000));
  t.ok(new Set(sent.map((s) => s.atUs)).size > 40, 'not all alike');
  t.not(numbers(sent).join(), [...numbers(sent)].sort((a, b) => a - b).join(), 'and out of order');
});

t.test('loss drops its share, frees and counts them', async (t) => {
  const { link, sent, send, pool } = makeLink({ loss: 0.1 });
  send(10_000);
  t.ok(sent.length > 8800 && sent.length < 9200, `${sent.length} of 10000 passed`);
  t.equal(link.counters[TX_DROPPED], 10_000 - sent.length);
  t.equal(link.counters[TX_PACKETS], sent.length);
  t.equal(pool.available, pool.size);
});

t.test('loss of 1 drops all', async (t) => {
  const { sent, send } = makeLink({ loss: 1 });
  send(100);
  t.equal(sent.length, 0);
});

t.test('duplicates are copies, one after the other', async (t) => {
  const { sent, send, pool } = makeLink({ duplicate: 1 });
  send(2);
  t.same(numbers(sent), [0, 0, 1, 1]);
  t.same(sent[0]!.bytes, sent[1]!.bytes);
  t.equal(pool.available, pool.size);
});

t.test('a duplicate that finds no slot is left out', async (t) => {
  const { sent, send, pool } = makeLink({ duplicate: 1 });
  const hoard = Array.from({ length: pool.size - 1 }, () => pool.alloc()!);
  send(1);
  t.same(numbers(sent), [0]);
  for (const skb of hoard) skb.free();
});

t.test('corruption flips exactly one bit, and takes the offloads away', async (t) => {
  const { link, pool, sent } = makeLink({ corrupt: 1 });
  t.equal(link.features, 0);
  for (let i = 0; i < 20; i++) link.transmit(packet(pool, 0)); // all bits zero
  const ones = sent.map((s) => s.bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0));
  t.same(ones, new Array(20).fill(1));
});

t.test('reorder lets some skip the delay', async (t) => {
  const { clock, sent, send } = makeLink({ delayUs: 1000, reorder: 0.25 });
  send(60);
  const early = sent.length;
  t.ok(early > 5 && early < 25, `${early} of 60 went at once`);
  clock.advance(1000);
  t.equal(sent.length, 60);
});

t.test('a rate spaces packets by their length', async (t) => {
  const { clock, sent, send } = makeLink({ rateBps: 8_000_000 }); // 1000 bytes take 1 ms
  send(3);
  clock.advance(10_000);
  send(1, 3);
  clock.advance(10_000);
  t.same(
    sent.map((s) => s.atUs),
    [1000, 2000, 3000, 11_000],
  );
});

t.test('a rate and a delay add up', async (t) => {
  const { clock, sent, send } = makeLink({ rateBps: 8_000_000, delayUs: 500 });
  send(2);
  clock.advance(10_000);
  t.same(
    sent.map((s) => s.atUs),
    [1500, 2500],
  );
});

t.test('more than the limit waiting are dropped', async (t) => {
  const { clock, link, sent, send, pool } = makeLink({ delayUs: 1000, limit: 10 });
  send(15);
  t.equal(link.counters[TX_DROPPED], 5);
  clock.advance(1000);
  t.same(numbers(sent), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.equal(pool.available, pool.size);
});

t.test('the same seed gives the same fate, another seed another', async (t) => {
  const fate = (seed: number): string => {
    const { clock, sent, send } = makeLink(
      { loss: 0.2, duplicate: 0.1, delayUs: 1000, jitterUs: 900, reorder: 0.1 },
      seed,
    );
    for (let i = 0; i < 20; i++) {
      send(2, 2 * i);
      clock.advance(200);
    }
    clock.advance(10_000);
    return sent.map((s) => `${s.number}@${s.atUs}`).join();
  };
  t.equal(fate(7), fate(7));
  t.not(fate(7), fate(8));
});

t.test('closing frees what waits, closes the link inside, and later packets are dropped', async (t) => {
  const { clock, link, inner, sent, send, pool } = makeLink({ delayUs: 1000 });
  send(5);
  link.close();
  link.close();
  send(1);
  clock.advance(5000);
  t.same(sent, []);
  t.equal(inner.closed, true);
  t.equal(link.counters[TX_DROPPED], 6);
  t.equal(pool.available, pool.size);
});
