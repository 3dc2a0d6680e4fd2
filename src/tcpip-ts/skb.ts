// The packet buffer, after Linux's sk_buff: one fixed slot of a shared arena, and offsets into it. Pooled; the path from
// rx to tx allocates nothing. The arena is one ArrayBuffer so that the addon can read a whole batch into free slots; behind the
// slots it has room for TCP's buffers (block-arena.ts), so that copies between the two make no views.
//
//   0          mh            nh          th                    tail           SKB_SLOT_SIZE
//   ├─headroom─┼─link header─┼─IP header─┼─transport + payload─┼───tailroom───┤
//
// Ownership: a function given an skb either passes it on or frees it. Offsets are bytes from the start of the slot.

import { BlockArena } from './block-arena.ts';

/** Room before a received frame: virtio_net_hdr (10) and, when encapsulated later, outer headers (50). */
export const SKB_HEADROOM = 96;
const ETH_HLEN = 14;
const MAX_IP_PACKET = 65535;
/** Not a multiple of the page size, so that the first bytes of neighbouring slots do not share cache sets. */
export const SKB_SLOT_SIZE = (SKB_HEADROOM + ETH_HLEN + MAX_IP_PACKET + 1 + 191) & ~63;

/** Room for TCP's buffers: as much as the packets have, in blocks of 16 MiB, within bounds. */
const BLOCKS_STEP = 16 << 20;
const BLOCKS_MAX = 128 << 20;

/** State of the transport checksum, after skbuff.h's CHECKSUM_*. */
export const CHECKSUM_NONE = 0; // as found in the packet, not verified
export const CHECKSUM_UNNECESSARY = 1; // verified by the link
export const CHECKSUM_PARTIAL = 2; // holds the pseudo-header sum; to be completed from csumStart to the end

/** What a super-segment must be cut into, after virtio_net.h. */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP_L4 = 5;

export class Skb {
  readonly id: number;
  /** Where the slot lies in the pool's bytes. */
  readonly base: number;
  /** The whole slot. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly pool: SkbPool;
  /** Link header. */
  mh = 0;
  /** Network header. */
  nh = 0;
  /** Transport header; valid once the network layer has parsed the packet. */
  th = 0;
  /** One past the last byte. */
  tail = 0;
  checksum = CHECKSUM_NONE;
  /** With CHECKSUM_PARTIAL: offset where summing starts, and of the field to fill, both from the start of the slot. */
  csumStart = 0;
  csumField = 0;
  gsoType = GSO_NONE;
  /** Payload bytes of each segment of a super-segment. */
  gsoSize = 0;
  /** ifindex of the device it came in by, 0 if made here. */
  iif = 0;
  /** ifindex of the device it leaves by, 0 until routed. */
  oif = 0;
  /** Address to resolve on the outgoing device, host order; set by routing. */
  nexthop = 0;
  /** skb->mark: 0x4000 is kube-proxy's masquerade mark. */
  mark = 0;
  /** Index into the connection table, 0 if none, and the packet's relation to it (IP_CT_*). */
  ct = 0;
  ctinfo = 0;
  /** skb->ipvs_property: the kernel's IPVS has dealt with it and lets it pass from then on. */
  ipvs = false;
  /** Free for the layer that holds the skb now: a route type, an address type, flags. */
  cb0 = 0;
  cb1 = 0;
  /** Next in an intrusive queue (neighbour pending, reassembly, free list). */
  next: Skb | null = null;
  inUse = false;

  constructor(pool: SkbPool, id: number, arena: ArrayBuffer) {
    this.pool = pool;
    this.id = id;
    this.base = id * SKB_SLOT_SIZE;
    this.bytes = new Uint8Array(arena, this.base, SKB_SLOT_SIZE);
    this.view = new DataView(arena, this.base, SKB_SLOT_SIZE);
  }

  /** Bytes from the network header to the end. */
  get len(): number {
    return this.tail - this.nh;
  }

  /** Gives the slot back. Freeing twice is a bug and throws. */
  free(): void {
    this.pool.release(this);
  }

  /** Forgets everything but the bytes: as after alloc, an empty packet at the end of the headroom. */
  reset(): void {
    this.mh = SKB_HEADROOM;
    this.nh = SKB_HEADROOM + ETH_HLEN;
    this.th = this.nh;
    this.tail = this.nh;
    this.checksum = CHECKSUM_NONE;
    this.csumStart = 0;
    this.csumField = 0;
    this.gsoType = GSO_NONE;
    this.gsoSize = 0;
    this.scrub();
  }

  /** Forgets what a host knew of the packet, between one and the next (skb_scrub_packet). The bytes and what a link takes stay. */
  scrub(): void {
    this.iif = 0;
    this.oif = 0;
    this.nexthop = 0;
    this.mark = 0;
    this.ct = 0;
    this.ctinfo = 0;
    this.ipvs = false;
    this.cb0 = 0;
    this.cb1 = 0;
    this.next = null;
  }
}

export class SkbPool {
  readonly arena: ArrayBuffer;
  /** The whole arena. What an application reads into, or writes from, inside of it is copied without garbage. */
  readonly bytes: Uint8Array;
  /** The same by 32-bit words, for sums. */
  readonly words: Uint32Array;
  /** The part behind the slots. */
  readonly blocks: BlockArena;
  readonly size: number;
  readonly #skbs: Skb[] = [];
  /** Ids of free slots; the first `#free` entries are valid. Last freed, first used: warm in the cache. */
  readonly #freeIds: Int32Array;
  #free: number;
  /** Times that alloc found nothing. */
  exhausted = 0;

  /** `size` slots of 64 KiB and headers; memory is touched only as slots and blocks are used. */
  constructor(size = 1024) {
    this.size = size;
    const slots = size * SKB_SLOT_SIZE;
    const room = Math.min(BLOCKS_MAX, Math.ceil(slots / BLOCKS_STEP) * BLOCKS_STEP);
    this.arena = new ArrayBuffer(slots + room);
    this.bytes = new Uint8Array(this.arena);
    this.words = new Uint32Array(this.arena);
    this.blocks = new BlockArena(slots, room);
    this.#freeIds = new Int32Array(size);
    for (let i = 0; i < size; i++) {
      this.#skbs.push(new Skb(this, i, this.arena));
      this.#freeIds[i] = size - 1 - i;
    }
    this.#free = size;
  }

  get available(): number {
    return this.#free;
  }

  /** An empty packet, or null when all slots are in use: the caller drops (NOMEM). */
  alloc(): Skb | null {
    if (this.#free === 0) {
      this.exhausted++;
      return null;
    }
    const skb = this.#skbs[this.#freeIds[--this.#free]!]!;
    skb.inUse = true;
    skb.reset();
    return skb;
  }

  /** The skb of a slot, for a batch reader that was given ids. */
  at(id: number): Skb {
    return this.#skbs[id]!;
  }

  /** A copy with the same offsets and state but its own slot; connection and queue links are not copied. Null when exhausted. */
  clone(skb: Skb): Skb | null {
    const copy = this.alloc();
    if (!copy) return null;
    const from = skb.base + skb.mh;
    this.bytes.copyWithin(copy.base + skb.mh, from, from + skb.tail - skb.mh);
    copy.mh = skb.mh;
    copy.nh = skb.nh;
    copy.th = skb.th;
    copy.tail = skb.tail;
    copy.checksum = skb.checksum;
    copy.csumStart = skb.csumStart;
    copy.csumField = skb.csumField;
    copy.gsoType = skb.gsoType;
    copy.gsoSize = skb.gsoSize;
    copy.iif = skb.iif;
    copy.oif = skb.oif;
    copy.nexthop = skb.nexthop;
    copy.mark = skb.mark;
    return copy;
  }

  release(skb: Skb): void {
    if (!skb.inUse) throw new Error(`skb ${skb.id} freed twice`);
    skb.inUse = false;
    skb.next = null;
    this.#freeIds[this.#free++] = skb.id;
  }
}
