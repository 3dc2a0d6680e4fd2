// Congestion control as an interface: one instance a connection, one file an algorithm (newreno.ts,
// cubic.ts). The windows belong to the
// connection; loss detection and recovery (recovery.ts, rack.ts) are the same for all.
import { INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS } from './tunables.ts';

export interface CongestionControl {
  readonly name: string;
  /** The new ssthresh when loss is found (or a timeout fires) at a window of `cwnd`. */
  ssthresh(cwnd: number, mss: number, nowUs: number): number;
  /**
   * The new cwnd after `acked` bytes were acknowledged outside recovery while the window was in use.
   * Slow start is cwnd < ssthresh. `srttUs` is 0 while unknown.
   */
  onAck(cwnd: number, ssthresh: number, acked: number, mss: number, srttUs: number, nowUs: number): number;
  /** After a timeout, or an idle period: what was learnt about the path's pace is stale. */
  reset(): void;
}

export type CongestionName = 'newreno' | 'cubic';

/** RFC 6928. */
export function initialWindow(mss: number): number {
  return Math.min(INITIAL_WINDOW_SEGMENTS * mss, Math.max(2 * mss, INITIAL_WINDOW_BYTES));
}
