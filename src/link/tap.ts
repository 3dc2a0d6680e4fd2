// TAP links: the device is a Pod's eth0, its file descriptor is our end. After drivers/net/tun.c and linux/virtio_net.h.
//
//   readBatch ──▶ slot: [headroom 86][virtio_net_hdr 10][frame ...] ──▶ skb ──▶ receiver
//   transmit  ──▶ header written into the 10 bytes before the frame ──▶ queue ──▶ writeBatch, once a round of the breath
//
// One call into the addon reads a batch from all TAPs, one writes a batch to all. The set holds a stock of empty skbs for
// the addon to read into; what a batch used is replaced before the next, by the slots freed last, warm in the cache. When
// the pool is empty packets are read and thrown away, as a device without receive buffers does.
// A TAP whose namespace was deleted reports it once: the link closes itself and calls `onGone`.
// Left out: TUN ('ip') devices, multiqueue, IPv6 offloads (the Pod's kernel then segments and sums by itself).
import type { Breath, Pollable } from '../lib/breath.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4, type Link, type LinkReceiver } from '../tcpip-ts/link.ts';
import {
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  GSO_NONE,
  GSO_TCPV4,
  GSO_UDP_L4,
  SKB_HEADROOM,
  SKB_SLOT_SIZE,
  type Skb,
  type SkbPool,
} from '../tcpip-ts/skb.ts';
import type { Mac } from '../tcpip-ts/wire/address.ts';
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
import {
  type Native,
  type NativeSet,
  type OpenedTap,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_USO4,
  TUN_F_USO6,
} from './native.ts';

// struct virtio_net_hdr, little endian:
//   0 flags  1 gso_type  2 hdr_len (2)  4 gso_size (2)  6 csum_start (2)  8 csum_offset (2), both from the frame's start
const VNET_HLEN = 10;
const VNET_F_NEEDS_CSUM = 1;
const VNET_F_DATA_VALID = 2;
const VNET_GSO_ECN = 0x80;

const BATCH = 256;
const TX_QUEUE_LEN = 1000;
const ETHER_MAX = ETH_HLEN + 65535;

export interface TapOptions {
  /** Path of the network namespace the device appears in; null for the thread's own. */
  readonly netnsPath: string | null;
  /** Name inside the namespace, 1 to 15 characters. */
  readonly ifname: string;
  /** Address of the device inside; left to the kernel when absent. */
  readonly mac?: Mac;
  readonly mtu: number;
  /** Checksum, TSO and USO offloads: frames of up to 64 KiB with partial checksums both ways. */
  readonly offload: boolean;
  /** Packets the device queues towards us; 1000 as any Ethernet device when absent (a TAP's own default is 500). */
  readonly txQueueLen?: number;
}

export class TapSet implements Pollable {
  readonly #native: Native;
  readonly #pool: SkbPool;
  readonly #breath: Breath;
  readonly #set: NativeSet;
  readonly #rx = new Int32Array(3 * BATCH);
  readonly #tx = new Int32Array(4 * BATCH);
  readonly #links: (TapLink | null)[] = [];
  /** Skbs whose ids stand in rx.ids[#used, #stock): empty, waiting to be read into. */
  #stock = 0;
  #used = 0;
  readonly #stockSize: number;
  /** Packets waiting in tx. */
  #queued = 0;
  #closed = false;
  /** Packets thrown away because the pool had no free slot. */
  noBuffer = 0;

  /** Watches from this thread's event loop: a readable TAP makes `breath` run. */
  constructor(native: Native, pool: SkbPool, breath: Breath) {
    this.#native = native;
    this.#pool = pool;
    this.#breath = breath;
    this.#stockSize = Math.min(BATCH, pool.size >>> 2);
    this.#set = native.createSet(pool.arena, SKB_SLOT_SIZE, SKB_HEADROOM - VNET_HLEN, this.#rx, this.#tx, () =>
      breath.run(),
    );
    breath.add(this);
  }

  /** Makes the device, up. Throws as Native.openTap does; then nothing is left behind. */
  open(options: TapOptions): TapLink {
    const wanted = options.offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_USO4 | TUN_F_USO6 : 0;
    const { netnsPath, ifname, mac = 0, mtu, txQueueLen = TX_QUEUE_LEN } = options;
    const opened = this.#native.openTap(this.#set, netnsPath, ifname, mac, mtu, txQueueLen, wanted);
    const link = new TapLink(this, opened, mtu);
    this.#links[opened.port] = link;
    return link;
  }

  poll(budget: number): number {
    if (this.#closed) return 0;
    this.#restock();
    if (this.#stock === 0) {
      const thrown = this.#native.discardBatch(this.#set, budget);
      this.noBuffer += thrown;
      return thrown;
    }
    const rx = this.#rx;
    const n = this.#native.readBatch(this.#set, Math.min(budget, this.#stock));
    this.#used = n;
    for (let i = 0; i < n; i++) {
      const skb = this.#pool.at(rx[i]!);
      const len = rx[BATCH + i]!;
      const link = this.#links[rx[2 * BATCH + i]!];
      if (!link) {
        skb.free(); // closed by the receiver of an earlier packet of this batch
      } else if (len < 0) {
        skb.free();
        link.gone();
      } else {
        link.arrive(skb, len);
      }
    }
    return n;
  }

  flush(): void {
    const n = this.#queued;
    if (n === 0 || this.#closed) return;
    const tx = this.#tx;
    this.#queued = 0;
    const lost = this.#native.writeBatch(this.#set, n);
    for (let i = 0; i < n; i++) this.#pool.at(tx[i]!).free();
    if (lost > 0) this.#countLost(n);
  }

  /** Puts a frame that starts with its virtio_net_hdr at `start` on the write queue. Owns `skb`. */
  queue(skb: Skb, start: number, port: number): void {
    const n = this.#queued;
    const tx = this.#tx;
    tx[n] = skb.id;
    tx[BATCH + n] = start;
    tx[2 * BATCH + n] = skb.tail - start;
    tx[3 * BATCH + n] = port;
    this.#queued = n + 1;
    if (n === 0) this.#breath.wake();
    else if (n + 1 === BATCH) this.flush();
  }

  /** For TapLink.close: sends what is queued, then lets the port go. */
  release(port: number): void {
    if (this.#closed) return;
    this.flush();
    this.#links[port] = null;
    this.#native.closeTap(this.#set, port);
  }

  /** Destroys all TAPs. Closing twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#breath.remove(this);
    for (let i = this.#used; i < this.#stock; i++) this.#pool.at(this.#rx[i]!).free();
    this.#stock = 0;
    this.#used = 0;
    this.#native.closeSet(this.#set);
    for (const link of this.#links) link?.close();
    this.#links.length = 0;
  }

  /** Replaces the skbs that the last batch used; closes the gap when the pool has none. */
  #restock(): void {
    const ids = this.#rx;
    while (this.#used > 0) {
      const skb = this.#pool.alloc();
      if (!skb) {
        ids.copyWithin(0, this.#used, this.#stock);
        this.#stock -= this.#used;
        this.#used = 0;
        return;
      }
      ids[--this.#used] = skb.id;
    }
    while (this.#stock < this.#stockSize) {
      const skb = this.#pool.alloc();
      if (!skb) return;
      ids[this.#stock++] = skb.id;
    }
  }

  #countLost(n: number): void {
    const tx = this.#tx;
    for (let i = 0; i < n; i++) {
      if (tx[2 * BATCH + i] === 0) continue;
      const link = this.#links[tx[3 * BATCH + i]!];
      if (!link) continue;
      link.counters[TX_DROPPED]!++;
      link.counters[TX_PACKETS]!--;
    }
  }
}

export class TapLink implements Link {
  readonly kind = 'ether';
  readonly mtu: number;
  readonly features: number;
  readonly ifname: string;
  /** Of the device inside the namespace: the Pod's address, not ours. */
  readonly mac: Mac;
  readonly counters: LinkCounters = newLinkCounters();
  /** Called when the device vanished with its namespace; the link has closed itself. */
  onGone: (() => void) | null = null;
  readonly set: TapSet;
  readonly port: number;
  receiver: LinkReceiver | null = null;
  closed = false;

  constructor(set: TapSet, opened: OpenedTap, mtu: number) {
    this.set = set;
    this.port = opened.port;
    this.ifname = opened.ifname;
    this.mac = opened.mac;
    this.mtu = mtu;
    this.features =
      (opened.offloads & TUN_F_CSUM ? LINK_F_CSUM : 0) |
      (opened.offloads & TUN_F_TSO4 ? LINK_F_TSO4 : 0) |
      (opened.offloads & TUN_F_USO4 ? LINK_F_USO4 : 0);
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    const start = skb.mh - VNET_HLEN;
    if (this.closed || start < 0) {
      this.counters[TX_DROPPED]!++;
      skb.free();
      return;
    }
    putVnetHeader(skb, start);
    this.counters[TX_PACKETS]!++;
    this.counters[TX_BYTES]! += skb.tail - skb.mh;
    this.set.queue(skb, start, this.port);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.set.release(this.port);
  }

  /** For TapSet: takes a packet of `len` bytes, virtio_net_hdr included. Owns `skb`. */
  arrive(skb: Skb, len: number): void {
    skb.tail = SKB_HEADROOM - VNET_HLEN + len;
    if (this.receiver === null || !takeVnetHeader(skb)) {
      this.counters[RX_DROPPED]!++;
      skb.free();
      return;
    }
    this.counters[RX_PACKETS]!++;
    this.counters[RX_BYTES]! += len - VNET_HLEN;
    this.receiver.receive(skb);
  }

  /** For TapSet: the device no longer exists. */
  gone(): void {
    this.close();
    this.onGone?.();
  }
}

/** Fills checksum and gso of a fresh skb (mh at SKB_HEADROOM) from the header before it. False when it makes no sense. */
function takeVnetHeader(skb: Skb): boolean {
  const b = skb.bytes;
  const mh = SKB_HEADROOM;
  const o = mh - VNET_HLEN;
  const frameLen = skb.tail - mh;
  if (frameLen < ETH_HLEN || frameLen > ETHER_MAX) return false;
  const flags = b[o]!;
  const gsoType = b[o + 1]! & ~VNET_GSO_ECN;
  if (flags & VNET_F_NEEDS_CSUM) {
    skb.checksum = CHECKSUM_PARTIAL;
    skb.csumStart = mh + getLE16(b, o + 6);
    skb.csumField = skb.csumStart + getLE16(b, o + 8);
    if (skb.csumField + 2 > skb.tail) return false;
  } else if (flags & VNET_F_DATA_VALID) {
    skb.checksum = CHECKSUM_UNNECESSARY;
  }
  if (gsoType === GSO_NONE) return true;
  skb.gsoType = gsoType;
  skb.gsoSize = getLE16(b, o + 4);
  return skb.gsoSize > 0 && (gsoType === GSO_TCPV4 || gsoType === GSO_UDP_L4);
}

function putVnetHeader(skb: Skb, o: number): void {
  const b = skb.bytes;
  if (skb.checksum !== CHECKSUM_PARTIAL) {
    for (let i = o; i < o + VNET_HLEN; i++) b[i] = 0; // a call of fill() costs more than ten stores
    return;
  }
  b[o] = VNET_F_NEEDS_CSUM;
  b[o + 1] = skb.gsoType;
  // All headers together. The kernel puts this much into the linear part of its buffer, and with 0 it would look for one
  // piece of memory as large as the whole super-segment (tun_get_user).
  let headers = 0;
  if (skb.gsoType === GSO_TCPV4) headers = skb.csumStart - skb.mh + ((b[skb.csumStart + 12]! >>> 4) << 2);
  else if (skb.gsoType === GSO_UDP_L4) headers = skb.csumStart - skb.mh + 8;
  putLE16(b, o + 2, headers);
  putLE16(b, o + 4, skb.gsoType === GSO_NONE ? 0 : skb.gsoSize);
  putLE16(b, o + 6, skb.csumStart - skb.mh);
  putLE16(b, o + 8, skb.csumField - skb.csumStart);
}

function getLE16(b: Uint8Array, o: number): number {
  return b[o]! | (b[o + 1]! << 8);
}

function putLE16(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >>> 8;
}
