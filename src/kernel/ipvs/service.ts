// Virtual services: address, port and protocol of a service, its dests in kernel order (newest first) and its scheduler,
// after struct ip_vs_service and ip_vs_ctl.c of Linux 6.1. Left out: firewall-mark services.
import type { Dest, DestOptions, DestTable } from './dest.ts';
import {
  NONE,
  STAT_CONNS,
  STATS,
  SVC_ADDR,
  SVC_CURSOR,
  SVC_FLAGS,
  SVC_HEAD,
  SVC_IS_RR,
  SVC_KEY,
  SVC_ROW,
} from './rows.ts';
import { type Scheduler, type SchedulerFactory, SVC_F_PERSISTENT } from './scheduler/scheduler.ts';

export interface ServiceKey {
  readonly proto: number;
  readonly addr: number;
  readonly port: number;
}

export interface ServiceOptions extends ServiceKey {
  readonly scheduler: string;
  /** SVC_F_* */
  readonly flags: number;
  /** Of client affinity, with SVC_F_PERSISTENT. */
  readonly timeoutS?: number;
  /** Clients that share an address under it share affinity. */
  readonly netmask?: number;
}

const DEFAULT_PERSISTENCE_S = 360; // IPVS_SVC_PERSISTENT_TIMEOUT in ipvsadm

/** Where rows are, the place of a service's own while no table has it. */
interface Rows {
  readonly words: Int32Array;
}

/** Its row is the packets' part of it. */
export class VirtualService implements ServiceKey {
  readonly proto: number;
  readonly addr: number;
  readonly port: number;
  schedulerName: string;
  scheduler: Scheduler;
  timeoutS: number;
  netmask: number;
  tail: Dest | null = null;
  numDests = 0;
  /** What dests counted that left, less what dests had counted that came back. */
  readonly #past = new Float64Array(STATS);
  readonly #factories: ReadonlyMap<string, SchedulerFactory>;
  #head: Dest | null = null;
  #rows: Rows = { words: new Int32Array(SVC_ROW) };
  #at = 0;

  /** Throws on an unknown scheduler. */
  constructor(options: ServiceOptions, factories: ReadonlyMap<string, SchedulerFactory>) {
    this.proto = options.proto;
    this.addr = options.addr;
    this.port = options.port;
    this.timeoutS = options.timeoutS ?? DEFAULT_PERSISTENCE_S;
    this.netmask = options.netmask ?? 0xffffffff;
    this.schedulerName = options.scheduler;
    this.#factories = factories;
    this.#set(SVC_ADDR, options.addr);
    this.#set(SVC_KEY, (options.proto << 16) | options.port);
    this.#set(SVC_FLAGS, options.flags);
    this.#set(SVC_HEAD, NONE);
    this.#set(SVC_CURSOR, NONE);
    this.scheduler = this.#make(options.scheduler);
    this.#set(SVC_IS_RR, options.scheduler === 'rr' ? 1 : 0);
  }

  /** SVC_F_* */
  get flags(): number {
    return this.words[this.#at + SVC_FLAGS]!;
  }

  get head(): Dest | null {
    return this.#head;
  }

  set head(dest: Dest | null) {
    this.#head = dest;
    this.#set(SVC_HEAD, dest ? dest.id : NONE);
  }

  /** Of rr: the row of a dest, or NONE. */
  get cursor(): number {
    return this.words[this.#at + SVC_CURSOR]!;
  }

  set cursor(dest: number) {
    this.#set(SVC_CURSOR, dest);
  }

  /** What its row is in, and from which word. Both hold until the table of services changes. */
  get words(): Int32Array {
    return this.#rows.words;
  }

  get at(): number {
    return this.#at;
  }

  /** Takes its row to another place. */
  moveTo(rows: Rows, at: number): void {
    rows.words.set(this.words.subarray(this.#at, this.#at + SVC_ROW), at);
    this.#rows = rows;
    this.#at = at;
  }

  get persistent(): boolean {
    return (this.flags & SVC_F_PERSISTENT) !== 0;
  }

  /** Another scheduler starts afresh; the same one keeps its state. */
  edit(options: ServiceOptions): void {
    this.#set(SVC_FLAGS, options.flags);
    this.timeoutS = options.timeoutS ?? DEFAULT_PERSISTENCE_S;
    this.netmask = options.netmask ?? 0xffffffff;
    if (options.scheduler === this.schedulerName) return;
    const scheduler = this.#make(options.scheduler);
    this.scheduler.close();
    this.scheduler = scheduler;
    this.schedulerName = options.scheduler;
    this.#set(SVC_IS_RR, options.scheduler === 'rr' ? 1 : 0);
  }

  find(addr: number, port: number): Dest | undefined {
    for (let dest = this.head; dest; dest = dest.next) if (dest.addr === addr && dest.port === port) return dest;
    return undefined;
  }

  *dests(): Generator<Dest> {
    for (let dest = this.head; dest; dest = dest.next) yield dest;
  }

  /** Undefined when the service has that dest already. */
  addDest(options: DestOptions, table: DestTable): Dest | undefined {
    return this.find(options.addr, options.port) ? undefined : this.linkDest(options, table);
  }

  /** Links a dest in without asking whether there is one with that address: of IPv6 two may fold into one. */
  linkDest(options: DestOptions, table: DestTable): Dest {
    const dest = table.obtain(this, options.addr, options.port);
    setDest(dest, options);
    dest.lastWeight = options.weight;
    this.#account(dest, table, -1);
    dest.prev = null;
    dest.next = this.head;
    if (this.head) this.head.prev = dest;
    else this.tail = dest;
    this.head = dest;
    this.numDests++;
    this.scheduler.destAdded(dest);
    return dest;
  }

  editDest(dest: Dest, options: DestOptions): void {
    setDest(dest, options);
    if (options.weight !== 0) dest.lastWeight = options.weight;
    this.scheduler.destUpdated(dest);
  }

  /** The unlinked dest keeps its own `prev` and `next`: a scheduler's cursor may need them. */
  removeDest(dest: Dest, table: DestTable): void {
    dest.available = false;
    this.#account(dest, table, 1);
    this.#unlink(dest);
    this.scheduler.destRemoved(dest);
    table.discard(dest);
  }

  /** Deletes the service's dests and scheduler; the table has forgotten it. */
  clear(table: DestTable): void {
    this.scheduler.close();
    for (let dest = this.head; dest; dest = this.head) {
      dest.available = false;
      this.#unlink(dest);
      table.discard(dest);
    }
  }

  /** Its counters, STAT_*: all that its dests have counted for it. O(dests). */
  stats(table: DestTable): Float64Array {
    const sums = this.#past.slice();
    for (let dest = this.head; dest; dest = dest.next)
      for (let i = STAT_CONNS; i < STATS; i++) sums[i]! += table.stats[dest.id * STATS + i]!;
    return sums;
  }

  #set(column: number, value: number): void {
    this.words[this.#at + column] = value;
  }

  #account(dest: Dest, table: DestTable, sign: 1 | -1): void {
    for (let i = STAT_CONNS; i < STATS; i++) this.#past[i]! += sign * table.stats[dest.id * STATS + i]!;
  }

  #unlink(dest: Dest): void {
    if (dest.prev) dest.prev.next = dest.next;
    else this.head = dest.next;
    if (dest.next) dest.next.prev = dest.prev;
    else this.tail = dest.prev;
    this.numDests--;
  }

  #make(name: string): Scheduler {
    const factory = this.#factories.get(name);
    if (!factory)
      throw new RangeError(`IPVS scheduler ${name} is not known; known: ${[...this.#factories.keys()].join(' ')}`);
    return factory(this);
  }
}

function setDest(dest: Dest, options: DestOptions): void {
  const uThreshold = options.uThreshold ?? 0;
  dest.weight = options.weight;
  dest.available = true;
  if (uThreshold === 0 || uThreshold > dest.uThreshold) dest.overloaded = false;
  dest.uThreshold = uThreshold;
  dest.lThreshold = options.lThreshold ?? 0;
}
