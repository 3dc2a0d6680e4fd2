// Cutting a super-segment into packets of at most gsoSize bytes of payload, for a device that cannot do it itself. After
// tcp_gso_segment() and __udp_gso_segment() (net/ipv4, v6.6): headers repeated, identification counted up, TCP sequence
// numbers moved, FIN and PSH on the last piece only, CWR on the first only, every checksum complete.
import { copyBetween } from '../../tcpip-ts/copy.ts';
import { GSO_TCPV4, type Skb } from '../../tcpip-ts/skb.ts';
import { sumSkb } from '../../tcpip-ts/skb-checksum.ts';
import { get16, get32, put16, put32 } from '../../tcpip-ts/wire/bytes.ts';
import { finish, pseudoSum } from '../../tcpip-ts/wire/checksum.ts';
import { fillIpChecksum, IPPROTO_TCP, IPPROTO_UDP, ipDaddr, ipSaddr } from '../../tcpip-ts/wire/ipv4.ts';
import { TCP_CHECKSUM, TCP_CWR, TCP_FIN, TCP_PSH, tcpHlen } from '../../tcpip-ts/wire/tcp.ts';
import { UDP_CHECKSUM, UDP_HLEN } from '../../tcpip-ts/wire/udp.ts';

export interface SegmentSink {
  /** Takes one piece; owns `skb`. */
  segment(skb: Skb): void;
}

/** Length of the IP packet that the largest piece will be (skb_gso_network_seglen). */
export function segmentLen(skb: Skb): number {
  const hlen = skb.gsoType === GSO_TCPV4 ? tcpHlen(skb.bytes, skb.th) : UDP_HLEN;
  return Math.min(skb.tail - skb.nh, skb.th - skb.nh + hlen + skb.gsoSize);
}

/** Hands the pieces to `sink` in order; borrows `skb`. False when the pool ran out: the rest is lost. */
export function segment(skb: Skb, sink: SegmentSink): boolean {
  const b = skb.bytes;
  const isTcp = skb.gsoType === GSO_TCPV4;
  const hlen = skb.th - skb.nh + (isTcp ? tcpHlen(b, skb.th) : UDP_HLEN);
  const first = skb.nh + hlen;
  const id = get16(b, skb.nh + 4);
  let n = 0;
  for (let at = first; at < skb.tail; at += skb.gsoSize, n++) {
    const piece = skb.pool.alloc();
    if (piece === null) return false;
    const size = Math.min(skb.gsoSize, skb.tail - at);
    const p = piece.bytes;
    piece.nh = skb.nh;
    piece.th = skb.th;
    piece.mh = skb.mh;
    piece.tail = piece.nh + hlen + size;
    copyBetween(piece, piece.nh, skb, skb.nh, hlen);
    copyBetween(piece, first, skb, at, size);
    piece.iif = skb.iif;
    piece.oif = skb.oif;
    piece.nexthop = skb.nexthop;
    piece.mark = skb.mark;
    put16(p, piece.nh + 2, hlen + size);
    put16(p, piece.nh + 4, id + n);
    fillIpChecksum(p, piece.nh);
    if (isTcp) finishTcp(piece, at - first, at + size === skb.tail);
    else finishUdp(piece, size);
    sink.segment(piece);
  }
  return true;
}

function finishTcp(piece: Skb, offset: number, isLast: boolean): void {
  const b = piece.bytes;
  const { th } = piece;
  put32(b, th + 4, get32(b, th + 4) + offset);
  if (!isLast) b[th + 13]! &= ~(TCP_FIN | TCP_PSH);
  if (offset > 0) b[th + 13]! &= ~TCP_CWR;
  put16(b, th + TCP_CHECKSUM, 0);
  put16(b, th + TCP_CHECKSUM, transportSum(piece, IPPROTO_TCP));
}

function finishUdp(piece: Skb, size: number): void {
  const b = piece.bytes;
  const { th } = piece;
  put16(b, th + 4, UDP_HLEN + size);
  put16(b, th + UDP_CHECKSUM, 0);
  put16(b, th + UDP_CHECKSUM, transportSum(piece, IPPROTO_UDP) || 0xffff);
}

function transportSum(skb: Skb, proto: number): number {
  const b = skb.bytes;
  const pseudo = pseudoSum(ipSaddr(b, skb.nh), ipDaddr(b, skb.nh), proto, skb.tail - skb.th);
  return finish(sumSkb(skb, skb.th, skb.tail, pseudo));
}
