// The schedulers that pick the dest with the least load, after ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c, and the two
// that pick by weight, ip_vs_fo.c and ip_vs_ovf.c. All walk the list once from its head, keep no state, and settle ties for
// the dest met first: the newest. UDP connections are never active, only inactive.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { isUsable, type Scheduler, type Share } from './scheduler.ts';

/** Picks by the lists alone; what a client is does not matter. */
class Stateless implements Scheduler {
  readonly name: string;
  readonly #svc: VirtualService;
  readonly #pick: (svc: VirtualService) => Dest | null;

  constructor(name: string, svc: VirtualService, pick: (svc: VirtualService) => Dest | null) {
    this.name = name;
    this.#svc = svc;
    this.#pick = pick;
  }

  schedule(): Dest | null {
    return this.#pick(this.#svc);
  }

  destAdded(): void {}
  destRemoved(): void {}
  destUpdated(): void {}

  /** The next connection's dest, which is certain; later ones depend on the load then. */
  shares(): Share[] {
    const dest = this.#pick(this.#svc);
    return dest ? [{ dest, probability: 1 }] : [];
  }

  close(): void {}
}

export function stateless(
  name: string,
  pick: (svc: VirtualService) => Dest | null,
): (svc: VirtualService) => Scheduler {
  return (svc) => new Stateless(name, svc, pick);
}

/** An active connection costs as much as 256 inactive ones (ip_vs_dest_conn_overhead). */
export function overhead(dest: Dest): number {
  return dest.activeConns * 256 + dest.inactConns;
}

export function leastConnection(svc: VirtualService): Dest | null {
  let least: Dest | null = null;
  for (let dest = svc.head; dest; dest = dest.next) {
    if (isUsable(dest) && (!least || overhead(dest) < overhead(least))) least = dest;
  }
  return least;
}

/** Products of counts and weights stay far below 2^53. */
export function weightedLeastConnection(svc: VirtualService): Dest | null {
  let least: Dest | null = null;
  for (let dest = svc.head; dest; dest = dest.next) {
    if (isUsable(dest) && (!least || overhead(least) * dest.weight > overhead(dest) * least.weight)) least = dest;
  }
  return least;
}

export function shortestExpectedDelay(svc: VirtualService): Dest | null {
  let least: Dest | null = null;
  for (let dest = svc.head; dest; dest = dest.next) {
    if (isUsable(dest) && (!least || (least.activeConns + 1) * dest.weight > (dest.activeConns + 1) * least.weight)) {
      least = dest;
    }
  }
  return least;
}

export function neverQueue(svc: VirtualService): Dest | null {
  for (let dest = svc.head; dest; dest = dest.next) if (isUsable(dest) && dest.activeConns === 0) return dest;
  return shortestExpectedDelay(svc);
}

/** The greatest weight, as long as it is there. */
export function failover(svc: VirtualService): Dest | null {
  let best: Dest | null = null;
  for (let dest = svc.head; dest; dest = dest.next) {
    if (isUsable(dest) && (!best || dest.weight > best.weight)) best = dest;
  }
  return best;
}

/** The greatest weight that is not full: a dest is when more connections than its weight are active. */
export function overflow(svc: VirtualService): Dest | null {
  let best: Dest | null = null;
  for (let dest = svc.head; dest; dest = dest.next) {
    if (!isUsable(dest) || dest.activeConns > dest.weight) continue;
    if (!best || dest.weight > best.weight) best = dest;
  }
  return best;
}
