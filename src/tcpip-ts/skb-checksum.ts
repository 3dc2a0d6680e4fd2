// Finishing in software what a packet with CHECKSUM_PARTIAL leaves to the hardware, after Linux's skb_checksum_help().
import { CHECKSUM_NONE, type Skb } from './skb.ts';
import { put16 } from './wire/bytes.ts';
import { finish, sumBytes } from './wire/checksum.ts';

/** Fills in a partial transport checksum (the field holds the pseudo-header's sum already). Not for super-segments. */
export function completeChecksum(skb: Skb): void {
  // A sum of zero is written as its other form, since to UDP a zero means none.
  put16(skb.bytes, skb.csumField, finish(sumBytes(skb.bytes, skb.csumStart, skb.tail, 0)) || 0xffff);
  skb.checksum = CHECKSUM_NONE;
}
