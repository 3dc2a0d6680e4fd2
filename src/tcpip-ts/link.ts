// The one interface between whoever has packets and whoever wants them. A TAP, one end of an in-memory wire, an
// impairment around either: all are Links. The stack's interfaces and the emulated kernel's devices are LinkReceivers.
import type { Skb } from './skb.ts';

/** What a link may be handed, and may hand over, beyond complete frames of at most MTU bytes. */
export const LINK_F_CSUM = 1; // transport checksum partial: pseudo-header sum in place (virtio F_CSUM)
export const LINK_F_TSO4 = 2; // TCP/IPv4 segments up to 64 KiB with gsoSize set
export const LINK_F_USO4 = 4; // UDP/IPv4 likewise

export interface LinkReceiver {
  /** Takes ownership of `skb`: from `mh` an Ethernet frame, or from `nh` an IP packet on an 'ip' link. */
  receive(skb: Skb): void;
}

export interface Link {
  /** 'ether' carries Ethernet frames; 'ip' carries bare IP packets (as TUN does): no ARP. */
  readonly kind: 'ether' | 'ip';
  /** Largest IP packet, bytes (segments of an offloaded super-segment each fit it). */
  readonly mtu: number;
  /** Set of LINK_F_* bits. */
  readonly features: number;
  /** Names the one receiver of what arrives. Until then arrivals are dropped. */
  attach(receiver: LinkReceiver): void;
  /** Takes ownership of `skb`. Never throws; a full queue or closed link frees it and counts. */
  transmit(skb: Skb): void;
  close(): void;
}
