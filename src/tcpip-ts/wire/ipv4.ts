// IPv4 header (RFC 791). `o` is the offset of the header.
//   0 version,ihl  1 tos  2 length  4 id  6 flags,offset  8 ttl  9 proto  10 checksum  12 source  16 destination
import { get16, get32, put16, put32 } from './bytes.ts';
import { checksum, isHeaderSumRight, update16 } from './checksum.ts';

export const IPV4_HLEN = 20;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_SCTP = 132;
export const IP_DF = 0x4000;
export const IP_MF = 0x2000;
export const IP_OFFSET_MASK = 0x1fff;
export const DEFAULT_TTL = 64;
/** The two low bits of the TOS byte (RFC 3168, 5): not capable, capable (two codes), congestion experienced. */
export const ECN_MASK = 3;
export const ECN_ECT0 = 2;
export const ECN_CE = 3;

/** Header length in bytes, options included. */
export function ipHlen(b: Uint8Array, o: number): number {
  return (b[o]! & 15) << 2;
}

export function ipTos(b: Uint8Array, o: number): number {
  return b[o + 1]!;
}

/** Total length: header and payload. */
export function ipTotalLen(b: Uint8Array, o: number): number {
  return get16(b, o + 2);
}

export function ipId(b: Uint8Array, o: number): number {
  return get16(b, o + 4);
}

/** The flags and offset word. */
export function ipFrag(b: Uint8Array, o: number): number {
  return get16(b, o + 6);
}

/** Whether the packet is a fragment, first or not. */
export function isFragment(b: Uint8Array, o: number): boolean {
  return (get16(b, o + 6) & (IP_MF | IP_OFFSET_MASK)) !== 0;
}

export function ipTtl(b: Uint8Array, o: number): number {
  return b[o + 8]!;
}

export function ipProto(b: Uint8Array, o: number): number {
  return b[o + 9]!;
}

export function ipSaddr(b: Uint8Array, o: number): number {
  return get32(b, o + 12);
}

export function ipDaddr(b: Uint8Array, o: number): number {
  return get32(b, o + 16);
}

/** Whether b[o, end) starts with a sound IPv4 header: version, lengths that fit. Does not sum. */
export function isIPv4(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < IPV4_HLEN || b[o]! >>> 4 !== 4) return false;
  const hlen = (b[o]! & 15) << 2;
  const total = get16(b, o + 2);
  return hlen >= IPV4_HLEN && total >= hlen && end - o >= total;
}

export function ipChecksumOk(b: Uint8Array, o: number): boolean {
  const hlen = (b[o]! & 15) << 2;
  return hlen === IPV4_HLEN ? isHeaderSumRight(b, o) : checksum(b, o, o + hlen) === 0;
}

/** Writes a 20-byte header with its checksum. `frag` is the flags and offset word, `total` the whole packet's length. */
export function emitIPv4(
  b: Uint8Array,
  o: number,
  tos: number,
  total: number,
  id: number,
  frag: number,
  ttl: number,
  proto: number,
  saddr: number,
  daddr: number,
): void {
  b[o] = 0x45;
  b[o + 1] = tos;
  put16(b, o + 2, total);
  put16(b, o + 4, id);
  put16(b, o + 6, frag);
  b[o + 8] = ttl;
  b[o + 9] = proto;
  put16(b, o + 10, 0);
  put32(b, o + 12, saddr);
  put32(b, o + 16, daddr);
  put16(b, o + 10, checksum(b, o, o + IPV4_HLEN));
}

/** Sums the header again after a change. */
export function fillIpChecksum(b: Uint8Array, o: number): void {
  put16(b, o + 10, 0);
  put16(b, o + 10, checksum(b, o, o + ((b[o]! & 15) << 2)));
}

/** Takes one from the TTL and keeps the checksum right (RFC 1141). */
export function decrementTtl(b: Uint8Array, o: number): void {
  const was = get16(b, o + 8);
  b[o + 8]!--;
  update16(b, o + 10, was, get16(b, o + 8));
}
