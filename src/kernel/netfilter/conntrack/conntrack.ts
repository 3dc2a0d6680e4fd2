// The connection table, after net/netfilter/nf_conntrack_core.c (v6.6): what a connection is, its two tuples, how it is
// found, confirmed and dies. Who creates connections from packets is track.ts; the protocols are tcp.ts and timeouts.ts.
//
// A connection is an index into columns; 0 is none. It has two tuples, ORIGINAL as its first packet had it and REPLY as the
// answer will look; NAT is the difference between them. A tuple's handle is ct * 2 + direction.
//
//   alloc -> (unconfirmed: belongs to the packet that made it, not in the hash) -> confirm, after the last hook
//         -> CONFIRMED (found by lookups, has a deadline) -> delete: DYING, out of the hash -> slot free when no packet holds it
//
// Unconfirmed connections never outlive the synchronous pass of their packet: whoever starts a pass calls beginPass() first
// and endPass() at its end; passes nest (an ICMP error sent in the middle of one). Slots of connections deleted during a
// pass are reused only after it. A packet that is queued with skb.ct set must `hold` it, and `release` it later.
// Tuple words: saddr, daddr, sport << 16 | dport, proto. For ICMP echo the id stands for sport and type << 8 | code for
// dport; other protocols have 0. Deadlines are microseconds of Net.nowUs.
// Leaves out: zones, expectations (so no helpers), labels, accounting by connection, nf_conntrack_acct events.
import type { Rng } from '../../../lib/rng.ts';
import {
  type Direction,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
} from './ctinfo.ts';
import type { ConntrackEntry, ConntrackFilter, ConntrackTuple } from './entry.ts';
import { formatConntrack } from './print.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from './timeouts.ts';

/** kube-proxy's conntrack minimum (KubeProxyConfiguration conntrack.min). */
const NF_CONNTRACK_MAX = 131072;

const WORDS = 4; // u32 words of a tuple
const SADDR = 0;
const DADDR = 1;
const PORTS = 2;
const PROTO = 3;
/** Buckets looked through for a victim when the table is full (NF_CT_EVICTION_RANGE). */
const EVICTION_RANGE = 8;

export class Conntrack {
  readonly max: number;
  /** nf_conntrack_*_timeout_* sysctls; may be changed while running. */
  readonly timeouts: Timeouts;
  /** IPS_* bits, by connection. */
  readonly status: Uint32Array;
  /** Deadline of a confirmed connection, microseconds; before confirm the timeout itself. */
  readonly deadlineUs: Float64Array;
  /** TCP_CONNTRACK_* of a TCP connection, by connection. */
  readonly tcpState: Uint8Array;
  readonly tcpLastIndex: Uint8Array;
  readonly tcpLastDir: Uint8Array;
  readonly tcpLastFlags: Uint8Array;
  readonly tcpLastWscale: Uint8Array;
  readonly tcpRetrans: Uint8Array;
  /** Words of tcp.ts, TCP_CT_WORDS a connection. */
  readonly tcpWords: Uint32Array;
  readonly mark: Uint32Array;
  /** When the connection was made, microseconds. */
  readonly startUs: Float64Array;
  /** Confirmed connections: nf_conntrack_count. */
  count = 0;
  /** As /proc/net/stat/nf_conntrack. */
  readonly stat = { found: 0, invalid: 0, insert: 0, insertFailed: 0, drop: 0, earlyDrop: 0 };

  readonly #tuples: Uint32Array;
  /** Next tuple handle in the bucket, 0 at the end. */
  readonly #next: Int32Array;
  readonly #heads: Int32Array;
  readonly #bucketMask: number;
  readonly #seed: number;
  readonly #refs: Uint16Array;
  readonly #free: Int32Array;
  #freeCount = 0;
  /** One past the highest slot ever used: bounds every scan. */
  #high = 1;
  readonly #unconfirmed: Int32Array;
  #unconfirmedCount = 0;
  #depth = 0;
  /** Deleted during a pass, to be released after it. */
  readonly #limbo: Int32Array;
  #limboCount = 0;
  readonly #now: { readonly nowUs: number };

  /** `now.nowUs` is read when deadlines are set; Net fits. */
  constructor(
    now: { readonly nowUs: number },
    rng: Rng,
    max = NF_CONNTRACK_MAX,
    timeouts: Timeouts = { ...DEFAULT_TIMEOUTS },
  ) {
    const slots = max + 64; // unconfirmed ones do not count against max
    this.max = max;
    this.timeouts = timeouts;
    this.status = new Uint32Array(slots);
    this.deadlineUs = new Float64Array(slots);
    this.tcpState = new Uint8Array(slots);
    this.tcpLastIndex = new Uint8Array(slots);
    this.tcpLastDir = new Uint8Array(slots);
    this.tcpLastFlags = new Uint8Array(slots);
    this.tcpLastWscale = new Uint8Array(slots);
    this.tcpRetrans = new Uint8Array(slots);
    this.tcpWords = new Uint32Array(slots * TCP_CT_WORDS);
    this.mark = new Uint32Array(slots);
    this.startUs = new Float64Array(slots);
    this.#tuples = new Uint32Array(slots * 2 * WORDS);
    this.#next = new Int32Array(slots * 2);
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(16, max * 2)));
    this.#heads = new Int32Array(buckets);
    this.#bucketMask = buckets - 1;
    this.#seed = rng.u32() | 0;
    this.#refs = new Uint16Array(slots);
    this.#free = new Int32Array(slots);
    this.#unconfirmed = new Int32Array(64);
    this.#limbo = new Int32Array(slots);
    this.#now = now;
  }

  // Tuples.

  proto(ct: number): number {
    return this.#tuples[ct * 2 * WORDS + PROTO]!;
  }

  saddr(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + SADDR]!;
  }

  daddr(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + DADDR]!;
  }

  /** As saddr, signed: for the packet path, where nothing may be boxed. */
  saddrWord(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + SADDR]! | 0;
  }

  daddrWord(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + DADDR]! | 0;
  }

  sport(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + PORTS]! >>> 16;
  }

  dport(ct: number, dir: Direction): number {
    return this.#tuples[(ct * 2 + dir) * WORDS + PORTS]! & 0xffff;
  }

  isConfirmed(ct: number): boolean {
    return (this.status[ct]! & IPS_CONFIRMED) !== 0;
  }

  isDying(ct: number): boolean {
    return (this.status[ct]! & IPS_DYING) !== 0;
  }

  /**
   * Says that the answers will come from saddr:sport, before the connection is confirmed: what a load balancer that rewrites
   * the destination itself must do (nf_conntrack_alter_reply as ip_vs_update_conntrack uses it). No effect on a confirmed one.
   */
  alterReply(ct: number, saddr: number, sport: number): void {
    if (this.isConfirmed(ct)) return;
    const o = (ct * 2 + IP_CT_DIR_REPLY) * WORDS;
    this.#tuples[o + SADDR] = saddr;
    if (!isIcmp(this.#tuples[o + PROTO]!))
      this.#tuples[o + PORTS] = ((sport << 16) | (this.#tuples[o + PORTS]! & 0xffff)) >>> 0;
  }

  /** As alterReply for the other end: the answers will go to daddr:dport (source NAT). */
  alterReplyDestination(ct: number, daddr: number, dport: number): void {
    if (this.isConfirmed(ct)) return;
    const o = (ct * 2 + IP_CT_DIR_REPLY) * WORDS;
    this.#tuples[o + DADDR] = daddr;
    // An ICMP reply carries the same id, which stands for the source port in both tuples.
    if (isIcmp(this.#tuples[o + PROTO]!))
      this.#tuples[o + PORTS] = ((dport << 16) | (this.#tuples[o + PORTS]! & 0xffff)) >>> 0;
    else this.#tuples[o + PORTS] = ((this.#tuples[o + PORTS]! & 0xffff0000) | dport) >>> 0;
  }

  // Lookup.

  /**
   * The handle (ct * 2 + direction) of the confirmed connection with this tuple, or 0. An expired one that still stands in
   * the table is deleted and not found.
   */
  find(proto: number, saddr: number, sport: number, daddr: number, dport: number): number {
    const ports = (sport << 16) | dport | 0;
    saddr |= 0;
    daddr |= 0;
    const t = this.#tuples;
    let h = this.#heads[this.#bucket(proto, saddr, daddr, ports)]!;
    while (h !== 0) {
      const o = h * WORDS;
      if (
        (t[o + PORTS]! | 0) === ports &&
        (t[o]! | 0) === saddr &&
        (t[o + DADDR]! | 0) === daddr &&
        t[o + PROTO] === proto
      ) {
        if (this.deadlineUs[h >> 1]! > this.#now.nowUs) {
          this.stat.found++;
          return h;
        }
        this.delete(h >> 1);
        return 0;
      }
      h = this.#next[h]!;
    }
    return 0;
  }

  /** Whether another connection than `except` has this tuple (nf_conntrack_tuple_taken). */
  isTaken(proto: number, saddr: number, sport: number, daddr: number, dport: number, except: number): boolean {
    const ports = (sport << 16) | dport | 0;
    saddr |= 0;
    daddr |= 0;
    const t = this.#tuples;
    for (let h = this.#heads[this.#bucket(proto, saddr, daddr, ports)]!; h !== 0; h = this.#next[h]!) {
      const o = h * WORDS;
      if (h >> 1 === except) continue;
      if (
        (t[o + PORTS]! | 0) !== ports ||
        (t[o]! | 0) !== saddr ||
        (t[o + DADDR]! | 0) !== daddr ||
        t[o + PROTO] !== proto
      )
        continue;
      if (this.deadlineUs[h >> 1]! > this.#now.nowUs) return true;
    }
    return false;
  }

  // Life.

  /**
   * A new unconfirmed connection with this original tuple; `replyType` is ICMP's type << 8 | code of the answer, else unused.
   * 0 when the table is full and nothing in it may be dropped early.
   */
  alloc(proto: number, saddr: number, sport: number, daddr: number, dport: number, replyType = 0): number {
    if (
      this.count >= this.max &&
      !this.#earlyDrop(this.#bucket(proto, saddr | 0, daddr | 0, (sport << 16) | dport | 0))
    ) {
      this.stat.drop++;
      return 0;
    }
    if (this.#unconfirmedCount === this.#unconfirmed.length) return 0;
    const ct = this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.#high++;
    const o = ct * 2 * WORDS;
    const t = this.#tuples;
    t[o + SADDR] = saddr;
    t[o + DADDR] = daddr;
    t[o + PORTS] = (sport << 16) | dport;
    t[o + PROTO] = proto;
    t[o + WORDS + SADDR] = daddr;
    t[o + WORDS + DADDR] = saddr;
    t[o + WORDS + PORTS] = isIcmp(proto) ? (sport << 16) | replyType : (dport << 16) | sport;
    t[o + WORDS + PROTO] = proto;
    this.status[ct] = 0;
    this.deadlineUs[ct] = 0;
    this.tcpState[ct] = 0;
    this.tcpLastIndex[ct] = 0;
    this.tcpLastDir[ct] = 0;
    this.tcpLastFlags[ct] = 0;
    this.tcpLastWscale[ct] = 0;
    this.tcpRetrans[ct] = 0;
    for (let i = ct * TCP_CT_WORDS; i < (ct + 1) * TCP_CT_WORDS; i++) this.tcpWords[i] = 0;
    this.mark[ct] = 0;
    this.startUs[ct] = this.#now.nowUs;
    this.#refs[ct] = 0;
    this.#unconfirmed[this.#unconfirmedCount++] = ct;
    return ct;
  }

  /** Starts a pass; what it returns goes to endPass(). */
  beginPass(): number {
    this.#depth++;
    return this.#unconfirmedCount;
  }

  /** Frees the connections allocated in this pass that were not confirmed: their packet was dropped. */
  endPass(mark: number): void {
    while (this.#unconfirmedCount > mark) {
      const ct = this.#unconfirmed[--this.#unconfirmedCount]!;
      if (!this.isConfirmed(ct)) this.#free[this.#freeCount++] = ct;
    }
    if (--this.#depth > 0 || this.#limboCount === 0) return;
    while (this.#limboCount > 0) {
      const ct = this.#limbo[--this.#limboCount]!;
      if (this.#refs[ct] === 0) this.#release(ct);
    }
  }

  /**
   * Puts an unconfirmed connection into the hash and starts its timer. False when one of its tuples is there already (two
   * first packets raced): the packet is dropped.
   */
  confirm(ct: number): boolean {
    if (this.isConfirmed(ct)) return true;
    const t = this.#tuples;
    for (let dir = 0; dir < 2; dir++) {
      const o = (ct * 2 + dir) * WORDS;
      if (this.find(t[o + PROTO]!, t[o]!, t[o + PORTS]! >>> 16, t[o + DADDR]!, t[o + PORTS]! & 0xffff) !== 0) {
        this.stat.insertFailed++;
        return false;
      }
    }
    this.deadlineUs[ct]! += this.#now.nowUs;
    this.status[ct]! |= IPS_CONFIRMED;
    this.#insert(ct * 2 + IP_CT_DIR_ORIGINAL);
    this.#insert(ct * 2 + IP_CT_DIR_REPLY);
    this.count++;
    this.stat.insert++;
    return true;
  }

  /** Restarts the timer (nf_ct_refresh). */
  refresh(ct: number, timeoutUs: number): void {
    this.deadlineUs[ct] = this.isConfirmed(ct) ? this.#now.nowUs + timeoutUs : timeoutUs;
  }

  /** As refresh, but only if the connection would live longer. */
  shorten(ct: number, timeoutUs: number): void {
    if (this.isConfirmed(ct) && this.deadlineUs[ct]! > this.#now.nowUs + timeoutUs) this.refresh(ct, timeoutUs);
  }

  /** Takes a connection out; its slot is reused when no packet holds it. Deleting twice, or an unconfirmed one, does nothing. */
  delete(ct: number): void {
    if (!this.isConfirmed(ct) || this.isDying(ct)) return;
    this.status[ct]! |= IPS_DYING;
    this.#unlink(ct * 2 + IP_CT_DIR_ORIGINAL);
    this.#unlink(ct * 2 + IP_CT_DIR_REPLY);
    this.count--;
    if (this.#depth > 0) this.#limbo[this.#limboCount++] = ct;
    else if (this.#refs[ct] === 0) this.#release(ct);
  }

  hold(ct: number): void {
    this.#refs[ct]!++;
  }

  release(ct: number): void {
    if (--this.#refs[ct]! > 0 || !this.isDying(ct)) return;
    if (this.#depth > 0) this.#limbo[this.#limboCount++] = ct;
    else this.#release(ct);
  }

  /** Deletes expired connections; at most `budget` slots are looked at, from where the last call stopped. O(budget). */
  gc(budget: number, now: number): void {
    for (let n = Math.min(budget, this.#high); n > 0; n--) {
      this.#gcAt = this.#gcAt + 1 < this.#high ? this.#gcAt + 1 : 1;
      const ct = this.#gcAt;
      if ((this.status[ct]! & (IPS_CONFIRMED | IPS_DYING)) === IPS_CONFIRMED && this.deadlineUs[ct]! <= now)
        this.delete(ct);
    }
  }
  #gcAt = 0;

  // For the control plane.

  /** Deletes what fits, as `conntrack -D`; returns how many. O(table). */
  deleteWhere(filter: ConntrackFilter): number {
    let deleted = 0;
    for (let ct = 1; ct < this.#high; ct++) {
      if (!this.#isLive(ct) || !this.#fits(ct, filter)) continue;
      this.delete(ct);
      deleted++;
    }
    return deleted;
  }

  /** As `conntrack -L`. O(table). */
  list(filter: ConntrackFilter = {}): ConntrackEntry[] {
    const entries: ConntrackEntry[] = [];
    for (let ct = 1; ct < this.#high; ct++) {
      if (this.#isLive(ct) && this.deadlineUs[ct]! > this.#now.nowUs && this.#fits(ct, filter))
        entries.push(this.entry(ct));
    }
    return entries;
  }

  entry(ct: number): ConntrackEntry {
    const entry = {
      ct,
      original: this.#tupleOf(ct, IP_CT_DIR_ORIGINAL),
      reply: this.#tupleOf(ct, IP_CT_DIR_REPLY),
      status: this.status[ct]!,
      state: this.tcpState[ct]!,
      timeoutS: Math.max(0, Math.floor((this.deadlineUs[ct]! - this.#now.nowUs) / 1e6)),
      mark: this.mark[ct]!,
    };
    return { ...entry, text: formatConntrack(entry) };
  }

  #tupleOf(ct: number, dir: Direction): ConntrackTuple {
    return {
      proto: this.proto(ct),
      saddr: this.saddr(ct, dir),
      daddr: this.daddr(ct, dir),
      sport: this.sport(ct, dir),
      dport: this.dport(ct, dir),
    };
  }

  #isLive(ct: number): boolean {
    return (this.status[ct]! & (IPS_CONFIRMED | IPS_DYING)) === IPS_CONFIRMED;
  }

  #fits(ct: number, f: ConntrackFilter): boolean {
    return (
      (f.proto === undefined || f.proto === this.proto(ct)) &&
      (f.origSrc === undefined || f.origSrc === this.saddr(ct, IP_CT_DIR_ORIGINAL)) &&
      (f.origDst === undefined || f.origDst === this.daddr(ct, IP_CT_DIR_ORIGINAL)) &&
      (f.origPortSrc === undefined || f.origPortSrc === this.sport(ct, IP_CT_DIR_ORIGINAL)) &&
      (f.origPortDst === undefined || f.origPortDst === this.dport(ct, IP_CT_DIR_ORIGINAL)) &&
      (f.replySrc === undefined || f.replySrc === this.saddr(ct, IP_CT_DIR_REPLY)) &&
      (f.replyDst === undefined || f.replyDst === this.daddr(ct, IP_CT_DIR_REPLY)) &&
      (f.replyPortSrc === undefined || f.replyPortSrc === this.sport(ct, IP_CT_DIR_REPLY)) &&
      (f.replyPortDst === undefined || f.replyPortDst === this.dport(ct, IP_CT_DIR_REPLY))
    );
  }

  // The hash.

  /** Signed words in, so that no argument needs a heap number. */
  #bucket(proto: number, saddr: number, daddr: number, ports: number): number {
    let h =
      Math.imul(saddr ^ this.#seed, 0x9e3779b1) ^ Math.imul(daddr, 0x85ebca77) ^ Math.imul(ports, 0xc2b2ae3d) ^ proto;
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
    return (h ^ (h >>> 15)) & this.#bucketMask;
  }

  #bucketOf(h: number): number {
    const o = h * WORDS;
    const t = this.#tuples;
    return this.#bucket(t[o + PROTO]!, t[o]! | 0, t[o + DADDR]! | 0, t[o + PORTS]! | 0);
  }

  #insert(h: number): void {
    const bucket = this.#bucketOf(h);
    this.#next[h] = this.#heads[bucket]!;
    this.#heads[bucket] = h;
  }

  #unlink(h: number): void {
    const bucket = this.#bucketOf(h);
    if (this.#heads[bucket] === h) {
      this.#heads[bucket] = this.#next[h]!;
      return;
    }
    let at = this.#heads[bucket]!;
    while (at !== 0 && this.#next[at] !== h) at = this.#next[at]!;
    if (at !== 0) this.#next[at] = this.#next[h]!;
  }

  #release(ct: number): void {
    this.status[ct] = 0;
    this.#free[this.#freeCount++] = ct;
  }

  #earlyDrop(bucket: number): boolean {
    let looked = 0;
    for (let i = 0; i < EVICTION_RANGE && looked < EVICTION_RANGE; i++) {
      let victim = 0;
      for (let h = this.#heads[(bucket + i) & this.#bucketMask]!; h !== 0; h = this.#next[h]!) {
        looked++;
        if ((this.status[h >> 1]! & IPS_ASSURED) === 0) victim = h >> 1;
      }
      if (victim !== 0) {
        this.delete(victim);
        this.stat.earlyDrop++;
        return true;
      }
    }
    return false;
  }
}

/** u32 words of TCP state a connection: see tcp.ts. */
export const TCP_CT_WORDS = 16;

function isIcmp(proto: number): boolean {
  return proto === 1;
}
