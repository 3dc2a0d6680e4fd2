// A segment costs no garbage: small, full or super-segment, and its acknowledgments. The clock counts its readings: the real one's number
// does not fit a small integer, and V8 boxes it (16 bytes) where it chooses not to inline the reading. The applications keep their bytes
// in the packet pool's arena, as those do that want none either. What is left is V8's, now and then.
import t from 'tap';
import type { Clock, Timer } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { Counters } from '../../../src/tcpip-ts/counters.ts';
import type { IpOutput, RouteInfo } from '../../../src/tcpip-ts/ip/transport.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import { type Skb, SkbPool } from '../../../src/tcpip-ts/skb.ts';
import type { Connection } from '../../../src/tcpip-ts/tcp/connection.ts';
import { TcpLayer } from '../../../src/tcpip-ts/tcp/tcp-layer.ts';
import { put32 } from '../../../src/tcpip-ts/wire/bytes.ts';
import { allocated } from '../../support/allocated.ts';

/** A microsecond a reading; no timer comes due. */
class CountingClock implements Clock {
  #us = 0;

  nowUs(): number {
    return this.#us++;
  }

  unixMs(): number {
    return 0;
  }

  after(): Timer {
    return { cancel: () => {} };
  }
}

/** A queue and nothing else. */
class Out implements IpOutput {
  readonly pool: SkbPool;
  readonly info: RouteInfo;
  first: Skb | null = null;
  last: Skb | null = null;

  constructor(pool: SkbPool, saddr: number, features: number) {
    this.pool = pool;
    this.info = { saddr, mtu: 1500, features };
  }

  route(): RouteInfo {
    return this.info;
  }

  isLocal(): boolean {
    return true;
  }

  alloc(): Skb | null {
    const skb = this.pool.alloc();
    if (!skb) return null;
    skb.th = skb.nh + 20;
    skb.tail = skb.th;
    return skb;
  }

  send(skb: Skb, saddr: number, daddr: number): number {
    put32(skb.bytes, skb.nh + 12, saddr);
    put32(skb.bytes, skb.nh + 16, daddr);
    if (this.last) this.last.next = skb;
    else this.first = skb;
    this.last = skb;
    return 0;
  }

  sendIcmpError(): void {}

  shift(): Skb | null {
    const skb = this.first;
    if (!skb) return null;
    this.first = skb.next;
    if (!this.first) this.last = null;
    skb.next = null;
    return skb;
  }
}

interface Joined {
  readonly pool: SkbPool;
  readonly client: Connection;
  readonly server: Connection;
  /** Carries packets until there is none; returns how many there were. */
  readonly settle: () => number;
}

function join(features: number): Joined {
  const clock = new CountingClock();
  const rng = new SeededRng(1);
  const pool = new SkbPool(128);
  const outs = [new Out(pool, 0x0a000001, features), new Out(pool, 0x0a000002, features)] as const;
  const [a, b] = outs.map(
    (ip) => new TcpLayer({ clock, rng, ip, pool, counters: new Counters(), options: { receiveBufferMax: 262_144 } }),
  );
  const settle = (): number => {
    let n = 0;
    for (;;) {
      const up = outs[0].shift();
      if (up) b!.input(up);
      const down = outs[1].shift();
      if (down) a!.input(down);
      if (!up && !down) return n;
      n += (up ? 1 : 0) + (down ? 1 : 0);
    }
  };
  let server: Connection | null = null;
  const listener = b!.listen({ port: 80 });
  if (typeof listener === 'number') throw new Error('listen');
  listener.onConnection = (c) => {
    server = c;
  };
  const client = a!.connect({ daddr: 0x0a000002, dport: 80 });
  settle();
  if (typeof client === 'number' || !server) throw new Error('connect');
  return { pool, client, server, settle };
}

for (const [name, size, features, times] of [
  ['small segments', 40, 0, 40_000],
  ['full segments', 14_480, 0, 4000],
  ['full segments with their checksums left to the link', 14_480, LINK_F_CSUM, 4000],
  ['super-segments', 65_000, LINK_F_CSUM | LINK_F_TSO4, 8000],
] as const) {
  t.test(`${name} and their acknowledgments allocate nothing`, async (t) => {
    const { pool, client, server, settle } = join(features);
    client.setNoDelay(true);
    const { bytes, blocks } = pool;
    const from = blocks.take(16);
    const into = blocks.take(16);
    let received = 0;
    server.onReadable = () => {
      for (let n = server.read(bytes, into, into + 65_536); n > 0; n = server.read(bytes, into, into + 65_536))
        received += n;
    };
    let segments = 0;
    let runs = 0;
    const run = (): void => {
      runs++;
      segments = 0;
      for (let i = 0; i < times; i++) {
        client.write(bytes, from, from + size);
        segments += settle();
      }
    };
    run();
    run();
    const bytesOfHeap = await allocated(segments, run);
    t.equal(received, runs * times * size);
    t.ok(bytesOfHeap <= segments, `${bytesOfHeap} bytes for ${segments} segments`);
    client.abort();
  });
}
