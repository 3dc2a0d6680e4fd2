// Source hashing, after ip_vs_sh.c: 256 slots dealt out along the list, each dest taking as many consecutive slots as its
// weight (one even for weight 0, whose clients are then refused unless sh-fallback), cyclically. The table is dealt anew on
// every change. The slot of a client is the top byte of hash_32() of its address, plus its port with sh-port.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { isUsable, type Scheduler, type Share, SVC_F_FALLBACK, SVC_F_PORT, tallyShares } from './scheduler.ts';

const SLOTS = 256; // IP_VS_SH_TAB_BITS 8
const GOLDEN_RATIO_32 = 0x61c88647; // linux/hash.h

export class SourceHash implements Scheduler {
  readonly name = 'sh';
  readonly #svc: VirtualService;
  readonly #table: (Dest | null)[] = new Array(SLOTS).fill(null);

  constructor(svc: VirtualService) {
    this.#svc = svc;
    this.#deal();
  }

  schedule(saddr: number, sport: number): Dest | null {
    const flags = this.#svc.flags;
    const key = (flags & SVC_F_PORT) !== 0 ? saddr + sport : saddr;
    const dest = this.#table[slotOf(key)]!;
    if (dest && isUsable(dest)) return dest;
    return (flags & SVC_F_FALLBACK) !== 0 ? this.#fallback(slotOf(key)) : null;
  }

  destAdded(): void {
    this.#deal();
  }

  destRemoved(): void {
    this.#deal();
  }

  destUpdated(): void {
    this.#deal();
  }

  shares(saddr: number, sport: number | undefined): Share[] {
    if (sport !== undefined || (this.#svc.flags & SVC_F_PORT) === 0)
      return tallyShares([this.schedule(saddr, sport ?? 0)]);
    return tallyShares(Array.from({ length: 65536 }, (_, port) => this.schedule(saddr, port)));
  }

  close(): void {
    this.#table.fill(null);
  }

  /** Probes from twice the slot on, as the kernel does: the offset is added to a slot that already holds it. */
  #fallback(slot: number): Dest | null {
    for (let i = 0; i < SLOTS; i++) {
      const dest = this.#table[(slot + ((slot + i) & (SLOTS - 1))) & (SLOTS - 1)]!;
      if (dest && isUsable(dest)) return dest;
    }
    return null;
  }

  #deal(): void {
    let dest: Dest | null = null;
    let dealt = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      dest ??= this.#svc.head;
      this.#table[slot] = dest;
      if (dest && ++dealt >= dest.weight) {
        dest = dest.next;
        dealt = 0;
      }
    }
  }
}

function slotOf(key: number): number {
  return Math.imul(key, GOLDEN_RATIO_32) >>> 24;
}
