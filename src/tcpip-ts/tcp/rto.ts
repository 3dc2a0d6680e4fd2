// The retransmission timeout (RFC 6298) from round-trip samples, with Karn's rule kept by the callers: a retransmitted segment
// gives no sample unless a timestamp tells which copy was acknowledged, and the backed-off timeout stays until a sample comes.
// Fixed point as BSD and Linux: srtt scaled by 8, rttvar by 4, in microseconds.
// Deviation: the variance term is at least RTO_MIN_MS (RFC 6298 bounds the whole timeout by 1 s), as Linux.
import { RTO_FALLBACK_MS, RTO_INITIAL_MS, RTO_MAX_MS, RTO_MIN_MS } from './tunables.ts';

export class Rto {
  /** 0 until the first sample. */
  srtt8 = 0;
  rttvar4 = 0;
  /** Smallest sample, 0 until there is one. Feeds RACK's reordering window. */
  minRttUs = 0;
  /** Without backoff. */
  baseMs = RTO_INITIAL_MS;
  /** Doublings since the last sample. */
  backoff = 0;

  get srttUs(): number {
    return this.srtt8 >> 3;
  }

  /** The timeout now. */
  get ms(): number {
    return Math.min(RTO_MAX_MS, this.baseMs * 2 ** this.backoff);
  }

  sample(rttUs: number): void {
    const r = Math.max(1, rttUs);
    if (this.minRttUs === 0 || r < this.minRttUs) this.minRttUs = r;
    if (this.srtt8 === 0) {
      this.srtt8 = r << 3;
      this.rttvar4 = r << 1;
    } else {
      const error = r - (this.srtt8 >> 3);
      this.srtt8 = Math.max(1, this.srtt8 + error);
      this.rttvar4 += Math.abs(error) - (this.rttvar4 >> 2);
    }
    this.baseMs = Math.min(
      RTO_MAX_MS,
      Math.ceil(((this.srtt8 >> 3) + Math.max(RTO_MIN_MS * 1000, this.rttvar4)) / 1000),
    );
    this.backoff = 0;
  }

  /** RFC 6298 (5.7): the SYN was retransmitted and nothing measured. */
  fallBack(): void {
    if (this.srtt8 === 0) this.baseMs = RTO_FALLBACK_MS;
    this.backoff = 0;
  }
}

/** How long `retries` timeouts take that start at RTO_MIN_MS and double up to RTO_MAX_MS (Linux's tcp_model_timeout). */
export function retriesMs(retries: number): number {
  const doublings = Math.floor(Math.log2(RTO_MAX_MS / RTO_MIN_MS));
  if (retries <= doublings) return (2 ** (retries + 1) - 1) * RTO_MIN_MS;
  return (2 ** (doublings + 1) - 1) * RTO_MIN_MS + (retries - doublings) * RTO_MAX_MS;
}
