import t from 'tap';
import { Breath } from '../../src/lib/breath.ts';
import { RX_DROPPED, RX_PACKETS, TX_BYTES, TX_DROPPED, TX_PACKETS } from '../../src/link/counters.ts';
import { Backlog, type RingLink, type RingOptions, ringPair } from '../../src/link/ring.ts';
import { CHECKSUM_PARTIAL, GSO_TCPV4, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { allocated } from '../support/allocated.ts';

const ETHER: RingOptions = { kind: 'ether', mtu: 1500, features: 0 };

/** A backlog on a breath that starts when `wake` of the deferred function is called, as the event loop would. */
function makeBacklog(size?: number) {
  const deferred: (() => void)[] = [];
  const breath = new Breath((fn) => deferred.push(fn));
  const pool = new SkbPool(128);
  return { breath, deferred, pool, backlog: new Backlog(breath, size) };
}

function packet(pool: SkbPool, first: number, payload = 46): Skb {
  const skb = pool.alloc()!;
  skb.tail = skb.nh + payload;
  skb.bytes[skb.nh] = first;
  return skb;
}

/** First payload byte of everything that arrives. */
function receive(link: RingLink): number[] {
  const seen: number[] = [];
  link.attach({
    receive(skb) {
      seen.push(skb.bytes[skb.nh]!);
      skb.free();
    },
  });
  return seen;
}

t.test('what one end transmits the other receives in the next breath, in order', async (t) => {
  const { deferred, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  const atA = receive(a);
  const atB = receive(b);
  for (const k of [1, 2, 3]) a.transmit(packet(pool, k));
  b.transmit(packet(pool, 9));
  t.same([atA, atB], [[], []], 'not before');
  t.equal(deferred.length, 1, 'one breath is asked for');
  deferred[0]!();
  t.same([atA, atB], [[9], [1, 2, 3]]);
  t.match([a.counters[TX_PACKETS], a.counters[TX_BYTES], b.counters[RX_PACKETS]], [3, 180, 3]);
  t.equal(pool.available, pool.size);
});

t.test('pairs of one backlog keep the order of sending among each other', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  const [c, d] = ringPair(backlog, ETHER);
  const seen: string[] = [];
  for (const [name, link] of [
    ['b', b],
    ['d', d],
  ] as const) {
    link.attach({
      receive(skb) {
        seen.push(name);
        skb.free();
      },
    });
  }
  a.transmit(packet(pool, 1));
  c.transmit(packet(pool, 2));
  a.transmit(packet(pool, 3));
  breath.run();
  t.same(seen, ['b', 'd', 'b']);
});

t.test('a receiver that answers is heard in the next round, not deeper in the stack', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  let depth = 0;
  let deepest = 0;
  let hops = 0;
  const bounce = (own: RingLink) => ({
    receive(skb: Skb): void {
      deepest = Math.max(deepest, ++depth);
      if (++hops < 6) own.transmit(skb);
      else skb.free();
      depth--;
    },
  });
  a.attach(bounce(a));
  b.attach(bounce(b));
  a.transmit(packet(pool, 1));
  breath.run();
  t.equal(hops, 6);
  t.equal(deepest, 1);
  t.equal(pool.available, pool.size);
});

t.test('a poll delivers no more than its budget', async (t) => {
  const { pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  const seen = receive(b);
  for (let k = 0; k < 10; k++) a.transmit(packet(pool, k));
  t.equal(backlog.poll(4), 4);
  t.same(seen, [0, 1, 2, 3]);
  t.equal(backlog.poll(100), 6);
});

t.test('a full backlog drops, counts and frees', async (t) => {
  const { breath, pool, backlog } = makeBacklog(8);
  const [a, b] = ringPair(backlog, ETHER);
  const seen = receive(b);
  for (let k = 0; k < 10; k++) a.transmit(packet(pool, k));
  t.equal(backlog.length, 8);
  t.equal(a.counters[TX_DROPPED], 2);
  breath.run();
  t.same(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
  t.equal(pool.available, pool.size);
});

t.test('nobody attached: arrivals are dropped and counted', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  a.transmit(packet(pool, 1));
  breath.run();
  t.equal(b.counters[RX_DROPPED], 1);
  t.equal(pool.available, pool.size);
});

t.test('a closed end neither receives what is on its way nor lets its peer send', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  const seen = receive(b);
  a.transmit(packet(pool, 1));
  b.close();
  b.close();
  a.transmit(packet(pool, 2));
  b.transmit(packet(pool, 3));
  breath.run();
  t.same(seen, []);
  t.equal(b.counters[RX_DROPPED], 1);
  t.equal(a.counters[TX_DROPPED], 1);
  t.equal(b.counters[TX_DROPPED], 1);
  t.equal(pool.available, pool.size);
});

t.test('a super-segment crosses whole, but what the sender knew of it is forgotten', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, { kind: 'ip', mtu: 1500, features: 3 });
  const skb = packet(pool, 0x45, 20_000);
  Object.assign(skb, {
    checksum: CHECKSUM_PARTIAL,
    csumStart: skb.nh + 20,
    csumField: skb.nh + 36,
    gsoType: GSO_TCPV4,
    gsoSize: 1448,
  });
  Object.assign(skb, { iif: 3, oif: 4, mark: 0x4000, ct: 17, ctinfo: 1, nexthop: 99, ipvs: true, cb0: 1, cb1: 2 });
  let arrived: object = {};
  b.attach({
    receive(skb) {
      arrived = { ...skb, len: skb.len };
      skb.free();
    },
  });
  a.transmit(skb);
  breath.run();
  t.match(arrived, {
    len: 20_000,
    checksum: CHECKSUM_PARTIAL,
    gsoType: GSO_TCPV4,
    gsoSize: 1448,
    csumStart: skb.nh + 20,
  });
  t.match(arrived, { iif: 0, oif: 0, mark: 0, ct: 0, ctinfo: 0, nexthop: 0, ipvs: false, cb0: 0, cb1: 0 });
});

t.test('closing the backlog frees what waits in it', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  const seen = receive(b);
  a.transmit(packet(pool, 1));
  backlog.close();
  backlog.close();
  breath.run();
  t.same(seen, []);
  t.equal(pool.available, pool.size);
});

t.test('allocates nothing a packet', async (t) => {
  const { breath, pool, backlog } = makeBacklog();
  const [a, b] = ringPair(backlog, ETHER);
  b.attach({ receive: (skb) => skb.free() });
  const send = (count: number): void => {
    for (let i = 0; i < count; i += 50) {
      for (let k = 0; k < 50; k++) a.transmit(packet(pool, k));
      breath.run();
    }
  };
  send(100_000);
  const bytes = await allocated(100_000, () => send(100_000));
  t.ok(bytes <= 100_000, `${bytes} bytes for 100,000 packets`);
});
