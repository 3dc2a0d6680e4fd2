// The IPVS connection table, after ip_vs_conn.c of Linux 6.1: rows in typed columns, chained from hash heads, newest first
// in a bucket. One row is one connection, or a template (client port 0) that keeps a client's affinity.
//
//   client caddr:cport ──▶ service vaddr:vport ──▶ real server daddr:dport       bucket = hash(caddr, cport, proto)
//
// Both directions are found in one bucket: a request carries the client as source, a reply as destination.
//
// Theory of operation. A row is born by `create` (bound to its dest, counted inactive or persistent), restarted by each
// packet (`touch`), and dies when its timer fires: it leaves the bucket, its dest and its template. A template that still
// controls connections lives on for 60 s at a time. `expireNow` lets the timer fire one tick later, `kill` at once.
//
// A timer fires late, by up to an eighth of its length, as Linux's do (kernel/time/timer.c): its wheel has levels of 64 slots, each
// eight times as coarse as the one before, and rounds up. Meanwhile the row is still found and counted, with no seconds left. So a
// packet mostly stores the new expiry and leaves the timer in its slot; only when that is another one is the timer moved. Of timers
// in one slot the last moved there fires first, which decides whether a template still controls a connection of the same timeout.
//
// Limits: rows double when they run out (never per packet). Times are microseconds. Addresses are host-order words, signed
// in here (| 0): a word above 2^31 passed between functions would be boxed, and a packet may allocate nothing.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';
import type { DestTable } from './dest.ts';
import {
  DEST_ACTIVE_CONNS,
  DEST_ADDR,
  DEST_FLAGS,
  DEST_INACT_CONNS,
  DEST_LIMITED,
  DEST_PERSIST_CONNS,
  DEST_ROW,
} from './rows.ts';

/** An index into the table; 0 is none. */
export type ConnId = number & { readonly __brand: 'IpvsConn' };
export const NO_CONN = 0 as ConnId;

/** IP_VS_CONN_F_* */
export const CONN_F_HASHED = 0x0040;
export const CONN_F_INACTIVE = 0x0100;
export const CONN_F_TEMPLATE = 0x1000;
export const CONN_F_ONE_PACKET = 0x2000;
/** conntrack's entry lives and dies with this one (sysctl conntrack). */
export const CONN_F_NFCT = 0x8000;

/** State bit of a template once one of its connections was established: it survives their deletion. */
export const TEMPLATE_ASSURED = 1;

/** One jiffy of the kernel we are compared with (HZ=100): resolution of all timers here. */
export const TICK_US = 10_000;
/** Timers of less than 63 ticks are in the wheel's first level, of less than 63 * 8 in the second, and so on. */
const LVL_TICKS = 63;
const LVL_CLK_SHIFT = 3;
const LVL_MAX_SHIFT = 7 * LVL_CLK_SHIFT;
/** Of a row that is to go at the next tick. */
const EXPIRES_NOW = -1;
const CONTROLLING_TIMEOUT_US = 60e6; // ip_vs_conn_expire(): again in 60 s while it controls others
const NEW_TIMEOUT_US = 3e6; // until the protocol sets one

export class ConnTable {
  caddr!: Int32Array;
  vaddr!: Int32Array;
  daddr!: Int32Array;
  cport!: Uint16Array;
  vport!: Uint16Array;
  dport!: Uint16Array;
  proto!: Uint8Array;
  state!: Uint8Array;
  flags!: Uint16Array;
  /** Row of the dest table. */
  dest!: Int32Array;
  /** The template that controls a connection, NO_CONN if none; and how many a template controls. */
  control!: Int32Array;
  nControl!: Int32Array;
  timeoutUs!: Float64Array;
  expiresUs!: Float64Array;
  /** When the timer fires, 0: never; the expiries that have it fire then, from #slotUs on; and the timeout that made it so. */
  #armedUs!: Float64Array;
  #slotUs!: Float64Array;
  #slotTimeoutUs!: Float64Array;
  #next!: Int32Array;
  /** Hash heads; NO_CONN ends a chain. */
  #heads: Int32Array;
  #capacity = 0;
  #freeIds: Int32Array = new Int32Array(0);
  #free = 0;
  #count = 0;
  readonly #seed: number;
  readonly #clock: Clock;
  readonly #now: { readonly nowUs: number };
  readonly #wheel: TimerWheel;
  readonly #dests: DestTable;
  readonly #onExpire: (id: ConnId) => void;

  /** `now` is the time of the breath. `onExpire` is told of each row just before it is forgotten. */
  constructor(
    clock: Clock,
    now: { readonly nowUs: number },
    rng: Rng,
    dests: DestTable,
    onExpire: (id: ConnId) => void,
    capacity = 1024,
  ) {
    this.#clock = clock;
    this.#now = now;
    this.#dests = dests;
    this.#onExpire = onExpire;
    this.#seed = rng.u32() | 0;
    this.#heads = new Int32Array(capacity * 2);
    this.#wheel = new TimerWheel(clock, TICK_US, (id) => this.#expired(id as ConnId), capacity);
    this.#resize(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * The connection of a request caddr:cport -> vaddr:vport. Linux finds none of client port 0, which it takes for one whose port is yet
   * to be told (IP_VS_CONN_F_NO_CPORT, of FTP): each packet from there is a new connection.
   */
  findIn(proto: number, caddr: number, cport: number, vaddr: number, vport: number): ConnId {
    if (cport === 0) return NO_CONN;
    const { caddr: caddrs, vaddr: vaddrs, cport: cports, vport: vports } = this;
    for (let id = this.#heads[this.#bucket(caddr, cport, proto)]!; id !== NO_CONN; id = this.#next[id]!) {
      if (caddrs[id] !== caddr || cports[id] !== cport || vaddrs[id] !== vaddr || vports[id] !== vport) continue;
      if (this.proto[id] !== proto || (this.flags[id]! & CONN_F_TEMPLATE) !== 0) continue;
      return id as ConnId;
    }
    return NO_CONN;
  }

  /** The connection of a reply daddr:dport -> caddr:cport. */
  findOut(proto: number, daddr: number, dport: number, caddr: number, cport: number): ConnId {
    const { caddr: caddrs, daddr: daddrs, cport: cports, dport: dports } = this;
    for (let id = this.#heads[this.#bucket(caddr, cport, proto)]!; id !== NO_CONN; id = this.#next[id]!) {
      if (caddrs[id] !== caddr || cports[id] !== cport || daddrs[id] !== daddr || dports[id] !== dport) continue;
      if (this.proto[id] !== proto || (this.flags[id]! & CONN_F_TEMPLATE) !== 0) continue;
      return id as ConnId;
    }
    return NO_CONN;
  }

  /** The template of a client network for a service. */
  findTemplate(proto: number, cnet: number, vaddr: number, vport: number): ConnId {
    for (let id = this.#heads[this.#bucket(cnet, 0, proto)]!; id !== NO_CONN; id = this.#next[id]!) {
      if (this.caddr[id] !== cnet || this.cport[id] !== 0 || this.vaddr[id] !== vaddr || this.vport[id] !== vport)
        continue;
      if (this.proto[id] !== proto || (this.flags[id]! & CONN_F_TEMPLATE) === 0) continue;
      return id as ConnId;
    }
    return NO_CONN;
  }

  /** A new row bound to a dest, by its row; not yet timed: touch() it. A one-packet row is never found again. */
  create(
    proto: number,
    caddr: number,
    cport: number,
    vaddr: number,
    vport: number,
    flags: number,
    dest: number,
  ): ConnId {
    if (this.#free === 0) this.#resize(this.#capacity * 2);
    const id = this.#freeIds[--this.#free]! as ConnId;
    this.proto[id] = proto;
    this.caddr[id] = caddr;
    this.cport[id] = cport;
    this.vaddr[id] = vaddr;
    this.vport[id] = vport;
    this.daddr[id] = this.#dests.words[dest * DEST_ROW + DEST_ADDR]!;
    this.dport[id] = this.#dests.words[dest * DEST_ROW + DEST_FLAGS]! >>> 16;
    this.flags[id] = flags;
    this.state[id] = 0;
    this.dest[id] = dest;
    this.control[id] = NO_CONN;
    this.nControl[id] = 0;
    this.timeoutUs[id] = NEW_TIMEOUT_US;
    this.expiresUs[id] = 0;
    this.#armedUs[id] = 0;
    this.#count++;
    this.#bind(id, dest);
    if ((flags & CONN_F_ONE_PACKET) === 0) this.#hash(id);
    return id;
  }

  /** Restarts the timer with the row's timeout; a one-packet row ends here. */
  touch(id: ConnId): void {
    if ((this.flags[id]! & CONN_F_ONE_PACKET) !== 0) {
      this.#forget(id);
      return;
    }
    const timeoutUs = this.timeoutUs[id]!;
    const expiresUs = this.#now.nowUs + timeoutUs;
    this.expiresUs[id] = expiresUs;
    if (expiresUs < this.#armedUs[id]! && expiresUs >= this.#slotUs[id]! && timeoutUs === this.#slotTimeoutUs[id]!)
      return;
    this.#arm(id);
  }

  /** Lets `template` control `id`. */
  addControl(id: ConnId, template: ConnId): void {
    this.control[id] = template;
    this.nControl[template]!++;
  }

  /** Lets the timer fire at the next tick; a row that has no timer running, or is about to end, is left alone. */
  expireNow(id: ConnId): void {
    const nowUs = floorToTick(this.#now.nowUs);
    if (this.#armedUs[id] === 0 || floorToTick(this.expiresUs[id]!) <= nowUs) return;
    this.expiresUs[id] = EXPIRES_NOW;
    this.#armedUs[id] = nowUs + TICK_US;
    this.#slotTimeoutUs[id] = 0;
    this.#wheel.arm(id, nowUs + TICK_US - this.#clock.nowUs());
  }

  /** Ends the row now, and its template with it when that has no other use and never saw an established connection. */
  kill(id: ConnId): void {
    if ((this.flags[id]! & CONN_F_HASHED) === 0) return;
    this.#wheel.disarm(id);
    if (this.nControl[id]! > 0) {
      this.#keepControlling(id);
      return;
    }
    const template = this.control[id]! as ConnId;
    this.#forget(id);
    if (template === NO_CONN || this.nControl[template]! > 0) return;
    if ((this.state[template]! & TEMPLATE_ASSURED) === 0) this.kill(template);
  }

  /** Makes a template unfindable for good, its dest gone or quiescent; it stays until its timer fires. */
  invalidateTemplate(id: ConnId): void {
    if (this.vport[id] === 0xffff) return;
    this.#unhash(id);
    this.dport[id] = 0xffff;
    this.vport[id] = 0xffff;
    this.cport[id] = 0;
    this.#hash(id);
  }

  /** All rows, in no order; the callback may end the row it is given. */
  forEach(fn: (id: ConnId) => void): void {
    for (let id = 1; id < this.#capacity; id++) if ((this.flags[id]! & CONN_F_HASHED) !== 0) fn(id as ConnId);
  }

  /** Microseconds until the row expires, in whole ticks. */
  remainingUs(id: ConnId): number {
    return Math.max(0, floorToTick(this.expiresUs[id]!) - floorToTick(this.#clock.nowUs()));
  }

  close(): void {
    this.#wheel.close();
  }

  #bucket(caddr: number, cport: number, proto: number): number {
    let h = Math.imul(caddr ^ this.#seed, 0x9e3779b1) ^ Math.imul((cport << 8) | proto, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    return (h ^ (h >>> 13)) & (this.#heads.length - 1);
  }

  #hash(id: ConnId): void {
    const bucket = this.#bucket(this.caddr[id]!, this.cport[id]!, this.proto[id]!);
    this.#next[id] = this.#heads[bucket]!;
    this.#heads[bucket] = id;
    this.flags[id]! |= CONN_F_HASHED;
  }

  #unhash(id: ConnId): void {
    const bucket = this.#bucket(this.caddr[id]!, this.cport[id]!, this.proto[id]!);
    let before: number = NO_CONN;
    for (let at = this.#heads[bucket]!; at !== id; at = this.#next[at]!) before = at;
    if (before === NO_CONN) this.#heads[bucket] = this.#next[id]!;
    else this.#next[before] = this.#next[id]!;
    this.flags[id]! &= ~CONN_F_HASHED;
  }

  #bind(id: ConnId, dest: number): void {
    const { words } = this.#dests;
    const row = dest * DEST_ROW;
    if ((this.flags[id]! & CONN_F_TEMPLATE) !== 0) {
      words[row + DEST_PERSIST_CONNS]!++;
    } else {
      this.flags[id]! |= CONN_F_INACTIVE;
      words[row + DEST_INACT_CONNS]!++;
    }
    if ((words[row + DEST_FLAGS]! & DEST_LIMITED) === 0) return;
    const limited = this.#dests.at(dest);
    if (limited.totalConns >= limited.uThreshold) limited.overloaded = true;
  }

  #unbind(id: ConnId): void {
    const { words } = this.#dests;
    const row = this.dest[id]! * DEST_ROW;
    const flags = this.flags[id]!;
    if ((flags & CONN_F_TEMPLATE) !== 0) words[row + DEST_PERSIST_CONNS]!--;
    else if ((flags & CONN_F_INACTIVE) !== 0) words[row + DEST_INACT_CONNS]!--;
    else words[row + DEST_ACTIVE_CONNS]!--;
    if ((words[row + DEST_FLAGS]! & DEST_LIMITED) === 0) return;
    const limited = this.#dests.at(this.dest[id]!);
    const { totalConns, uThreshold, lThreshold } = limited;
    if (lThreshold !== 0 ? totalConns < lThreshold : totalConns * 4 < uThreshold * 3) limited.overloaded = false;
  }

  #expired(id: ConnId): void {
    if (this.nControl[id]! > 0) this.#keepControlling(id);
    else this.#forget(id);
  }

  #keepControlling(id: ConnId): void {
    this.timeoutUs[id] = CONTROLLING_TIMEOUT_US;
    this.expiresUs[id] = this.#clock.nowUs() + CONTROLLING_TIMEOUT_US;
    this.#arm(id);
  }

  /** Puts the timer where Linux's would be (calc_index). */
  #arm(id: ConnId): void {
    const timeoutUs = this.timeoutUs[id]!;
    const ticks = timeoutUs / TICK_US;
    let shift = 0;
    while (shift < LVL_MAX_SHIFT && ticks >= LVL_TICKS << shift) shift += LVL_CLK_SHIFT;
    const slotUs = TICK_US * (1 << shift);
    const expiresUs = this.expiresUs[id]!;
    this.#slotUs[id] = Math.floor(expiresUs / slotUs) * slotUs; // % calls fmod
    this.#armedUs[id] = this.#slotUs[id]! + slotUs;
    this.#slotTimeoutUs[id] = timeoutUs;
    this.#wheel.arm(id, this.#armedUs[id]! - this.#clock.nowUs());
  }

  #forget(id: ConnId): void {
    this.#onExpire(id);
    if ((this.flags[id]! & CONN_F_HASHED) !== 0) this.#unhash(id);
    const template = this.control[id]!;
    if (template !== NO_CONN) this.nControl[template]!--;
    this.#unbind(id);
    this.flags[id] = 0;
    this.#armedUs[id] = 0;
    this.#freeIds[this.#free++] = id;
    this.#count--;
  }

  #resize(capacity: number): void {
    const from = Math.max(1, this.#capacity); // row 0 stands for none
    this.caddr = grown(this.caddr, Int32Array, capacity);
    this.vaddr = grown(this.vaddr, Int32Array, capacity);
    this.daddr = grown(this.daddr, Int32Array, capacity);
    this.cport = grown(this.cport, Uint16Array, capacity);
    this.vport = grown(this.vport, Uint16Array, capacity);
    this.dport = grown(this.dport, Uint16Array, capacity);
    this.proto = grown(this.proto, Uint8Array, capacity);
    this.state = grown(this.state, Uint8Array, capacity);
    this.flags = grown(this.flags, Uint16Array, capacity);
    this.dest = grown(this.dest, Int32Array, capacity);
    this.control = grown(this.control, Int32Array, capacity);
    this.nControl = grown(this.nControl, Int32Array, capacity);
    this.timeoutUs = grown(this.timeoutUs, Float64Array, capacity);
    this.expiresUs = grown(this.expiresUs, Float64Array, capacity);
    this.#armedUs = grown(this.#armedUs, Float64Array, capacity);
    this.#slotUs = grown(this.#slotUs, Float64Array, capacity);
    this.#slotTimeoutUs = grown(this.#slotTimeoutUs, Float64Array, capacity);
    const next = this.#next ?? new Int32Array(0);
    this.#next = new Int32Array(capacity);
    this.#freeIds = new Int32Array(capacity);
    for (let id = capacity - 1; id >= from; id--) this.#freeIds[this.#free++] = id;
    this.#capacity = capacity;
    this.#rehash(next);
  }

  /** Deals the chains out over twice the rows; each keeps its order, newest first. */
  #rehash(next: Int32Array): void {
    const heads = this.#heads;
    this.#heads = new Int32Array(this.#capacity * 2);
    const chain: number[] = [];
    for (let head of heads) {
      chain.length = 0;
      for (; head !== NO_CONN; head = next[head]!) chain.push(head);
      while (chain.length > 0) this.#hash(chain.pop()! as ConnId);
    }
  }
}

type Column = Uint8Array | Uint16Array | Int32Array | Float64Array;

function grown<T extends Column>(column: T | undefined, make: new (length: number) => T, length: number): T {
  const bigger = new make(length);
  if (column) bigger.set(column);
  return bigger;
}

function floorToTick(us: number): number {
  return Math.floor(us / TICK_US) * TICK_US;
}
