// Ethernet II header. `o` is the offset of the frame in `b`.
//   0 destination (6)   6 source (6)   12 type (2)
import type { Mac } from './address.ts';
import { get16, get32, put16, put32 } from './bytes.ts';

export const ETH_HLEN = 14;
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
export const MAC_BROADCAST: Mac = 0xffffffffffff;

export function ethDst(b: Uint8Array, o: number): Mac {
  return get16(b, o) * 0x1_0000_0000 + get32(b, o + 2);
}

export function ethSrc(b: Uint8Array, o: number): Mac {
  return get16(b, o + 6) * 0x1_0000_0000 + get32(b, o + 8);
}

export function ethType(b: Uint8Array, o: number): number {
  return get16(b, o + 12);
}

/** The group bit: multicast and broadcast. */
export function isGroupMac(b: Uint8Array, o: number): boolean {
  return (b[o]! & 1) !== 0;
}

export function putMac(b: Uint8Array, o: number, mac: Mac): void {
  put16(b, o, Math.floor(mac / 0x1_0000_0000));
  put32(b, o + 2, mac >>> 0);
}

/** Writes the 14 bytes at `o`. */
export function emitEthernet(b: Uint8Array, o: number, dst: Mac, src: Mac, type: number): void {
  putMac(b, o, dst);
  putMac(b, o + 6, src);
  put16(b, o + 12, type);
}
