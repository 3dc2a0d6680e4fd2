// Sums over packets, by words of the arena they lie in; and finishing in software what a packet with CHECKSUM_PARTIAL leaves to the
// hardware, after Linux's skb_checksum_help().
import { CHECKSUM_NONE, type Skb } from './skb.ts';
import { put16 } from './wire/bytes.ts';
import { finish, sumWords } from './wire/checksum.ts';

/** Unfolded one's-complement sum of bytes [from, to) of the slot, added to `sum`. */
export function sumSkb(skb: Skb, from: number, to: number, sum: number): number {
  const { pool, base } = skb;
  return sumWords(pool.words, pool.bytes, base + from, base + to, sum);
}

/** Fills in a partial transport checksum (the field holds the pseudo-header's sum already). Not for super-segments. */
export function completeChecksum(skb: Skb): void {
  // A sum of zero is written as its other form, since to UDP a zero means none.
  put16(skb.bytes, skb.csumField, finish(sumSkb(skb, skb.csumStart, skb.tail, 0)) || 0xffff);
  skb.checksum = CHECKSUM_NONE;
}
