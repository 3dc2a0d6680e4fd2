// Maglev hashing, after ip_vs_mh.c (Eisenbud et al., "Maglev: a fast and reliable software network load balancer", 2016).
// A table of a prime size, filled in rounds over the list: each dest claims free slots along its own permutation, as many a
// round as its weight says. Weights are the last non-zero ones, so that setting a weight to 0 moves no other client: the
// dest's own are refused (unless mh-fallback) until it is deleted. With mh-port the client's port takes part.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { isUsable, type Scheduler, type Share, SVC_F_FALLBACK, SVC_F_PORT, tallyShares } from './scheduler.ts';
import { hsiphash32 } from './siphash.ts';
import { gcd } from './wrr.ts';

const SLOTS = 4093; // IP_VS_MH_TAB_INDEX 12
const KEY_1 = 2654435761; // ip_vs_mh_init_svc: slots and offsets
const KEY_2 = 2654446892; // skips
/** A dest takes at most 2^6 slots a round. */
const WEIGHT_BITS = 6;
const FREE = -1;

export class Maglev implements Scheduler {
  readonly name = 'mh';
  readonly #svc: VirtualService;
  #dests: Dest[] = [];
  /** Index into #dests by slot. */
  readonly #table = new Int32Array(SLOTS).fill(FREE);

  constructor(svc: VirtualService) {
    this.#svc = svc;
    this.#fill();
  }

  schedule(saddr: number, sport: number): Dest | null {
    const { flags } = this.#svc;
    const key = ((flags & SVC_F_PORT) !== 0 ? saddr + sport : saddr) | 0;
    const slot = hsiphash32(KEY_1, key) % SLOTS;
    const at = this.#table[slot]!;
    if (at === FREE) return null;
    const dest = this.#dests[at]!;
    if (isUsable(dest)) return dest;
    return (flags & SVC_F_FALLBACK) !== 0 ? this.#fallback(key, slot) : null;
  }

  destAdded(): void {
    this.#fill();
  }

  destRemoved(): void {
    this.#fill();
  }

  destUpdated(): void {
    this.#fill();
  }

  shares(saddr: number, sport: number | undefined): Share[] {
    if (sport !== undefined || (this.#svc.flags & SVC_F_PORT) === 0)
      return tallyShares([this.schedule(saddr, sport ?? 0)]);
    return tallyShares(Array.from({ length: 65536 }, (_, port) => this.schedule(saddr, port)));
  }

  close(): void {
    this.#dests = [];
    this.#table.fill(FREE);
  }

  /** Hashes again with an offset, first with the slot itself. */
  #fallback(key: number, slot: number): Dest | null {
    for (let i = 0; i < SLOTS; i++) {
      const offset = (i + slot) % SLOTS;
      const at = this.#table[hsiphash32(KEY_1, (key + offset) | 0) % SLOTS]!;
      if (at === FREE) break;
      const dest = this.#dests[at]!;
      if (isUsable(dest)) return dest;
    }
    return null;
  }

  #fill(): void {
    this.#dests = [...this.#svc.dests()];
    this.#table.fill(FREE);
    const divisor = this.#dests.reduce((g, dest) => (dest.lastWeight > 0 ? gcd(dest.lastWeight, g) : g), 0);
    if (divisor === 0) return;
    const greatest = Math.max(...this.#dests.map((dest) => dest.lastWeight)) / divisor;
    const shift = Math.max(0, 32 - Math.clz32(greatest) - WEIGHT_BITS);
    const turns = this.#dests.map(({ lastWeight }) =>
      lastWeight > 0 ? Math.max(1, (lastWeight / divisor) >> shift) : 0,
    );
    const next = this.#dests.map((dest) => hsiphash32(KEY_1, (dest.addr + dest.port) | 0) % SLOTS);
    const skip = this.#dests.map((dest) => (hsiphash32(KEY_2, (dest.addr + dest.port) | 0) % (SLOTS - 1)) + 1);
    for (let left = SLOTS; ; ) {
      for (let i = 0; i < this.#dests.length; i++) {
        for (let turn = 0; turn < turns[i]!; turn++) {
          let slot = next[i]!;
          while (this.#table[slot] !== FREE) slot = (slot + skip[i]!) % SLOTS;
          this.#table[slot] = i;
          next[i] = (slot + skip[i]!) % SLOTS;
          if (--left === 0) return;
        }
      }
    }
  }
}
