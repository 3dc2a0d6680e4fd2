// Destination hashing, after ip_vs_dh.c: 256 slots dealt out along the list, one a dest, whatever the weights; the slot is the
// top byte of hash_32() of the service's own address. One ClusterIP therefore always meets one dest. Dealt anew when a dest
// comes or goes, not when a weight changes.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { isUsable, type Scheduler, type Share, tallyShares } from './scheduler.ts';

const SLOTS = 256; // IP_VS_DH_TAB_BITS 8
const GOLDEN_RATIO_32 = 0x61c88647; // linux/hash.h

export class DestinationHash implements Scheduler {
  readonly name = 'dh';
  readonly #svc: VirtualService;
  readonly #table: (Dest | null)[] = new Array(SLOTS).fill(null);

  constructor(svc: VirtualService) {
    this.#svc = svc;
    this.#deal();
  }

  schedule(_saddr: number, _sport: number, daddr: number): Dest | null {
    const dest = this.#table[Math.imul(daddr, GOLDEN_RATIO_32) >>> 24]!;
    return dest && isUsable(dest) ? dest : null;
  }

  destAdded(): void {
    this.#deal();
  }

  destRemoved(): void {
    this.#deal();
  }

  destUpdated(): void {}

  shares(saddr: number, sport: number | undefined, daddr: number): Share[] {
    return tallyShares([this.schedule(saddr, sport ?? 0, daddr)]);
  }

  close(): void {
    this.#table.fill(null);
  }

  #deal(): void {
    let dest: Dest | null = null;
    for (let slot = 0; slot < SLOTS; slot++) {
      dest ??= this.#svc.head;
      this.#table[slot] = dest;
      dest = dest ? dest.next : null;
    }
  }
}
