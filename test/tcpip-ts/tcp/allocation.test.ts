// What a segment costs in garbage: nothing for acknowledgments and small segments, the views of its bulk copies for a full one.
import { Session } from 'node:inspector/promises';
import t from 'tap';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { Counters } from '../../../src/tcpip-ts/counters.ts';
import type { IpOutput, RouteInfo } from '../../../src/tcpip-ts/ip/transport.ts';
import { type Skb, SkbPool } from '../../../src/tcpip-ts/skb.ts';
import type { Connection } from '../../../src/tcpip-ts/tcp/connection.ts';
import { TcpLayer } from '../../../src/tcpip-ts/tcp/tcp-layer.ts';
import { put32 } from '../../../src/tcpip-ts/wire/bytes.ts';

/** A queue and nothing else. */
class Out implements IpOutput {
  readonly pool: SkbPool;
  readonly info: RouteInfo;
  first: Skb | null = null;
  last: Skb | null = null;

  constructor(pool: SkbPool, saddr: number) {
    this.pool = pool;
    this.info = { saddr, mtu: 1500, features: 0 };
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

function pair(): { client: Connection; server: Connection; settle: () => number } {
  const clock = new VirtualClock();
  const rng = new SeededRng(1);
  const pool = new SkbPool(128);
  const outs = [new Out(pool, 0x0a000001), new Out(pool, 0x0a000002)] as const;
  const [a, b] = outs.map(
    (ip) => new TcpLayer({ clock, rng, ip, counters: new Counters(), options: { receiveBufferMax: 65_536 } }),
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
  return { client, server, settle };
}

/** Bytes allocated on the heap by `work`, by sampling. */
async function allocated(work: () => number): Promise<number> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: 4096,
    includeObjectsCollectedByMinorGC: true,
    includeObjectsCollectedByMajorGC: true,
  });
  const segments = work();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  const sum = (node: typeof profile.head): number => node.children.reduce((n, c) => n + sum(c), node.selfSize);
  return sum(profile.head) / segments;
}

for (const [name, size, allowed] of [
  ['small segments and their acknowledgments', 40, 4],
  ['full segments and their acknowledgments', 14_480, 400],
] as const) {
  t.test(`${name} allocate at most ${allowed} bytes each`, async (t) => {
    const { client, server, settle } = pair();
    client.setNoDelay(true);
    const bytes = new Uint8Array(size);
    const into = new Uint8Array(65_536);
    server.onReadable = () => {
      while (server.read(into) > 0);
    };
    const run = (times: number): number => {
      let n = 0;
      for (let i = 0; i < times; i++) {
        client.write(bytes);
        n += settle();
      }
      return n;
    };
    run(size < 100 ? 300_000 : 20_000);
    const perSegment = await allocated(() => run(size < 100 ? 300_000 : 20_000));
    t.ok(perSegment <= allowed, `${perSegment.toFixed(2)} bytes`);
    t.comment(`${perSegment.toFixed(2)} bytes`);
  });
}
