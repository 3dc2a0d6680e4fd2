// A set of addresses. A plain one changes only by commands; a dynamic one, flags dynamic,timeout, is added to by packets
// (`update @set { ip saddr }`), and what no packet has refreshed for its timeout is no longer in it. After nft_set_hash.c and
// nft_dynset.c (v6.6).
import { LookupTable } from './lookup-table.ts';

/** What nft gives a dynamic set without a size. */
export const DYNAMIC_SET_SIZE = 65535;
const FIRST_PURGE = 1024;

interface Clocked {
  readonly nowUs: number;
}

export class SetTable {
  /** 0: a plain set. */
  readonly timeoutUs: number;
  /** Values are deadlines. */
  readonly #elements = new LookupTable();
  /** Size at which expired elements are looked for, and the time before which there are none. */
  #purgeAt = FIRST_PURGE;
  #purgeFromUs = 0;

  constructor(timeoutS: number) {
    this.timeoutUs = timeoutS * 1e6;
  }

  // The clock comes as an object: a fraction as an argument would be boxed where the call is not inlined.

  has(addr: number, net: Clocked): boolean {
    const elements = this.#elements;
    const slot = elements.find(addr, 0);
    return slot >= 0 && elements.value[slot]! > net.nowUs;
  }

  /** Adds or refreshes; false when the set is full. May allocate, when the set grows. */
  update(addr: number, net: Clocked): boolean {
    const elements = this.#elements;
    if (elements.size >= this.#purgeAt && elements.find(addr, 0) < 0) {
      if (net.nowUs >= this.#purgeFromUs) this.#purge(net.nowUs);
      if (elements.size >= DYNAMIC_SET_SIZE) return false;
    }
    const slot = elements.insert(addr, 0);
    elements.value[slot] = net.nowUs + this.timeoutUs;
    return true;
  }

  add(addr: number, deadlineUs = Number.POSITIVE_INFINITY): void {
    this.#elements.set(addr | 0, 0, deadlineUs);
    this.#purgeFromUs = Math.min(this.#purgeFromUs, deadlineUs);
  }

  /** -1 when it is not in the set. */
  deadlineOf(addr: number): number {
    return this.#elements.get(addr | 0, 0);
  }

  delete(addr: number): boolean {
    return this.#elements.delete(addr | 0, 0);
  }

  clear(): void {
    this.#elements.clear();
  }

  /** What is in it now, by address; the deadline is Infinity in a plain set. */
  entries(nowUs: number): { readonly addr: number; readonly deadlineUs: number }[] {
    const entries: { addr: number; deadlineUs: number }[] = [];
    this.#elements.forEach((addr, _, deadlineUs) => {
      if (deadlineUs > nowUs) entries.push({ addr: addr >>> 0, deadlineUs });
    });
    return entries.sort((a, b) => a.addr - b.addr);
  }

  #purge(nowUs: number): void {
    let earliestUs = Number.POSITIVE_INFINITY;
    this.#elements.forEach((addr, _, deadlineUs) => {
      if (deadlineUs <= nowUs) this.#elements.delete(addr, 0);
      else if (deadlineUs < earliestUs) earliestUs = deadlineUs;
    });
    this.#purgeFromUs = earliestUs;
    this.#purgeAt = Math.min(DYNAMIC_SET_SIZE, Math.max(FIRST_PURGE, this.#elements.size * 2));
  }
}
