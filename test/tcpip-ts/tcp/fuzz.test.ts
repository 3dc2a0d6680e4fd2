// Frames that nobody should send, at a layer with open connections: mutated segments of real dialogues and plain noise. Nothing may
// throw, leak or hang. More with FUZZ_FRAMES=10000000.
import t from 'tap';
import { type Rng, SeededRng } from '../../../src/lib/rng.ts';
import type { Skb } from '../../../src/tcpip-ts/skb.ts';
import { put16, put32 } from '../../../src/tcpip-ts/wire/bytes.ts';
import { checksum, finish, pseudoSum, sumBytes } from '../../../src/tcpip-ts/wire/checksum.ts';
import { Pair, pump, Sink } from '../../support/tcp-pair.ts';

const FRAMES = Number(process.env.FUZZ_FRAMES ?? 20_000);
t.setTimeout(0);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** Changes a segment in one of the ways that parsers and state machines dislike. */
function mutate(skb: Skb, rng: Rng): void {
  const b = skb.bytes;
  const th = skb.th;
  switch (rng.below(10)) {
    case 0:
      b[th + 13] = rng.below(256); // flags
      break;
    case 1:
      put32(b, th + 4, rng.u32());
      break;
    case 2:
      put32(b, th + 8, rng.u32());
      break;
    case 3: {
      // near what it was: inside windows
      const at = th + (rng.below(2) ? 4 : 8);
      const was = (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;
      put32(b, at, was + rng.below(6000) - 3000);
      break;
    }
    case 4:
      b[th + 12] = rng.below(256); // header length
      break;
    case 5:
      put16(b, th + 14, rng.below(3) === 0 ? 0 : rng.below(65_536));
      break;
    case 6:
      for (let i = th + 20; i < Math.min(skb.tail, th + 60); i++) if (rng.below(3) === 0) b[i] = rng.below(256);
      break;
    case 7:
      skb.tail = th + rng.below(skb.tail - th + 1);
      break;
    case 8:
      b[th + rng.below(skb.tail - th)]! ^= 1 << rng.below(8);
      break;
    default:
      for (let i = th; i < skb.tail; i++) b[i] = rng.below(256);
      put16(b, th, 80); // some of the noise finds a port
      put16(b, th + 2, 80);
  }
  // A right checksum, so that it is not the checksum that saves us.
  put16(b, skb.nh + 2, skb.tail - skb.nh);
  put16(b, skb.nh + 10, 0);
  put16(b, skb.nh + 10, checksum(b, skb.nh, th));
  if (skb.tail - th < 18) return;
  const saddr =
    (b[skb.nh + 12]! * 0x1000000 + (b[skb.nh + 13]! << 16) + (b[skb.nh + 14]! << 8) + b[skb.nh + 15]!) >>> 0;
  const daddr =
    (b[skb.nh + 16]! * 0x1000000 + (b[skb.nh + 17]! << 16) + (b[skb.nh + 18]! << 8) + b[skb.nh + 19]!) >>> 0;
  put16(b, th + 16, 0);
  put16(b, th + 16, finish(sumBytes(b, th, skb.tail, pseudoSum(saddr, daddr, 6, skb.tail - th))));
}

t.test(`${FRAMES} mutated frames, seed ${SEED}`, async (t) => {
  const rng = new SeededRng(SEED);
  let frames = 0;
  let round = 0;
  while (frames < FRAMES) {
    round++;
    const features = round % 3 === 0 ? 3 : 0;
    const pair = new Pair({ seed: SEED * 1000 + round, delayUs: 500, loss: 0.02, poolSize: 256, features });
    const connected = pair.connect();
    const sinks = connected.map((c) => new Sink(c));
    for (const c of connected) pump(c, 30_000);
    for (const host of [pair.a, pair.b]) {
      const peer = host === pair.a ? pair.b : pair.a;
      host.ip.drop = (skb) => {
        // Besides the true one, a few bad copies.
        for (let n = rng.below(4); n > 0; n--) {
          const copy = pair.pool.clone(skb);
          if (!copy) break;
          copy.th = skb.th;
          mutate(copy, rng);
          frames++;
          pair.clock.after(rng.below(3000), () => peer.tcp.input(copy));
        }
        return false;
      };
    }
    pair.advance(2000);
    pair.a.ip.drop = pair.b.ip.drop = null;
    for (const c of connected) c.close();
    pair.advance(1_500_000);
    const problem = pair.leaks().join(', ');
    if (problem !== '') {
      t.fail(`round ${round}: ${problem} ${sinks.map((s) => s.received).join(' ')}`);
      return;
    }
  }
  t.pass(`${frames} frames in ${round} rounds`);
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
