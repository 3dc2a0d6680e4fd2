// CUBIC (RFC 9438): the window grows along W(t) = C·(t-K)^3 + Wmax after a reduction, and not slower than Reno would.
// Windows are bytes; Wmax and the cubic are computed in segments as in the RFC. HyStart is left out: slow start ends at the
// first loss.
import type { CongestionControl } from './congestion.ts';

const BETA = 0.7;
const C = 0.4;
/** RFC 9438, 4.3: the slope that makes the estimate fair to Reno. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);

export class Cubic implements CongestionControl {
  readonly name = 'cubic';
  /** Window before the last reduction, in segments; 0 when none was. */
  #wMax = 0;
  #k = 0;
  #wEst = 0;
  /** How long this stage of avoidance has gone on, summed up since 32-bit clocks do not hold it, and the last clock reading. */
  #epochUs = 0;
  #lastUs = 0;
  #inEpoch = false;
  /** Fraction of a segment earned. */
  #credit = 0;

  ssthresh(cwnd: number, mss: number, _nowUs: number): number {
    const w = cwnd / mss;
    this.#inEpoch = false;
    // Fast convergence: a flow that did not get back to where it was gives way.
    this.#wMax = w < this.#wMax ? (w * (1 + BETA)) / 2 : w;
    return Math.max(Math.floor(cwnd * BETA), 2 * mss);
  }

  onAck(cwnd: number, ssthresh: number, acked: number, mss: number, srttUs: number, nowUs: number): number {
    if (cwnd < ssthresh) {
      const grow = Math.min(acked, ssthresh - cwnd);
      cwnd += grow;
      acked -= grow;
      if (acked === 0) return cwnd;
    }
    const w = cwnd / mss;
    if (!this.#inEpoch) {
      this.#inEpoch = true;
      this.#epochUs = 0;
      this.#lastUs = nowUs;
      if (this.#wMax < w) this.#wMax = w;
      this.#k = Math.cbrt((this.#wMax - w) / C);
      this.#wEst = w;
    }
    const segments = acked / mss;
    this.#wEst += (this.#wEst < this.#wMax ? ALPHA : 1) * (segments / w);
    this.#epochUs += (nowUs - this.#lastUs) | 0;
    this.#lastUs = nowUs;
    const t = (this.#epochUs + srttUs) / 1e6;
    const cubic = C * (t - this.#k) ** 3 + this.#wMax;
    if (this.#wEst > cubic) return Math.max(cwnd, Math.floor(this.#wEst) * mss);
    this.#credit += ((Math.min(Math.max(cubic, w), 1.5 * w) - w) / w) * segments;
    const whole = Math.floor(this.#credit);
    this.#credit -= whole;
    return cwnd + whole * mss;
  }

  reset(): void {
    this.#inEpoch = false;
    this.#wMax = 0;
    this.#credit = 0;
  }
}
