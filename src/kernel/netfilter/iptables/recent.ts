// The lists of `-m recent`, after net/netfilter/xt_recent.c (v6.6) with its default parameters: up to 100 source addresses a list
// (ip_list_tot), the one not seen for longest pushed out by a new one. kube-proxy's session affinity lives in them, which is
// why it forgets clients beyond the hundredth of an endpoint. A list lives while a rule names it. Times are microseconds.
//
// Leaves out: --update, --remove, --hitcount, --rttl, --rdest, masks, and with them all but the last time of an address.
import type { Clock } from '../../../lib/clock.ts';

/** ip_list_tot. */
const MAX_ADDRESSES = 100;
const NONE = -1;

export class RecentList {
  readonly #addrs = new Int32Array(MAX_ADDRESSES);
  readonly #seenUs = new Float64Array(MAX_ADDRESSES);
  #count = 0;

  /** `--set`: the address has been seen now. At most 100 steps. */
  set(addr: number, nowUs: number): void {
    let i = this.#find(addr);
    if (i === NONE) {
      i = this.#count < MAX_ADDRESSES ? this.#count++ : this.#oldest();
      this.#addrs[i] = addr;
    }
    this.#seenUs[i] = nowUs;
  }

  /** Whether the address was seen in the last `seconds`; borrows nothing, changes nothing. */
  check(addr: number, seconds: number, nowUs: number): boolean {
    const i = this.#find(addr);
    return i !== NONE && this.#seenUs[i]! >= nowUs - seconds * 1e6;
  }

  /** `--rcheck --reap`: as check(); for an address in the list, the oldest entry goes if it is older than that. */
  checkAndReap(addr: number, seconds: number, nowUs: number): boolean {
    const i = this.#find(addr);
    if (i === NONE) return false;
    const isFresh = this.#seenUs[i]! >= nowUs - seconds * 1e6;
    const oldest = this.#oldest();
    if (this.#seenUs[oldest]! < nowUs - seconds * 1e6) this.#remove(oldest);
    return isFresh;
  }

  get size(): number {
    return this.#count;
  }

  #find(addr: number): number {
    for (let i = 0; i < this.#count; i++) if (this.#addrs[i] === addr) return i;
    return NONE;
  }

  #oldest(): number {
    let oldest = 0;
    for (let i = 1; i < this.#count; i++) if (this.#seenUs[i]! < this.#seenUs[oldest]!) oldest = i;
    return oldest;
  }

  #remove(i: number): void {
    const last = --this.#count;
    this.#addrs[i] = this.#addrs[last]!;
    this.#seenUs[i] = this.#seenUs[last]!;
  }
}

export class RecentLists {
  readonly #lists = new Map<string, RecentList>();
  /** How many rules name each. */
  readonly #references = new Map<string, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes the list if there is none. */
  get(name: string): RecentList {
    let list = this.#lists.get(name);
    if (!list) this.#lists.set(name, (list = new RecentList()));
    return list;
  }

  /** Whether `addr` was seen by the list in the last `seconds`, asked from outside the packet path; a list that does not exist has seen nobody. */
  check(name: string, addr: number, seconds: number): boolean {
    return this.#lists.get(name)?.check(addr | 0, seconds, this.#clock.nowUs()) ?? false;
  }

  /** A rule names the list. */
  retain(name: string): void {
    this.#references.set(name, (this.#references.get(name) ?? 0) + 1);
  }

  /** A rule that named it is gone; with the last one goes the list. */
  release(name: string): void {
    const left = this.#references.get(name)! - 1;
    if (left > 0) this.#references.set(name, left);
    else {
      this.#references.delete(name);
      this.#lists.delete(name);
    }
  }

  /** Forgets lists that were made for rules that were refused in the end. O(lists). */
  dropUnused(): void {
    for (const name of this.#lists.keys()) if (!this.#references.has(name)) this.#lists.delete(name);
  }
}
