// Two TcpLayers (10.0.0.1 and 10.0.0.2) on one clock, with an impaired network between them that knows TCP segments only: delay,
// jitter (reordering), loss, duplication, corruption, a rate with a bounded queue, an MTU; seeded. For bulk transfers and closing
// orders without the rest of the stack. Delivery never happens inside a sender's call.
import { type Clock, VirtualClock } from '../../src/lib/clock.ts';
import { type Rng, SeededRng } from '../../src/lib/rng.ts';
import { Counters } from '../../src/tcpip-ts/counters.ts';
import { EMSGSIZE } from '../../src/tcpip-ts/errno.ts';
import type { IpOutput, RouteInfo } from '../../src/tcpip-ts/ip/transport.ts';
import { GSO_NONE, GSO_TCPV4, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import type { Connection } from '../../src/tcpip-ts/tcp/connection.ts';
import type { TcpOptions } from '../../src/tcpip-ts/tcp/settings.ts';
import { TcpLayer } from '../../src/tcpip-ts/tcp/tcp-layer.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { emitIPv4 } from '../../src/tcpip-ts/wire/ipv4.ts';

export interface Impairment {
  readonly delayUs?: number;
  readonly jitterUs?: number;
  readonly loss?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  /** Share of ECN-capable packets that are marked (RFC 3168). */
  readonly mark?: number;
  /** Bytes a second; 0: no limit. */
  readonly rate?: number;
  /** Bytes that wait for the rate; more are dropped. */
  readonly queue?: number;
}

export interface PairOptions extends Impairment {
  readonly seed?: number;
  readonly mtu?: number;
  readonly features?: number;
  readonly tcp?: Partial<TcpOptions>;
  /** Of b where it differs from a. */
  readonly tcpB?: Partial<TcpOptions>;
  readonly clock?: Clock;
  readonly poolSize?: number;
}

interface UnderWay {
  readonly dueUs: number;
  readonly order: number;
  readonly skb: Skb;
}

/** One host's way out, and the network to the other. */
class PairIp implements IpOutput {
  readonly clock: Clock;
  readonly pool: SkbPool;
  readonly addr: number;
  readonly info: RouteInfo;
  readonly rng: Rng;
  impairment: Impairment;
  peer: TcpLayer | null = null;
  /** A test's own idea of what gets lost. */
  drop: ((skb: Skb) => boolean) | null = null;
  sent = 0;
  lost = 0;
  #queue: UnderWay[] = [];
  #order = 0;
  #scheduledUs = Number.POSITIVE_INFINITY;
  #busyUntilUs = 0;

  constructor(clock: Clock, pool: SkbPool, addr: number, options: PairOptions, rng: Rng) {
    this.clock = clock;
    this.pool = pool;
    this.addr = addr;
    this.info = { saddr: addr, mtu: options.mtu ?? 1500, features: options.features ?? 0 };
    this.impairment = options;
    this.rng = rng;
  }

  route(): RouteInfo {
    return this.info;
  }

  isLocal(addr: number): boolean {
    return addr === this.addr;
  }

  alloc(): Skb | null {
    const skb = this.pool.alloc();
    if (!skb) return null;
    skb.th = skb.nh + 20;
    skb.tail = skb.th;
    return skb;
  }

  sendIcmpError(): void {}

  send(skb: Skb, saddr: number, daddr: number, proto: number, ttl: number, tos: number): number {
    const { mark = 0 } = this.impairment;
    if (mark > 0 && (tos & 3) !== 0 && this.rng.float() < mark) tos |= 3;
    emitIPv4(skb.bytes, skb.nh, tos, skb.len, 0, 0x4000, ttl, proto, saddr, daddr);
    this.sent++;
    const size = skb.gsoType === GSO_NONE ? skb.len : skb.gsoSize + 40;
    if (size > this.info.mtu) {
      skb.free();
      return -EMSGSIZE;
    }
    const { rng } = this;
    const { loss = 0, duplicate = 0, corrupt = 0 } = this.impairment;
    if (this.drop?.(skb) || (loss > 0 && rng.float() < loss)) {
      this.lost++;
      skb.free();
      return 0;
    }
    if (duplicate > 0 && rng.float() < duplicate) {
      const twin = this.pool.clone(skb);
      if (twin) this.#enqueue(twin);
    }
    if (corrupt > 0 && skb.gsoType !== GSO_TCPV4 && rng.float() < corrupt) {
      skb.bytes[skb.th + rng.below(skb.tail - skb.th)]! ^= 1 << rng.below(8);
    }
    this.#enqueue(skb);
    return 0;
  }

  get underWay(): number {
    return this.#queue.length;
  }

  #enqueue(skb: Skb): void {
    const now = this.clock.nowUs();
    const { delayUs = 0, jitterUs = 0, rate = 0, queue = 1 << 20 } = this.impairment;
    let startUs = now;
    if (rate > 0) {
      startUs = Math.max(now, this.#busyUntilUs);
      if (((startUs - now) / 1e6) * rate > queue) {
        this.lost++;
        skb.free();
        return;
      }
      startUs += (skb.len / rate) * 1e6;
      this.#busyUntilUs = startUs;
    }
    const dueUs = Math.ceil(startUs + delayUs + (jitterUs > 0 ? this.rng.below(jitterUs) : 0));
    const entry = { dueUs, order: this.#order++, skb };
    let i = this.#queue.length;
    while (i > 0 && this.#queue[i - 1]!.dueUs > dueUs) i--;
    this.#queue.splice(i, 0, entry);
    this.#schedule();
  }

  #schedule(): void {
    const due = this.#queue[0]?.dueUs;
    if (due === undefined || due >= this.#scheduledUs) return;
    this.#scheduledUs = due;
    this.clock.after(Math.max(0, due - this.clock.nowUs()), () => this.#deliver(due));
  }

  #deliver(dueUs: number): void {
    if (this.#scheduledUs === dueUs) this.#scheduledUs = Number.POSITIVE_INFINITY;
    const now = this.clock.nowUs();
    for (let n = this.#queue.length; n > 0 && this.#queue.length > 0 && this.#queue[0]!.dueUs <= now; n--) {
      const { skb } = this.#queue.shift()!;
      if (this.peer) this.peer.input(skb);
      else skb.free();
    }
    this.#schedule();
  }
}

export interface Host {
  readonly tcp: TcpLayer;
  readonly ip: PairIp;
  readonly counters: Counters;
  readonly addr: number;
}

export class Pair {
  readonly clock: Clock;
  readonly pool: SkbPool;
  readonly a: Host;
  readonly b: Host;

  constructor(options: PairOptions = {}) {
    this.clock = options.clock ?? new VirtualClock();
    this.pool = new SkbPool(options.poolSize ?? 1024);
    const rng = new SeededRng(options.seed ?? 1);
    this.a = this.#host('10.0.0.1', options, rng);
    this.b = this.#host('10.0.0.2', { ...options, tcp: options.tcpB ?? options.tcp ?? {} }, rng);
    this.a.ip.peer = this.b.tcp;
    this.b.ip.peer = this.a.tcp;
  }

  /** Milliseconds, on a virtual clock. */
  advance(ms: number): void {
    (this.clock as VirtualClock).advance(ms * 1000);
  }

  /** Runs until `done`; false when `limitMs` of virtual time pass first. */
  until(done: () => boolean, limitMs = 600_000, stepMs = 5): boolean {
    for (let ms = 0; ms < limitMs; ms += stepMs) {
      if (done()) return true;
      this.advance(stepMs);
    }
    return done();
  }

  /** A connection from a to b, both ends standing. */
  connect(port = 80): [Connection, Connection] {
    let server: Connection | null = null;
    const listener = this.b.tcp.listen({ port });
    if (typeof listener === 'number') throw new Error(`listen: ${listener}`);
    listener.onConnection = (c) => {
      server = c;
    };
    const client = this.a.tcp.connect({ daddr: this.b.addr, dport: port });
    if (typeof client === 'number') throw new Error(`connect: ${client}`);
    if (!this.until(() => server !== null && client.state === 1)) throw new Error('no connection');
    return [client, server!];
  }

  /** What must hold when everything is over: no connection, no record, no buffer, no packet left. */
  leaks(): string[] {
    const out: string[] = [];
    for (const [name, { tcp }] of Object.entries({ a: this.a, b: this.b })) {
      if (tcp.connectionCount > 0) out.push(`${name}: ${tcp.connectionCount} connections`);
      if (tcp.segments.used > 0) out.push(`${name}: ${tcp.segments.used} segment records`);
      if (tcp.buffers.inUse > 0) out.push(`${name}: ${tcp.buffers.inUse} bytes of buffers`);
      if (tcp.fastTimers.armed + tcp.slowTimers.armed > 0) out.push(`${name}: timers armed`);
    }
    const packets = this.pool.size - this.pool.available - this.a.ip.underWay - this.b.ip.underWay;
    if (packets > 0) out.push(`${packets} packets`);
    return out;
  }

  #host(address: string, options: PairOptions, rng: Rng): Host {
    const addr = ipv4(address);
    const counters = new Counters();
    const ip = new PairIp(this.clock, this.pool, addr, options, rng);
    const tcp = new TcpLayer({ clock: this.clock, rng, ip, pool: this.pool, counters, options: options.tcp ?? {} });
    return { tcp, ip, counters, addr };
  }
}

/** A pattern that repeats only after 2^32 bytes, so that a misplaced block shows. */
export function patternByte(i: number): number {
  return (Math.imul(i >>> 2, 0x9e3779b1) >>> ((i & 3) << 3)) & 255;
}

/** Writes `total` bytes of the pattern into `c` as it takes them, then ends it. */
export function pump(c: Connection, total: number): void {
  let sent = 0;
  const chunk = new Uint8Array(65_536);
  const go = (): void => {
    while (sent < total) {
      const n = Math.min(chunk.length, total - sent);
      for (let i = 0; i < n; i++) chunk[i] = patternByte(sent + i);
      const taken = c.write(chunk, 0, n);
      if (taken < 0) return;
      sent += taken;
      if (taken < n) return;
    }
    c.end();
  };
  c.onWritable = go;
  go();
}

/** Reads and checks the pattern. */
export class Sink {
  received = 0;
  wrongAt = -1;
  ended = false;
  errno = -1;
  /** Stop reading. */
  paused = false;
  readonly #c: Connection;
  readonly #buffer = new Uint8Array(65_536);

  constructor(c: Connection) {
    this.#c = c;
    c.onReadable = () => this.read();
    c.onClose = (errno) => {
      this.errno = errno;
    };
    this.read();
  }

  read(most = Number.POSITIVE_INFINITY): void {
    if (this.paused) return;
    for (let left = most; left > 0; ) {
      const n = this.#c.read(this.#buffer, 0, Math.min(left, this.#buffer.length));
      if (n === 0) break;
      left -= n;
      for (let i = 0; i < n && this.wrongAt < 0; i++) {
        if (this.#buffer[i] !== patternByte(this.received + i)) this.wrongAt = this.received + i;
      }
      this.received += n;
    }
    this.ended = this.#c.ended;
  }
}
