// The neighbour cache of one interface: address -> MAC and state, after Linux's struct neighbour. Columns of typed arrays, a
// chained hash over indices that stay put while an entry lives (timers and queues go by index), bounded. When full, the first
// entry that is neither in use nor recently used gives way (a clock hand, one reference bit an entry).

import type { Skb } from '../skb.ts';
import type { Mac } from '../wire/address.ts';
import { ETH_P_IP, emitEthernet } from '../wire/ethernet.ts';

/** Entry states, after neighbour.h. */
export const NUD_FREE = 0;
/** Asked for, no answer yet: packets queue. */
export const NUD_INCOMPLETE = 1;
/** Confirmed within the reachable time. */
export const NUD_REACHABLE = 2;
/** Usable, not confirmed of late. */
export const NUD_STALE = 3;
/** Used while stale: a probe follows unless a confirmation comes first. */
export const NUD_DELAY = 4;
/** Being asked again, by unicast; still usable. */
export const NUD_PROBE = 5;
/** No answer. The next packet starts over. */
export const NUD_FAILED = 6;
/** Set by hand: never asked, never overwritten, never evicted. */
export const NUD_PERMANENT = 7;

export const NONE = -1;
export const HEADER_STRIDE = 16;
const MAX_ENTRIES = 1024; // Linux gc_thresh3

export class NeighbourTable {
  addr = new Uint32Array(8);
  /** MACs have 48 bits. Written by setMac. */
  mac = new Float64Array(8);
  /** The Ethernet header of packets to each entry, 16 bytes apart, ready to copy (Linux hh_cache). */
  header = new Uint8Array(8 * HEADER_STRIDE);
  state = new Uint8Array(8);
  /** Requests sent in this state. */
  probes = new Uint8Array(8);
  /** Set on use, cleared by the hand. */
  referenced = new Uint8Array(8);
  /** Packets that wait for the MAC, a list through skb.next. */
  readonly pendingHead: (Skb | null)[] = new Array(8).fill(null);
  readonly pendingTail: (Skb | null)[] = new Array(8).fill(null);
  pendingCount = new Uint8Array(8);
  /** Packets that wait for any entry. */
  waiting = 0;
  #chain = new Int32Array(8).fill(NONE);
  #heads = new Int32Array(8).fill(NONE);
  #used = 0;
  #hand = 0;

  get size(): number {
    return this.#used;
  }

  /** The entry of `addr`, signed or unsigned, or NONE. */
  lookup(addr: number): number {
    addr |= 0;
    let i = this.#heads[hash(addr) & (this.#heads.length - 1)]!;
    while (i !== NONE && (this.addr[i]! | 0) !== addr) i = this.#chain[i]!;
    return i;
  }

  /**
   * A new entry for `addr`, which must not be in the table: state NUD_FREE, to be set by the caller. At 1024 entries an old one is
   * taken over (`evicted` is told its index first, while it still holds); NONE when all of them are being resolved or permanent.
   */
  insert(addr: number, evicted: (i: number) => void): number {
    let i = NONE;
    if (this.#used === this.state.length && this.#used < MAX_ENTRIES) this.#grow();
    if (this.#used < this.state.length) i = this.#used++;
    else {
      i = this.#victim();
      if (i === NONE) return NONE;
      evicted(i);
      this.#unchain(i);
    }
    const slot = hash(addr) & (this.#heads.length - 1);
    this.addr[i] = addr;
    this.mac[i] = 0;
    this.state[i] = NUD_FREE;
    this.probes[i] = 0;
    this.referenced[i] = 1;
    this.#chain[i] = this.#heads[slot]!;
    this.#heads[slot] = i;
    return i;
  }

  /** Notes the MAC of entry `i`, and makes the header of IPv4 packets to it from `src`. */
  setMac(i: number, mac: Mac, src: Mac): void {
    this.mac[i] = mac;
    emitEthernet(this.header, i * HEADER_STRIDE, mac, src, ETH_P_IP);
  }

  /** Appends to what waits for entry `i`. */
  enqueue(i: number, skb: Skb): void {
    skb.next = null;
    const tail = this.pendingTail[i];
    if (tail) tail.next = skb;
    else this.pendingHead[i] = skb;
    this.pendingTail[i] = skb;
    this.pendingCount[i]!++;
    this.waiting++;
  }

  /** Takes the oldest packet that waits for entry `i`. */
  dequeue(i: number): Skb | null {
    const skb = this.pendingHead[i]!;
    if (!skb) return null;
    this.pendingHead[i] = skb.next;
    if (!skb.next) this.pendingTail[i] = null;
    this.pendingCount[i]!--;
    this.waiting--;
    skb.next = null;
    return skb;
  }

  #victim(): number {
    for (let n = 0; n < 2 * this.#used; n++) {
      const i = this.#hand;
      this.#hand = (this.#hand + 1) % this.#used;
      if (this.state[i] === NUD_INCOMPLETE || this.state[i] === NUD_PERMANENT) continue;
      if (this.referenced[i] === 0 || this.state[i] === NUD_FAILED) return i;
      this.referenced[i] = 0;
    }
    return NONE;
  }

  #unchain(i: number): void {
    const slot = hash(this.addr[i]!) & (this.#heads.length - 1);
    let at = this.#heads[slot]!;
    if (at === i) {
      this.#heads[slot] = this.#chain[i]!;
      return;
    }
    while (this.#chain[at] !== i) at = this.#chain[at]!;
    this.#chain[at] = this.#chain[i]!;
  }

  #grow(): void {
    const size = this.state.length * 2;
    this.addr = copyTo(this.addr, new Uint32Array(size));
    this.mac = copyTo(this.mac, new Float64Array(size));
    this.header = copyTo(this.header, new Uint8Array(size * HEADER_STRIDE));
    this.state = copyTo(this.state, new Uint8Array(size));
    this.probes = copyTo(this.probes, new Uint8Array(size));
    this.referenced = copyTo(this.referenced, new Uint8Array(size));
    this.pendingCount = copyTo(this.pendingCount, new Uint8Array(size));
    for (let i = this.pendingHead.length; i < size; i++) {
      this.pendingHead.push(null);
      this.pendingTail.push(null);
    }
    this.#chain = new Int32Array(size).fill(NONE);
    this.#heads = new Int32Array(size).fill(NONE);
    for (let i = 0; i < this.#used; i++) {
      const slot = hash(this.addr[i]!) & (size - 1);
      this.#chain[i] = this.#heads[slot]!;
      this.#heads[slot] = i;
    }
  }
}

function hash(addr: number): number {
  const h = Math.imul(addr ^ (addr >>> 16), 0x9e3779b1);
  return h ^ (h >>> 15);
}

function copyTo<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
