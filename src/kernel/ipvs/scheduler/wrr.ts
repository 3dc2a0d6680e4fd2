// Weighted round robin, after ip_vs_wrr.c. The current weight `cw` falls from the greatest weight in steps of the weights'
// greatest common divisor `di`, once a turn around the list; a dest takes a connection while its weight is at least cw.
// Not smooth: weights 3 and 1 give A A A B. Any change of a dest puts the cursor back to the head.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { isUsable, type Scheduler, type Share } from './scheduler.ts';

export class WeightedRoundRobin implements Scheduler {
  readonly name = 'wrr';
  readonly #svc: VirtualService;
  #cursor: Dest | null = null;
  #cw = 0;
  /** The greatest weight less (di - 1). */
  #mw = 0;
  #di = 1;

  constructor(svc: VirtualService) {
    this.#svc = svc;
    this.#measure();
    this.#cw = this.#mw;
  }

  schedule(): Dest | null {
    if (this.#mw === 0) return null;
    let dest = this.#cursor;
    let cw = this.#cw;
    for (let wrapped = false; ; ) {
      dest = dest ? dest.next : this.#svc.head;
      while (dest && (dest.weight < cw || !isUsable(dest))) dest = dest.next;
      if (dest) {
        this.#cursor = dest;
        this.#cw = cw;
        return dest;
      }
      // At the end of the list. cw comes down to 1 in time, which any usable dest has; so look once whether there is one.
      if (!wrapped && !this.#anyUsable()) return null;
      wrapped = true;
      cw -= this.#di;
      if (cw <= 0) cw = this.#mw;
    }
  }

  destAdded(): void {
    this.#changed();
  }

  destRemoved(): void {
    this.#changed();
  }

  destUpdated(): void {
    this.#changed();
  }

  shares(): Share[] {
    const usable = [...this.#svc.dests()].filter(isUsable);
    const sum = usable.reduce((n, dest) => n + dest.weight, 0);
    return usable.map((dest) => ({ dest, probability: dest.weight / sum }));
  }

  close(): void {
    this.#cursor = null;
  }

  #anyUsable(): boolean {
    for (let dest = this.#svc.head; dest; dest = dest.next) if (isUsable(dest)) return true;
    return false;
  }

  #changed(): void {
    this.#cursor = null;
    this.#measure();
    if (this.#cw > this.#mw || this.#cw === 0) this.#cw = this.#mw;
    else if (this.#di > 1) this.#cw = Math.floor(this.#cw / this.#di) * this.#di + 1;
  }

  #measure(): void {
    let greatest = 0;
    let di = 0;
    for (let dest = this.#svc.head; dest; dest = dest.next) {
      if (dest.weight <= 0) continue;
      greatest = Math.max(greatest, dest.weight);
      di = gcd(dest.weight, di);
    }
    this.#di = di || 1;
    this.#mw = greatest === 0 ? 0 : greatest - (this.#di - 1);
  }
}

/** Greatest common divisor; gcd(n, 0) is n. */
export function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
