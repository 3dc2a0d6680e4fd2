// UDP header (RFC 768). `o` is the offset of the header.
//   0 source port  2 destination port  4 length  6 checksum
import { get16, put16 } from './bytes.ts';
import { finish, pseudoSum, sumBytes } from './checksum.ts';
import { IPPROTO_UDP } from './ipv4.ts';

export const UDP_HLEN = 8;
export const UDP_CHECKSUM = 6;

export function udpSport(b: Uint8Array, o: number): number {
  return get16(b, o);
}

export function udpDport(b: Uint8Array, o: number): number {
  return get16(b, o + 2);
}

/** Header and payload. */
export function udpLen(b: Uint8Array, o: number): number {
  return get16(b, o + 4);
}

export function udpChecksum(b: Uint8Array, o: number): number {
  return get16(b, o + 6);
}

/** Writes the header of `length` bytes (payload in place after it) and its checksum; a sum of 0 is sent as 0xffff. */
export function emitUdp(
  b: Uint8Array,
  o: number,
  sport: number,
  dport: number,
  length: number,
  saddr: number,
  daddr: number,
): void {
  put16(b, o, sport);
  put16(b, o + 2, dport);
  put16(b, o + 4, length);
  put16(b, o + 6, 0);
  const sum = finish(sumBytes(b, o, o + length, pseudoSum(saddr, daddr, IPPROTO_UDP, length)));
  put16(b, o + 6, sum === 0 ? 0xffff : sum);
}
