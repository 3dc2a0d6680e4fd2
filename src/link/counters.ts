// What every link counts, as ip -s link would show it. A column of doubles: a plain field would be boxed once it outgrows
// 31 bits, and these are written per packet.

export const RX_PACKETS = 0;
export const RX_BYTES = 1;
/** Arrived but not handed on: no receiver, no free buffer, malformed. */
export const RX_DROPPED = 2;
export const TX_PACKETS = 3;
export const TX_BYTES = 4;
/** Taken by transmit but not sent: closed, queue full, refused by the other side. */
export const TX_DROPPED = 5;
const COUNTERS = 6;

/** Indexed by the constants above. Bytes are of whole frames (or IP packets on an 'ip' link). */
export type LinkCounters = Float64Array;

export function newLinkCounters(): LinkCounters {
  return new Float64Array(COUNTERS);
}
