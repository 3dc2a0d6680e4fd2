// A real server of a virtual service, and the trash where deleted ones wait, after struct ip_vs_dest and ip_vs_ctl.c of
// Linux 6.1. A deleted dest stays in the trash while connections refer to it, then about two minutes more; adding the
// same address and port to the same service meanwhile revives the same object, counters and connections included.
// Addresses are host-order numbers, times microseconds.
import type { Clock, Timer } from '../../lib/clock.ts';
import type { VirtualService } from './service.ts';

/** Counters of a dest and of a service: columns of DestTable.stats. */
export const STAT_CONNS = 0;
export const STAT_IN_PKTS = 1;
export const STAT_OUT_PKTS = 2;
export const STAT_IN_BYTES = 3;
export const STAT_OUT_BYTES = 4;
/** Numbers a row: five, and room so that a row never stands in two lines of the processor's cache. */
export const STATS = 8;

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
  weight = 0;
  /** Weight when it last was not 0 (or at the time of adding); only mh looks at it. */
  lastWeight = 0;
  activeConns = 0;
  inactConns = 0;
  persistConns = 0;
  uThreshold = 0;
  lThreshold = 0;
  /** IP_VS_DEST_F_OVERLOAD */
  overloaded = false;
  /** Connections, templates and scheduler caches that refer to it. */
  refs = 0;
  // The service's list, newest first.
  next: Dest | null = null;
  prev: Dest | null = null;
  /** When the trash first saw it without references; 0 before. */
  idleStartUs = 0;
  readonly #table: DestTable;

  constructor(table: DestTable, id: number, svc: VirtualService, addr: number, port: number) {
    this.#table = table;
    this.id = id;
    this.svc = svc;
    this.addr = addr;
    this.port = port;
    this.vaddr = svc.addr;
    this.vport = svc.port;
    this.proto = svc.proto;
  }

  /** IP_VS_DEST_F_AVAILABLE: false once deleted. */
  get available(): boolean {
    return this.#table.available[this.id] === 1;
  }

  set available(yes: boolean) {
    this.#table.available[this.id] = yes ? 1 : 0;
  }

  get totalConns(): number {
    return this.activeConns + this.inactConns;
  }
}

const TRASH_PERIOD_US = 120e6; // IP_VS_DEST_TRASH_PERIOD; looked at every half of it

/** All dests by row, the living and the trash. */
export class DestTable {
  /**
   * STAT_* of each dest, STATS a row: one line of the cache a packet. As fields of dest and of service they were five, a tenth of
   * the path's cost with thousands of them; a service's are the sums of its dests'.
   */
  stats = new Float64Array(16 * STATS);
  /** Dest.available of each: all that a packet of a known connection asks of a dest beside its row of stats. */
  available = new Uint8Array(16);
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
    const dest = new Dest(this, this.#free.pop() ?? this.#rows.length, svc, addr, port);
    this.#rows[dest.id] = dest;
    const end = (dest.id + 1) * STATS;
    if (end > this.stats.length) {
      const { stats } = this;
      this.stats = new Float64Array(stats.length * 2);
      this.stats.set(stats);
      const { available } = this;
      this.available = new Uint8Array(available.length * 2);
      this.available.set(available);
    }
    this.stats.fill(0, end - STATS, end);
    return dest;
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
      if (dest.refs > 0) continue;
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
