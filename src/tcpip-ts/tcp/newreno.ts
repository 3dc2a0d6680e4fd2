// Slow start and congestion avoidance of RFC 5681, counted in bytes (RFC 3465).
// Deviation: in slow start an acknowledgment opens the window by all that it acknowledges, not by at most one or two segments:
// receivers of super-segments acknowledge 64 KiB at a time, and Linux counts so too.
import type { CongestionControl } from './congestion.ts';

export class NewReno implements CongestionControl {
  readonly name = 'newreno';
  /** Bytes acknowledged towards the next increase, in congestion avoidance. */
  #credit = 0;

  ssthresh(cwnd: number, mss: number, _nowUs: number): number {
    return Math.max(Math.floor(cwnd / 2), 2 * mss);
  }

  onAck(cwnd: number, ssthresh: number, acked: number, mss: number, _srttUs: number, _nowUs: number): number {
    if (cwnd < ssthresh) {
      const grow = Math.min(acked, ssthresh - cwnd);
      cwnd += grow;
      acked -= grow;
    }
    this.#credit += acked;
    if (this.#credit >= cwnd) {
      this.#credit -= cwnd;
      cwnd += mss;
    }
    return cwnd;
  }

  reset(): void {
    this.#credit = 0;
  }
}
