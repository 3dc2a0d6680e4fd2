// A cable of two ends for tests: what one end transmits arrives at the other after `delayUs` on the given clock, in order.
// Everything sent is recorded as a copy; a filter may drop or alter frames. `inject` and `take` let a test be the station at
// the far end itself. Knows Link and Skb only.
import type { Clock } from '../../src/lib/clock.ts';
import type { Link, LinkReceiver } from '../../src/tcpip-ts/link.ts';
import { GSO_NONE, SKB_HEADROOM, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ETH_HLEN } from '../../src/tcpip-ts/wire/ethernet.ts';

export interface WireOptions {
  readonly kind?: 'ether' | 'ip';
  readonly mtu?: number;
  readonly features?: number;
  readonly delayUs?: number;
  /** Frames under way in one direction; more are dropped. */
  readonly queue?: number;
  /** For `inject`. */
  readonly pool?: SkbPool;
}

export interface SentFrame {
  readonly from: 'a' | 'b';
  readonly atUs: number;
  /** The frame (or, on an 'ip' wire, the packet). */
  readonly bytes: Uint8Array;
  readonly checksum: number;
  readonly gsoSize: number;
}

export class Wire {
  readonly a: WireEnd;
  readonly b: WireEnd;
  readonly clock: Clock;
  readonly kind: 'ether' | 'ip';
  readonly delayUs: number;
  readonly queue: number;
  /** Everything transmitted by either end, dropped frames too. */
  readonly frames: SentFrame[] = [];
  /** Off for bulk transfers. */
  record = true;
  /** Called for each transmitted frame; may change the bytes in place; true drops it. Offsets as in a received skb. */
  drop: ((skb: Skb, from: 'a' | 'b') => boolean) | null = null;
  dropped = 0;
  #pool: SkbPool | null;
  #taken = { a: 0, b: 0 };

  constructor(clock: Clock, options: WireOptions = {}) {
    this.clock = clock;
    this.kind = options.kind ?? 'ether';
    this.delayUs = options.delayUs ?? 0;
    this.queue = options.queue ?? 4096;
    this.#pool = options.pool ?? null;
    this.a = new WireEnd(this, 'a', options.mtu ?? 1500, options.features ?? 0);
    this.b = new WireEnd(this, 'b', options.mtu ?? 1500, options.features ?? 0);
  }

  /** The frames that `from` has sent since the last call for that end. */
  take(from: 'a' | 'b'): Uint8Array[] {
    const fresh = this.frames.slice(this.#taken[from]).filter((f) => f.from === from);
    this.#taken[from] = this.frames.length;
    return fresh.map((f) => f.bytes);
  }

  /** Hands `bytes` to the receiver of end `to`, at once, as if they had come over the wire. `prepare` may set skb state. */
  inject(to: 'a' | 'b', bytes: Uint8Array, prepare?: (skb: Skb) => void): void {
    this.#pool ??= new SkbPool(64);
    const skb = this.#pool.alloc();
    if (!skb) throw new Error('wire: no skb left to inject');
    skb.mh = SKB_HEADROOM;
    skb.nh = this.kind === 'ether' ? skb.mh + ETH_HLEN : skb.mh;
    skb.th = skb.nh;
    skb.bytes.set(bytes, skb.mh);
    skb.tail = skb.mh + bytes.length;
    prepare?.(skb);
    (to === 'a' ? this.a : this.b).deliver(skb);
  }
}

export class WireEnd implements Link {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  readonly features: number;
  readonly #wire: Wire;
  readonly #name: 'a' | 'b';
  #receiver: LinkReceiver | null = null;
  /** What this end has transmitted and is still under way. */
  #first: Skb | null = null;
  #last: Skb | null = null;
  #due: number[] = [];
  #scheduled = false;
  #closed = false;

  constructor(wire: Wire, name: 'a' | 'b', mtu: number, features: number) {
    this.kind = wire.kind;
    this.mtu = mtu;
    this.features = features;
    this.#wire = wire;
    this.#name = name;
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  transmit(skb: Skb): void {
    const wire = this.#wire;
    if (this.kind === 'ip') skb.mh = skb.nh;
    if (wire.record) {
      const bytes = skb.bytes.slice(skb.mh, skb.tail);
      const { checksum, gsoSize } = skb;
      wire.frames.push({ from: this.#name, atUs: wire.clock.nowUs(), bytes, checksum, gsoSize });
    }
    const oversized = skb.gsoType === GSO_NONE && skb.len > this.mtu;
    if (this.#closed || oversized || this.#due.length >= wire.queue || wire.drop?.(skb, this.#name)) {
      wire.dropped++;
      skb.free();
      return;
    }
    skb.next = null;
    if (this.#last) this.#last.next = skb;
    else this.#first = skb;
    this.#last = skb;
    this.#due.push(wire.clock.nowUs() + wire.delayUs);
    this.#schedule();
  }

  /** Gives `skb` to this end's receiver. */
  deliver(skb: Skb): void {
    skb.iif = skb.oif = skb.nexthop = skb.mark = skb.ct = skb.ctinfo = skb.cb0 = skb.cb1 = 0;
    skb.next = null;
    if (this.#receiver && !this.#closed) this.#receiver.receive(skb);
    else skb.free();
  }

  close(): void {
    this.#closed = true;
  }

  readonly #arrive = (): void => {
    this.#scheduled = false;
    const wire = this.#wire;
    const peer = this === wire.a ? wire.b : wire.a;
    // Only what is on the wire now: an answer sent meanwhile by a receiver goes by its own timer.
    for (let n = this.#due.length; n > 0 && this.#due[0]! <= wire.clock.nowUs(); n--) {
      const skb = this.#first!;
      this.#first = skb.next;
      if (!this.#first) this.#last = null;
      this.#due.shift();
      peer.deliver(skb);
    }
    if (this.#due.length > 0) this.#schedule();
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#wire.clock.after(Math.max(0, this.#due[0]! - this.#wire.clock.nowUs()), this.#arrive);
  }
}
