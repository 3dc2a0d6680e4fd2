// Power of two choices, after ip_vs_twos.c of Linux 6.1: two dests are drawn by weight, and the one that is less loaded for its
// weight wins; the first drawn where both are alike. A draw is a number from 0 to the sum of weights, both included, and the
// dest at which it is used up along the list: so the head is a little likelier than its weight.
import type { Rng } from '../../../lib/rng.ts';
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { overhead } from './least.ts';
import { isUsable, type Scheduler, type Share } from './scheduler.ts';

export class TwoChoices implements Scheduler {
  readonly name = 'twos';
  readonly #svc: VirtualService;
  readonly #rng: Rng;

  constructor(svc: VirtualService, rng: Rng) {
    this.#svc = svc;
    this.#rng = rng;
  }

  schedule(): Dest | null {
    const total = this.#totalWeight();
    if (total === 0) return null;
    const first = this.#draw(this.#rng.below(total + 1));
    return lessLoaded(first, this.#draw(this.#rng.below(total + 1)));
  }

  destAdded(): void {}
  destRemoved(): void {}
  destUpdated(): void {}

  /** Of the next connection, over all draws. */
  shares(): Share[] {
    const draws: Share[] = [];
    const total = this.#totalWeight();
    for (let dest = this.#svc.head; dest; dest = dest.next) {
      if (isUsable(dest)) draws.push({ dest, probability: (dest.weight + (draws.length === 0 ? 1 : 0)) / (total + 1) });
    }
    const sums = new Map<Dest, number>();
    for (const a of draws) {
      for (const b of draws) {
        const dest = lessLoaded(a.dest, b.dest);
        sums.set(dest, (sums.get(dest) ?? 0) + a.probability * b.probability);
      }
    }
    return [...sums].map(([dest, probability]) => ({ dest, probability }));
  }

  close(): void {}

  #totalWeight(): number {
    let total = 0;
    for (let dest = this.#svc.head; dest; dest = dest.next) if (isUsable(dest)) total += dest.weight;
    return total;
  }

  #draw(rest: number): Dest {
    let last = this.#svc.head!;
    for (let dest: Dest | null = last; dest; dest = dest.next) {
      if (!isUsable(dest)) continue;
      last = dest;
      rest -= dest.weight;
      if (rest <= 0) break;
    }
    return last;
  }
}

function lessLoaded(a: Dest, b: Dest): Dest {
  return b.weight * overhead(a) > a.weight * overhead(b) ? b : a;
}
