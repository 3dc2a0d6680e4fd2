// ICMP for IPv4 (RFC 792, RFC 1191). `o` is the offset of the ICMP header.
//   0 type  1 code  2 checksum  4 rest (id, sequence; or unused, next-hop MTU)  8 data
import { get16, put16 } from './bytes.ts';
import { checksum } from './checksum.ts';

export const ICMP_HLEN = 8;
export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;

export const ICMP_NET_UNREACH = 0;
export const ICMP_HOST_UNREACH = 1;
export const ICMP_PROT_UNREACH = 2;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_EXC_TTL = 0;
export const ICMP_EXC_FRAGTIME = 1;

export function icmpType(b: Uint8Array, o: number): number {
  return b[o]!;
}

export function icmpCode(b: Uint8Array, o: number): number {
  return b[o + 1]!;
}

/** Echo identifier. */
export function icmpId(b: Uint8Array, o: number): number {
  return get16(b, o + 4);
}

/** Echo sequence number. */
export function icmpSeq(b: Uint8Array, o: number): number {
  return get16(b, o + 6);
}

/** Next-hop MTU of a fragmentation-needed error. */
export function icmpMtu(b: Uint8Array, o: number): number {
  return get16(b, o + 6);
}

/** Errors quote the packet they are about, from offset 8; they are never answered with an error. */
export function isIcmpError(type: number): boolean {
  return (
    type === ICMP_DEST_UNREACH ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETERPROB ||
    type === ICMP_REDIRECT ||
    type === 4
  );
}

/** Writes type, code and the rest word's halves; sums b[o, end), so the data must be in place. */
export function emitIcmp(
  b: Uint8Array,
  o: number,
  end: number,
  type: number,
  code: number,
  restHigh: number,
  restLow: number,
): void {
  b[o] = type;
  b[o + 1] = code;
  put16(b, o + 4, restHigh);
  put16(b, o + 6, restLow);
  put16(b, o + 2, 0);
  put16(b, o + 2, checksum(b, o, end));
}
