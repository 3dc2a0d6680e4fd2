// Round robin, after ip_vs_rr.c. The cursor is the last dest chosen, or the head of the list (NONE): the search starts after
// it, wraps once, and skips dests that take no connections. Adding a dest does not move the cursor; deleting the cursor's
// dest moves it to the element before. As kube-proxy's default it works on rows alone (rows.ts), the cursor among them.
import type { Dest } from '../dest.ts';
import { DEST_FLAGS, DEST_NEXT, DEST_ROW, DEST_USABLE, NONE, SVC_CURSOR, SVC_HEAD } from '../rows.ts';
import type { VirtualService } from '../service.ts';
import { equalShares, type Scheduler, type Share } from './scheduler.ts';

/** The row of the next dest, or NONE, of the service whose row is at `at` in `services`; moves its cursor there. */
export function nextInTurn(services: Int32Array, at: number, dests: Int32Array): number {
  const last = services[at + SVC_CURSOR]!;
  const head = services[at + SVC_HEAD]!;
  const after = last === NONE ? head : dests[last * DEST_ROW + DEST_NEXT]!;
  for (let dest = after; dest !== NONE; dest = dests[dest * DEST_ROW + DEST_NEXT]!) {
    if (isUsable(dests, dest)) return (services[at + SVC_CURSOR] = dest);
  }
  if (last === NONE) return NONE;
  for (let dest = head; dest !== NONE; dest = dests[dest * DEST_ROW + DEST_NEXT]!) {
    if (isUsable(dests, dest)) return (services[at + SVC_CURSOR] = dest);
    if (dest === last) break;
  }
  return NONE;
}

function isUsable(dests: Int32Array, dest: number): boolean {
  return (dests[dest * DEST_ROW + DEST_FLAGS]! & DEST_USABLE) !== 0;
}

export class RoundRobin implements Scheduler {
  readonly name = 'rr';
  readonly #svc: VirtualService;

  constructor(svc: VirtualService) {
    this.#svc = svc;
  }

  schedule(): Dest | null {
    const { head, words, at } = this.#svc;
    if (head === null) return null;
    const dest = nextInTurn(words, at, head.table.words);
    return dest === NONE ? null : head.table.at(dest);
  }

  destAdded(): void {}

  destRemoved(dest: Dest): void {
    // The list has closed the gap, but the unlinked dest still knows its old neighbours.
    if (this.#svc.cursor === dest.id) this.#svc.cursor = dest.prev ? dest.prev.id : NONE;
  }

  destUpdated(): void {}

  shares(): Share[] {
    return equalShares(this.#svc);
  }

  close(): void {
    this.#svc.cursor = NONE;
  }
}
