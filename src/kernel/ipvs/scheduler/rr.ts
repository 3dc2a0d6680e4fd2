// Round robin, after ip_vs_rr.c. The cursor is the last dest chosen, or the head of the list (null): the search starts after
// it, wraps once, and skips dests that take no connections. Adding a dest does not move the cursor; deleting the cursor's
// dest moves it to the element before.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';
import { equalShares, isUsable, type Scheduler, type Share } from './scheduler.ts';

export class RoundRobin implements Scheduler {
  readonly name = 'rr';
  readonly #svc: VirtualService;
  #cursor: Dest | null = null;

  constructor(svc: VirtualService) {
    this.#svc = svc;
  }

  schedule(): Dest | null {
    const last = this.#cursor;
    for (let dest = last ? last.next : this.#svc.head; dest; dest = dest.next) {
      if (isUsable(dest)) return (this.#cursor = dest);
    }
    if (!last) return null;
    for (let dest = this.#svc.head; dest; dest = dest.next) {
      if (isUsable(dest)) return (this.#cursor = dest);
      if (dest === last) break;
    }
    return null;
  }

  destAdded(): void {}

  destRemoved(dest: Dest): void {
    // The list has closed the gap, but the unlinked dest still knows its old neighbours.
    if (this.#cursor === dest) this.#cursor = dest.prev;
  }

  destUpdated(): void {}

  shares(): Share[] {
    return equalShares(this.#svc);
  }

  close(): void {
    this.#cursor = null;
  }
}
