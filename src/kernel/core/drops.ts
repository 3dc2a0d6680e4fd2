// The end of packets that are not delivered, after Linux's kfree_skb_reason(): traced, counted by reason for the whole Node and for the
// device the packet came in by, freed.
import type { Skb } from '../../tcpip-ts/skb.ts';
import { DROP_REASONS, DropReason, type DropReasonName } from './drop-reason.ts';
import type { TracePoints } from './trace.ts';

/** Told of each packet that is dropped, before it is freed. */
export interface DropTap {
  dropped(skb: Skb, reason: DropReason): void;
}

export class Drops {
  /** While somebody captures them. */
  tap: DropTap | null = null;
  /** Packets dropped, by reason. */
  readonly counts = new Float64Array(DROP_REASONS.length);
  /** The same for each device by ifindex; 0 is for packets made here. */
  readonly #byDevice: (Float64Array | undefined)[] = [new Float64Array(DROP_REASONS.length)];
  readonly #trace: TracePoints;

  constructor(trace: TracePoints) {
    this.#trace = trace;
  }

  /** Counts and frees `skb`. CONSUMED frees without counting: not a drop, kept so that one call ends every packet. */
  drop(skb: Skb, reason: DropReason): void {
    if (this.#trace.sink !== null) this.#trace.sink.drop(skb, reason);
    if (reason !== DropReason.CONSUMED) {
      if (this.tap !== null) this.tap.dropped(skb, reason);
      this.counts[reason]!++;
      const device = this.#byDevice[skb.iif];
      if (device !== undefined) device[reason]!++;
    }
    skb.free();
  }

  /** Counts a packet that is freed elsewhere, such as one thrown out of a neighbour's queue. */
  tally(iif: number, reason: DropReason): void {
    this.counts[reason]!++;
    const device = this.#byDevice[iif];
    if (device !== undefined) device[reason]!++;
  }

  /** Starts (and clears) the counters of a device. */
  register(ifindex: number): void {
    this.#byDevice[ifindex] = new Float64Array(DROP_REASONS.length);
  }

  unregister(ifindex: number): void {
    this.#byDevice[ifindex] = undefined;
  }

  /** Reasons that occurred, by name; of one device when `ifindex` is given. */
  snapshot(ifindex?: number): Partial<Record<DropReasonName, number>> {
    const counts = ifindex === undefined ? this.counts : this.#byDevice[ifindex];
    const out: Partial<Record<DropReasonName, number>> = {};
    counts?.forEach((n, i) => {
      if (n > 0) out[DROP_REASONS[i]!] = n;
    });
    return out;
  }
}
