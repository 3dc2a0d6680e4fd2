// In-memory links. All those of a Node share one FIFO, as Linux devices without hardware share the softnet backlog
// (net/core/dev.c, enqueue_to_backlog): transmit queues, the next round of the breath delivers, so a packet that crosses
// many links needs no deeper stack than one that crosses one, and order is the order of sending.
//
//   end A .transmit ──▶ ┌─ backlog ─────────────┐ ──▶ end B's receiver
//   end B .transmit ──▶ │ skb,to  skb,to  ...   │ ──▶ end A's receiver
//                       └───────────────────────┘
//
// Packets cross as they are: partial checksums and super-segments stay so, where the pair's features allow them. Both ends
// must live on one pool's thread.
import type { Breath, Pollable } from '../lib/breath.ts';
import type { Link, LinkReceiver } from '../tcpip-ts/link.ts';
import type { Skb } from '../tcpip-ts/skb.ts';
import { ETH_HLEN } from '../tcpip-ts/wire/ethernet.ts';
import {
  type LinkCounters,
  newLinkCounters,
  RX_BYTES,
  RX_DROPPED,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_PACKETS,
} from './counters.ts';

/** Linux: net.core.netdev_max_backlog is 1000; here a power of two. */
const BACKLOG_SIZE = 1024;

export class Backlog implements Pollable {
  readonly #breath: Breath;
  readonly #mask: number;
  readonly #skbs: (Skb | null)[];
  readonly #to: (RingLink | null)[];
  /** Count of packets ever taken out, and put in; their difference is the queue's length. */
  #head = 0;
  #tail = 0;

  /** `size` is rounded up to a power of two. */
  constructor(breath: Breath, size = BACKLOG_SIZE) {
    const rounded = 2 ** Math.ceil(Math.log2(Math.max(2, size)));
    this.#breath = breath;
    this.#mask = rounded - 1;
    this.#skbs = new Array<Skb | null>(rounded).fill(null);
    this.#to = new Array<RingLink | null>(rounded).fill(null);
    breath.add(this);
  }

  get length(): number {
    return this.#tail - this.#head;
  }

  /** Queues `skb` for delivery at `to`. False when full: then the skb stays the caller's. */
  enqueue(skb: Skb, to: RingLink): boolean {
    const queued = this.#tail - this.#head;
    if (queued > this.#mask) return false;
    const i = this.#tail++ & this.#mask;
    this.#skbs[i] = skb;
    this.#to[i] = to;
    if (queued === 0) this.#breath.wake();
    return true;
  }

  /** Delivers what was queued when the round began, at most `budget`; what the receivers send waits for the next round. */
  poll(budget: number): number {
    const n = Math.min(budget, this.#tail - this.#head);
    for (let k = 0; k < n; k++) {
      const i = this.#head++ & this.#mask;
      const skb = this.#skbs[i]!;
      const to = this.#to[i]!;
      this.#skbs[i] = null;
      this.#to[i] = null;
      to.arrive(skb);
    }
    return n;
  }

  flush(): void {}

  /** Frees what is queued and leaves the breath. Closing twice is fine. */
  close(): void {
    this.#breath.remove(this);
    while (this.#head < this.#tail) {
      const i = this.#head++ & this.#mask;
      this.#skbs[i]!.free();
      this.#skbs[i] = null;
      this.#to[i] = null;
    }
  }
}

export interface RingOptions {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  /** LINK_F_* bits, the same both ways. */
  readonly features: number;
}

export class RingLink implements Link {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  readonly features: number;
  readonly counters: LinkCounters = newLinkCounters();
  readonly backlog: Backlog;
  peer: RingLink | null = null;
  receiver: LinkReceiver | null = null;
  closed = false;

  constructor(backlog: Backlog, options: RingOptions) {
    this.backlog = backlog;
    this.kind = options.kind;
    this.mtu = options.mtu;
    this.features = options.features;
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    const peer = this.peer;
    if (this.closed || peer === null || peer.closed || !this.backlog.enqueue(skb, peer)) {
      this.counters[TX_DROPPED]!++;
      skb.free();
      return;
    }
    this.counters[TX_PACKETS]!++;
    this.counters[TX_BYTES]! += lengthOn(this.kind, skb);
  }

  /** What is still on its way to this end is dropped on arrival; the peer's transmissions are from now on. */
  close(): void {
    this.closed = true;
  }

  /** For the backlog: takes a packet off the wire. Owns `skb`. */
  arrive(skb: Skb): void {
    if (this.closed || this.receiver === null) {
      this.counters[RX_DROPPED]!++;
      skb.free();
      return;
    }
    this.counters[RX_PACKETS]!++;
    this.counters[RX_BYTES]! += lengthOn(this.kind, skb);
    asReceived(skb, this.kind);
    this.receiver.receive(skb);
  }
}

/** A wire: what one end transmits, the other receives. */
export function ringPair(backlog: Backlog, options: RingOptions): [RingLink, RingLink] {
  const a = new RingLink(backlog, options);
  const b = new RingLink(backlog, options);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

function lengthOn(kind: 'ether' | 'ip', skb: Skb): number {
  return skb.tail - (kind === 'ether' ? skb.mh : skb.nh);
}

/** As a device that has just received it sees the packet. */
function asReceived(skb: Skb, kind: 'ether' | 'ip'): void {
  if (kind === 'ether') skb.nh = skb.mh + ETH_HLEN;
  else skb.mh = skb.nh;
  skb.th = skb.nh;
  skb.scrub();
}
