// The seam between the network layer and the transports above it. UDP, TCP and ICMP are Transports; the IP layer is their
// IpOutput. Addresses are host-order numbers.
import type { Skb } from '../skb.ts';

export interface Transport {
  /**
   * A complete (reassembled) packet to one of this host's addresses; owns `skb`. The IPv4 header at `nh` is sound, `th` and
   * `tail` bound header and payload (padding cut off). The transport verifies its own checksum unless
   * skb.checksum is CHECKSUM_UNNECESSARY or CHECKSUM_PARTIAL (then the packet never left this machine).
   */
  input(skb: Skb): void;
  /**
   * An ICMP error about a packet that this host sent. `b` holds the quoted packet: its IP header at `nh`, its transport
   * header at `th`, at least 8 bytes of it before `end`. `mtu` is the next-hop MTU of ICMP_FRAG_NEEDED, else 0. `reporter` sent
   * the error; it is our own address when a neighbour could not be resolved. Borrows `b`.
   */
  error(
    b: Uint8Array,
    nh: number,
    th: number,
    end: number,
    type: number,
    code: number,
    mtu: number,
    reporter: number,
  ): void;
}

/** Where a packet to some address would leave, and as whom. */
export interface RouteInfo {
  readonly saddr: number;
  /** Of the interface, or the path where a smaller one was learnt (RFC 1191). */
  readonly mtu: number;
  /** LINK_F_* of the link. */
  readonly features: number;
}

export interface IpOutput {
  /** Undefined: no route (ENETUNREACH). */
  route(daddr: number): RouteInfo | undefined;
  /** Whether `addr` is one of this host's own. */
  isLocal(addr: number): boolean;
  /**
   * An empty skb with room for link and IP headers before `th`: the caller writes the transport header at `th`, payload after it,
   * sets `tail`. Null when the pool is exhausted.
   */
  alloc(): Skb | null;
  /**
   * Sends; owns `skb`. Writes the IP header before `th`, routes, resolves the neighbour (queueing meanwhile), fragments when
   * needed and allowed by `df`. Returns 0, or a negative errno (-ENETUNREACH, -EMSGSIZE, -ENOBUFS).
   */
  send(skb: Skb, saddr: number, daddr: number, proto: number, ttl: number, tos: number, df: boolean): number;
  /** ICMP destination unreachable (or other error) about the packet in `skb`, rate limited; borrows `skb`. */
  sendIcmpError(skb: Skb, type: number, code: number, info: number): void;
}
