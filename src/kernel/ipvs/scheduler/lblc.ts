// Locality-based least connection, after ip_vs_lblc.c and, with replication, ip_vs_lblcr.c: a cache from the service's
// address to the dest (or the set of dests) that serves it, as long as that is not overloaded; otherwise wlc decides.
// Left out: the ageing of cache entries and the trimming of sets (both by the hour or day).
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { weightedLeastConnection } from './least.ts';
import { isUsable, type Scheduler, type Share } from './scheduler.ts';

/** Loaded beyond its weight while another dest is at less than half of its own. */
function isOverloaded(dest: Dest, svc: VirtualService): boolean {
  if (dest.activeConns <= dest.weight) return false;
  for (let other = svc.head; other; other = other.next) if (other.activeConns * 2 < other.weight) return true;
  return false;
}

function shareOfOne(dest: Dest | null): Share[] {
  return dest ? [{ dest, probability: 1 }] : [];
}

export class LocalityLeastConnection implements Scheduler {
  readonly name = 'lblc';
  readonly #svc: VirtualService;
  readonly #cache = new Map<number, Dest>();

  constructor(svc: VirtualService) {
    this.#svc = svc;
  }

  schedule(_saddr: number, _sport: number, daddr: number): Dest | null {
    const cached = this.#cached(daddr);
    if (cached) return cached;
    const dest = weightedLeastConnection(this.#svc);
    if (dest) this.#remember(daddr, dest);
    return dest;
  }

  destAdded(): void {}
  destRemoved(): void {}
  destUpdated(): void {}

  shares(_saddr: number, _sport: number | undefined, daddr: number): Share[] {
    return shareOfOne(this.#cached(daddr) ?? weightedLeastConnection(this.#svc));
  }

  close(): void {
    for (const dest of this.#cache.values()) dest.cached--;
    this.#cache.clear();
  }

  #cached(daddr: number): Dest | undefined {
    const dest = this.#cache.get(daddr | 0);
    return dest?.available && dest.weight > 0 && !isOverloaded(dest, this.#svc) ? dest : undefined;
  }

  #remember(daddr: number, dest: Dest): void {
    const old = this.#cache.get(daddr | 0);
    if (old === dest) return;
    if (old) old.cached--;
    dest.cached++;
    this.#cache.set(daddr | 0, dest);
  }
}

export class LocalityReplication implements Scheduler {
  readonly name = 'lblcr';
  readonly #svc: VirtualService;
  /** Newest member first. */
  readonly #cache = new Map<number, Dest[]>();

  constructor(svc: VirtualService) {
    this.#svc = svc;
  }

  schedule(_saddr: number, _sport: number, daddr: number): Dest | null {
    const cached = this.#cached(daddr);
    if (cached) return cached;
    const dest = weightedLeastConnection(this.#svc);
    if (!dest) return null;
    let set = this.#cache.get(daddr | 0);
    if (!set) this.#cache.set(daddr | 0, (set = []));
    if (!set.includes(dest)) {
      set.unshift(dest);
      dest.cached++;
    }
    return dest;
  }

  destAdded(): void {}
  destRemoved(): void {}
  destUpdated(): void {}

  shares(_saddr: number, _sport: number | undefined, daddr: number): Share[] {
    return shareOfOne(this.#cached(daddr) ?? weightedLeastConnection(this.#svc));
  }

  close(): void {
    for (const set of this.#cache.values()) for (const dest of set) dest.cached--;
    this.#cache.clear();
  }

  #cached(daddr: number): Dest | undefined {
    const set = this.#cache.get(daddr | 0);
    const least = set && leastOf(set);
    return least && !isOverloaded(least, this.#svc) ? least : undefined;
  }
}

/** As wlc among the members, as ip_vs_dest_set_min(). */
function leastOf(set: readonly Dest[]): Dest | undefined {
  let least: Dest | undefined;
  for (const dest of set) {
    if (!isUsable(dest) || !dest.available) continue;
    const load = dest.activeConns * 256 + dest.inactConns;
    if (!least || (least.activeConns * 256 + least.inactConns) * dest.weight > load * least.weight) least = dest;
  }
  return least;
}
