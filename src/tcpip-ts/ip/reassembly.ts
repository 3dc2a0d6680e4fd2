// Reassembly of IPv4 fragments, after Linux's ip_fragment.c. A datagram under way is a buffer of its own (no packet slot is
// held) and a bitmap of the 8-byte blocks that have come, which does the job of RFC 815's hole list.
//
// - Key: source, destination, protocol, identification. Lives 30 s from its first fragment, then is counted and, when its
//   first fragment had come, reported by ICMP time exceeded (RFC 792).
// - A fragment whose blocks have all come already is a duplicate and ignored; one that overlaps in part ends the datagram
//   (the reading of RFC 5722 that Linux applies to IPv4 as well): no two views of the same bytes.
// - At most 32 datagrams, 64 KiB each; beyond, the oldest gives way. Four buffers are kept for reuse.
// - Inconsistent ends, a middle fragment that is not a multiple of 8, and anything past 65,535 bytes end the datagram.
// - A mark on one fragment marks the whole; capable and not capable ones do not mix (RFC 3168 5.3; Linux's ip_frag_ecn_table).
// Times in microseconds.
import type { Clock } from '../../lib/clock.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';
import { type Counters, NETSTAT, SNMP } from '../counters.ts';
import { CHECKSUM_NONE, type Skb, type SkbPool } from '../skb.ts';
import { put16 } from '../wire/bytes.ts';
import {
  ECN_CE,
  ECN_MASK,
  fillIpChecksum,
  IP_MF,
  IP_OFFSET_MASK,
  IPV4_HLEN,
  ipDaddr,
  ipFrag,
  ipHlen,
  ipId,
  ipProto,
  ipSaddr,
  ipTos,
} from '../wire/ipv4.ts';

const TIMEOUT_US = 30e6; // net.ipv4.ipfrag_time
const MAX_DATAGRAMS = 32;
const MAX_SPARE = 4;
const MAX_PAYLOAD = 65535 - IPV4_HLEN;
const MAX_HEADER = 60;
const BLOCKS = 8192;
/** What an ICMP error quotes at least. */
const QUOTE = 8;

class Datagram {
  readonly id: number;
  saddr = 0;
  daddr = 0;
  proto = 0;
  ident = 0;
  /** Order of creation, 0 when free. */
  born = 0;
  payload: Uint8Array | null = null;
  readonly bitmap = new Uint32Array(BLOCKS / 32);
  /** Header of the fragment at offset 0, once it has come. */
  readonly header = new Uint8Array(MAX_HEADER);
  hlen = 0;
  /** Bytes that have come. */
  received = 0;
  /** Payload length, known from the last fragment; -1 before. */
  end = -1;
  /** Highest byte seen. */
  reach = 0;
  /** A bit for each ECN field seen. */
  ecn = 0;
  /** Interface of the last fragment. */
  iif = 0;

  constructor(id: number) {
    this.id = id;
  }
}

export class Reassembly {
  readonly #pool: SkbPool;
  readonly #counters: Counters;
  readonly #timers: TimerWheel;
  readonly #datagrams: Datagram[] = [];
  readonly #spare: Uint8Array[] = [];
  readonly #timeExceeded: (skb: Skb) => void;
  #births = 0;

  /** `timeExceeded` is lent the start of a datagram that was given up. */
  constructor(clock: Clock, pool: SkbPool, counters: Counters, timeExceeded: (skb: Skb) => void) {
    this.#pool = pool;
    this.#counters = counters;
    this.#timeExceeded = timeExceeded;
    this.#timers = new TimerWheel(clock, 100e3, (id) => this.#expire(this.#datagrams[id]!), MAX_DATAGRAMS);
  }

  /** Datagrams under way. */
  get pending(): number {
    return this.#timers.armed;
  }

  /**
   * Takes in a fragment (owns `skb`; header sound, `tail` cut to the packet). Returns the whole packet in a fresh skb when this
   * was the last missing piece, else null.
   */
  push(skb: Skb): Skb | null {
    const { v } = this.#counters;
    v[SNMP.IpReasmReqds]!++;
    const b = skb.bytes;
    const nh = skb.nh;
    const hlen = ipHlen(b, nh);
    const word = ipFrag(b, nh);
    const start = (word & IP_OFFSET_MASK) * 8;
    const length = skb.tail - nh - hlen;
    const end = start + length;
    const more = (word & IP_MF) !== 0;
    const datagram = this.#find(b, nh);
    const consistent =
      length > 0 &&
      end <= MAX_PAYLOAD &&
      (more ? length % 8 === 0 && (datagram.end < 0 || end <= datagram.end) : end >= datagram.reach) &&
      (more || datagram.end < 0 || datagram.end === end);
    const fresh = consistent ? freshBlocks(datagram.bitmap, start >> 3, (end + 7) >> 3) : 0;
    const blocks = ((end + 7) >> 3) - (start >> 3);
    if (!consistent || (fresh !== 0 && fresh !== blocks)) {
      if (consistent) v[NETSTAT.IpExtReasmOverlaps]!++;
      this.#fail(datagram);
      skb.free();
      return null;
    }
    if (fresh === 0) {
      skb.free();
      return null;
    }
    setBlocks(datagram.bitmap, start >> 3, (end + 7) >> 3);
    datagram.payload!.set(b.subarray(nh + hlen, skb.tail), start);
    datagram.received += length;
    datagram.reach = Math.max(datagram.reach, end);
    datagram.iif = skb.iif;
    datagram.ecn |= 1 << (ipTos(b, nh) & ECN_MASK);
    if (!more) datagram.end = end;
    if (start === 0) {
      datagram.header.set(b.subarray(nh, nh + hlen));
      datagram.hlen = hlen;
    }
    skb.free();
    if (datagram.end < 0 || datagram.received < datagram.end) return null;
    return this.#finish(datagram);
  }

  close(): void {
    this.#timers.close();
    this.#datagrams.length = 0;
    this.#spare.length = 0;
  }

  #find(b: Uint8Array, nh: number): Datagram {
    const saddr = ipSaddr(b, nh);
    const daddr = ipDaddr(b, nh);
    const proto = ipProto(b, nh);
    const ident = ipId(b, nh);
    let free: Datagram | undefined;
    let oldest: Datagram | undefined;
    for (const d of this.#datagrams) {
      if (d.born === 0) {
        free ??= d;
        continue;
      }
      if (d.ident === ident && d.saddr === saddr && d.daddr === daddr && d.proto === proto) return d;
      if (!oldest || d.born < oldest.born) oldest = d;
    }
    if (!free) {
      if (this.#datagrams.length < MAX_DATAGRAMS) {
        free = new Datagram(this.#datagrams.length);
        this.#datagrams.push(free);
      } else {
        free = oldest!;
        this.#fail(free);
      }
    }
    free.saddr = saddr;
    free.daddr = daddr;
    free.proto = proto;
    free.ident = ident;
    free.born = ++this.#births;
    free.payload = this.#spare.pop() ?? new Uint8Array(MAX_PAYLOAD);
    free.bitmap.fill(0);
    free.hlen = 0;
    free.received = 0;
    free.end = -1;
    free.reach = 0;
    free.ecn = 0;
    this.#timers.arm(free.id, TIMEOUT_US);
    return free;
  }

  #finish(datagram: Datagram): Skb | null {
    const total = datagram.hlen + datagram.end;
    const skb = total <= 65535 && !mixesEcn(datagram.ecn) ? this.#build(datagram, datagram.end) : null;
    if (!skb) {
      this.#fail(datagram);
      return null;
    }
    this.#counters.v[SNMP.IpReasmOKs]!++;
    this.#release(datagram);
    return skb;
  }

  /** The datagram's first `length` bytes under its header, as one packet; null when the pool is exhausted. */
  #build(datagram: Datagram, length: number): Skb | null {
    const skb = this.#pool.alloc();
    if (!skb) return null;
    const b = skb.bytes;
    const nh = skb.nh;
    skb.th = nh + datagram.hlen;
    b.set(datagram.header.subarray(0, datagram.hlen), nh);
    b.set(datagram.payload!.subarray(0, length), skb.th);
    skb.tail = skb.th + length;
    skb.iif = datagram.iif;
    skb.checksum = CHECKSUM_NONE;
    put16(b, nh + 2, datagram.hlen + length);
    put16(b, nh + 6, 0);
    if ((datagram.ecn & (1 << ECN_CE)) !== 0) b[nh + 1]! |= ECN_CE;
    fillIpChecksum(b, nh);
    return skb;
  }

  #expire(datagram: Datagram): void {
    this.#counters.v[SNMP.IpReasmTimeout]!++;
    const hasStart = datagram.hlen > 0 && (datagram.bitmap[0]! & 1) !== 0;
    const skb = hasStart ? this.#build(datagram, Math.min(datagram.reach, QUOTE)) : null;
    this.#fail(datagram);
    if (!skb) return;
    this.#timeExceeded(skb);
    skb.free();
  }

  #fail(datagram: Datagram): void {
    this.#counters.v[SNMP.IpReasmFails]!++;
    this.#release(datagram);
  }

  #release(datagram: Datagram): void {
    this.#timers.disarm(datagram.id);
    if (datagram.payload && this.#spare.length < MAX_SPARE) this.#spare.push(datagram.payload);
    datagram.payload = null;
    datagram.born = 0;
  }
}

/** Whether fragments with the field at 0 came together with others: someone has been at them. */
function mixesEcn(seen: number): boolean {
  return (seen & 1) !== 0 && seen !== 1;
}

/** How many of the blocks [from, to) are not set yet. */
function freshBlocks(bitmap: Uint32Array, from: number, to: number): number {
  let fresh = 0;
  for (let i = from; i < to; i++) if ((bitmap[i >> 5]! & (1 << (i & 31))) === 0) fresh++;
  return fresh;
}

function setBlocks(bitmap: Uint32Array, from: number, to: number): void {
  for (let i = from; i < to; i++) bitmap[i >> 5]! |= 1 << (i & 31);
}
