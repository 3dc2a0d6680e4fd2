// ARP for IPv4 over Ethernet (RFC 826). `o` is the offset of the ARP packet.
//   0 htype  2 ptype  4 hlen  5 plen  6 op  8 sha (6)  14 spa (4)  18 tha (6)  24 tpa (4)
import type { Mac } from './address.ts';
import { get16, get32, put16, put32 } from './bytes.ts';
import { ETH_P_IP, putMac } from './ethernet.ts';

export const ARP_LEN = 28;
export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;
const ARPHRD_ETHER = 1;

/** Whether b[o, end) is an Ethernet/IPv4 request or reply; the accessors below are meaningful only then. */
export function isArp(b: Uint8Array, o: number, end: number): boolean {
  return (
    end - o >= ARP_LEN &&
    get16(b, o) === ARPHRD_ETHER &&
    get16(b, o + 2) === ETH_P_IP &&
    b[o + 4] === 6 &&
    b[o + 5] === 4 &&
    (get16(b, o + 6) === ARPOP_REQUEST || get16(b, o + 6) === ARPOP_REPLY)
  );
}

export function arpOp(b: Uint8Array, o: number): number {
  return get16(b, o + 6);
}

export function arpSha(b: Uint8Array, o: number): Mac {
  return get16(b, o + 8) * 0x1_0000_0000 + get32(b, o + 10);
}

export function arpSpa(b: Uint8Array, o: number): number {
  return get32(b, o + 14);
}

export function arpTha(b: Uint8Array, o: number): Mac {
  return get16(b, o + 18) * 0x1_0000_0000 + get32(b, o + 20);
}

export function arpTpa(b: Uint8Array, o: number): number {
  return get32(b, o + 24);
}

/** Writes the 28 bytes at `o`. */
export function emitArp(b: Uint8Array, o: number, op: number, sha: Mac, spa: number, tha: Mac, tpa: number): void {
  put16(b, o, ARPHRD_ETHER);
  put16(b, o + 2, ETH_P_IP);
  b[o + 4] = 6;
  b[o + 5] = 4;
  put16(b, o + 6, op);
  putMac(b, o + 8, sha);
  put32(b, o + 14, spa);
  putMac(b, o + 18, tha);
  put32(b, o + 24, tpa);
}
