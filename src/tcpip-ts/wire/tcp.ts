// TCP header (RFC 9293, section 3.1). `o` is the offset of the header.
//   0 source port  2 destination port  4 sequence  8 acknowledgment  12 data offset, flags  14 window  16 checksum  18 urgent
import { get16, get32 } from './bytes.ts';

export const TCP_HLEN = 20;
export const TCP_CHECKSUM = 16;
export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;

export function tcpSport(b: Uint8Array, o: number): number {
  return get16(b, o);
}

export function tcpDport(b: Uint8Array, o: number): number {
  return get16(b, o + 2);
}

export function tcpSeq(b: Uint8Array, o: number): number {
  return get32(b, o + 4);
}

export function tcpAck(b: Uint8Array, o: number): number {
  return get32(b, o + 8);
}

/** Header length in bytes, options included. */
export function tcpHlen(b: Uint8Array, o: number): number {
  return (b[o + 12]! >>> 4) << 2;
}

/** The low eight flag bits. */
export function tcpFlags(b: Uint8Array, o: number): number {
  return b[o + 13]!;
}

/** As sent: not scaled. */
export function tcpWindow(b: Uint8Array, o: number): number {
  return get16(b, o + 14);
}

/** Whether b[o, end) holds a sound header. Does not sum. */
export function isTcp(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < TCP_HLEN) return false;
  const hlen = (b[o + 12]! >>> 4) << 2;
  return hlen >= TCP_HLEN && end - o >= hlen;
}
