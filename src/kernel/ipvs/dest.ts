// A real server of a virtual service, and the trash where deleted ones wait, after struct ip_vs_dest and ip_vs_ctl.c of
// Linux 6.1. A deleted dest stays in the trash while connections refer to it, then about two minutes more; adding the
// same address and port to the same service meanwhile revives the same object, counters and connections included.
// Addresses are host-order numbers, times microseconds.
import type { Clock, Timer } from '../../lib/clock.ts';
import {
  DEST_ACTIVE_CONNS,
  DEST_ADDR,
  DEST_AVAILABLE,
  DEST_FLAGS,
  DEST_INACT_CONNS,
  DEST_LIMITED,
  DEST_NEXT,
  DEST_PERSIST_CONNS,
  DEST_ROW,
  DEST_USABLE,
  NONE,
  STATS,
} from './rows.ts';
import type { VirtualService } from './service.ts';

export interface DestOptions {
  readonly addr: number;
  readonly port: number;
  /** 0 takes no new connections. */
  readonly weight: number;
  /** Connections from which on the dest counts as overloaded; 0: never. */
  readonly uThreshold?: number;
  /** Connections below which it stops being so; 0: three quarters of the upper one. */
  readonly lThreshold?: number;
}

/** The row is the packets' part of it. */
export class Dest {
  /** Row in the table of dests, by which connections refer to it. */
  readonly id: number;
  readonly addr: number;
  readonly port: number;
  // The service it belongs to, by value: the trash outlives the service object.
  readonly vaddr: number;
  readonly vport: number;
  readonly proto: number;
  svc: VirtualService;
  /** Weight when it last was not 0 (or at the time of adding); only mh looks at it. */
  lastWeight = 0;
  lThreshold = 0;
  /** Places in schedulers' caches that refer to it. */
  cached = 0;
  /** When the trash first saw it without references; 0 before. */
  idleStartUs = 0;
  prev: Dest | null = null;
  #next: Dest | null = null;
  #weight = 0;
  #uThreshold = 0;
  #overloaded = false;
  readonly table: DestTable;

  constructor(table: DestTable, id: number, svc: VirtualService, addr: number, port: number) {
    this.table = table;
    this.id = id;
    this.svc = svc;
    this.addr = addr;
    this.port = port;
    this.vaddr = svc.addr;
    this.vport = svc.port;
    this.proto = svc.proto;
    this.#set(DEST_FLAGS, port << 16);
    this.#set(DEST_ADDR, addr);
    this.#set(DEST_NEXT, NONE);
  }

  /** IP_VS_DEST_F_AVAILABLE: false once deleted. */
  get available(): boolean {
    return (this.#get(DEST_FLAGS) & DEST_AVAILABLE) !== 0;
  }

  set available(yes: boolean) {
    this.#flag(DEST_AVAILABLE, yes);
  }

  /** The service's list, newest first. */
  get next(): Dest | null {
    return this.#next;
  }

  set next(dest: Dest | null) {
    this.#next = dest;
    this.#set(DEST_NEXT, dest ? dest.id : NONE);
  }

  get weight(): number {
    return this.#weight;
  }

  set weight(weight: number) {
    this.#weight = weight;
    this.#flag(DEST_USABLE, weight > 0 && !this.#overloaded);
  }

  /** IP_VS_DEST_F_OVERLOAD */
  get overloaded(): boolean {
    return this.#overloaded;
  }

  set overloaded(yes: boolean) {
    this.#overloaded = yes;
    this.#flag(DEST_USABLE, this.#weight > 0 && !yes);
  }

  get uThreshold(): number {
    return this.#uThreshold;
  }

  set uThreshold(conns: number) {
    this.#uThreshold = conns;
    this.#flag(DEST_LIMITED, conns !== 0);
  }

  get activeConns(): number {
    return this.#get(DEST_ACTIVE_CONNS);
  }

  get inactConns(): number {
    return this.#get(DEST_INACT_CONNS);
  }

  get persistConns(): number {
    return this.#get(DEST_PERSIST_CONNS);
  }

  get totalConns(): number {
    return this.activeConns + this.inactConns;
  }

  /** Whether a connection, a template or a scheduler's cache refers to it. */
  get isReferred(): boolean {
    return this.totalConns + this.persistConns + this.cached > 0;
  }

  #get(column: number): number {
    return this.table.words[this.id * DEST_ROW + column]!;
  }

  #set(column: number, value: number): void {
    this.table.words[this.id * DEST_ROW + column] = value;
  }

  #flag(bit: number, on: boolean): void {
    const flags = this.#get(DEST_FLAGS);
    this.#set(DEST_FLAGS, on ? flags | bit : flags & ~bit);
  }
}

const TRASH_PERIOD_US = 120e6; // IP_VS_DEST_TRASH_PERIOD; looked at every half of it

/** All dests by row, the living and the trash. */
export class DestTable {
  /** The rows' counters, STATS a row. */
  stats = new Float64Array(16 * STATS);
  /** The rows' words, DEST_ROW a row: the same memory. */
  words = new Int32Array(this.stats.buffer);
  readonly #clock: Clock;
  readonly #rows: (Dest | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #trash = new Set<Dest>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The dest of a row that something refers to. */
  at(id: number): Dest {
    return this.#rows[id]!;
  }

  get trashed(): number {
    return this.#trash.size;
  }

  /** The trashed dest of the same service, address and port, taken out of the trash, or a new one. */
  obtain(svc: VirtualService, addr: number, port: number): Dest {
    for (const dest of this.#trash) {
      if (dest.addr !== addr || dest.port !== port || dest.vaddr !== svc.addr || dest.vport !== svc.port) continue;
      if (dest.proto !== svc.proto) continue;
      this.#trash.delete(dest);
      dest.svc = svc;
      return dest;
    }
    const id = this.#free.pop() ?? this.#rows.length;
    if ((id + 1) * STATS > this.stats.length) {
      const { words } = this;
      this.stats = new Float64Array(words.length); // twice as much
      this.words = new Int32Array(this.stats.buffer);
      this.words.set(words);
    }
    this.stats.fill(0, id * STATS, (id + 1) * STATS);
    return (this.#rows[id] = new Dest(this, id, svc, addr, port));
  }

  /** Puts a dest that left its service aside. */
  discard(dest: Dest): void {
    dest.idleStartUs = 0;
    this.#trash.add(dest);
    this.#timer ??= this.#clock.after(TRASH_PERIOD_US / 2, this.#collect);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  readonly #collect = (): void => {
    this.#timer = null;
    const nowUs = this.#clock.nowUs();
    for (const dest of this.#trash) {
      if (dest.isReferred) continue;
      if (dest.idleStartUs === 0) {
        dest.idleStartUs = Math.max(1, nowUs);
      } else if (nowUs >= dest.idleStartUs + TRASH_PERIOD_US) {
        this.#trash.delete(dest);
        this.#rows[dest.id] = undefined;
        this.#free.push(dest.id);
      }
    }
    if (this.#trash.size > 0) this.#timer = this.#clock.after(TRASH_PERIOD_US / 2, this.#collect);
  };
}
