// The identification of packets: a hashed counter per pair of addresses from random starts (RFC 7739 5.3; Linux's ip_idents), so that
// one peer's traffic does not show in another's.
import type { Rng } from '../../lib/rng.ts';

const IDENT_BUCKETS = 256;

export class IpIdents {
  readonly #counters = new Uint16Array(IDENT_BUCKETS);
  readonly #secret: number;

  constructor(rng: Rng) {
    for (let i = 0; i < IDENT_BUCKETS; i++) this.#counters[i] = rng.u32();
    this.#secret = rng.u32() | 0;
  }

  next(saddr: number, daddr: number): number {
    const h = Math.imul(saddr ^ this.#secret, 0x9e3779b1) ^ Math.imul(daddr ^ this.#secret, 0x85ebca6b);
    return this.#counters[(h ^ (h >>> 15)) & (IDENT_BUCKETS - 1)]!++;
  }
}
