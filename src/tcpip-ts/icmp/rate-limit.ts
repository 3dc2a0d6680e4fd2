// How many ICMP errors may be sent, after Linux's icmp_msgs_per_sec (1000, burst 50, for all) and icmp_ratelimit (one a second,
// burst 6, for each peer). Peers share 64 buckets by address; a new peer takes its bucket over, so memory is fixed and a flood
// from many addresses meets the limit for all. Units: microseconds, messages.
import type { Clock } from '../../lib/clock.ts';

const GLOBAL_PER_SECOND = 1000;
const GLOBAL_BURST = 50;
const PEER_PER_SECOND = 1;
const PEER_BURST = 6;
const PEERS = 64;

export class IcmpRateLimit {
  readonly #clock: Clock;
  #tokens = GLOBAL_BURST;
  #stampUs = 0;
  readonly #peer = new Uint32Array(PEERS);
  readonly #peerTokens = new Float64Array(PEERS).fill(PEER_BURST);
  readonly #peerStampUs = new Float64Array(PEERS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** 'ok' takes one message from both allowances; else names the one that is used up. */
  take(peer: number): 'ok' | 'global' | 'host' {
    const now = this.#clock.nowUs();
    this.#tokens = refill(this.#tokens, now - this.#stampUs, GLOBAL_PER_SECOND, GLOBAL_BURST);
    this.#stampUs = now;
    if (this.#tokens < 1) return 'global';
    const i = (peer ^ (peer >>> 8) ^ (peer >>> 16)) & (PEERS - 1);
    const same = this.#peer[i] === peer;
    const had = same ? this.#peerTokens[i]! : PEER_BURST;
    const tokens = refill(had, now - this.#peerStampUs[i]!, PEER_PER_SECOND, PEER_BURST);
    this.#peer[i] = peer;
    this.#peerStampUs[i] = now;
    this.#peerTokens[i] = tokens < 1 ? tokens : tokens - 1;
    if (tokens < 1) return 'host';
    this.#tokens--;
    return 'ok';
  }
}

function refill(tokens: number, elapsedUs: number, perSecond: number, burst: number): number {
  return Math.min(burst, tokens + (elapsedUs * perSecond) / 1e6);
}
