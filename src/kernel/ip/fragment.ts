// Cutting a packet that is larger than the device's MTU, after ip_do_fragment() of net/ipv4/ip_output.c (v6.6): RFC 791 3.2.
// Options stand in the first fragment; later ones carry those with the copied flag only.
// Deviation: fragments that were reassembled for conntrack are cut anew to the MTU; Linux remembers the largest fragment that
// came (frag_max_size) and cuts to that.
import { copyBetween } from '../../tcpip-ts/copy.ts';
import { CHECKSUM_PARTIAL, type Skb } from '../../tcpip-ts/skb.ts';
import { completeChecksum } from '../../tcpip-ts/skb-checksum.ts';
import { get16, put16 } from '../../tcpip-ts/wire/bytes.ts';
import { fillIpChecksum, IP_MF, IP_OFFSET_MASK, IPV4_HLEN, ipHlen } from '../../tcpip-ts/wire/ipv4.ts';
import type { SegmentSink } from '../core/gso.ts';

/** Hands fragments of at most `mtu` bytes to `sink` in order; borrows `skb`. False when the pool ran out: the rest is lost. */
export function fragment(skb: Skb, mtu: number, sink: SegmentSink): boolean {
  if (skb.checksum === CHECKSUM_PARTIAL) completeChecksum(skb);
  const b = skb.bytes;
  const { nh } = skb;
  const hlen = ipHlen(b, nh);
  const word = get16(b, nh + 6);
  const base = word & IP_OFFSET_MASK;
  const moreAfter = word & IP_MF;
  const length = skb.tail - nh - hlen;
  const laterHlen = copiedHeaderLen(b, nh, hlen);
  for (let at = 0; at < length; ) {
    const piece = skb.pool.alloc();
    if (piece === null) return false;
    const h = at === 0 ? hlen : laterHlen;
    const size = Math.min((mtu - h) & ~7, length - at);
    const p = piece.bytes;
    if (at === 0) copyBetween(piece, piece.nh, skb, nh, hlen);
    else copyLaterHeader(piece, skb, hlen, laterHlen);
    copyBetween(piece, piece.nh + h, skb, nh + hlen + at, size);
    piece.th = piece.nh + h;
    piece.tail = piece.th + size;
    piece.iif = skb.iif;
    piece.oif = skb.oif;
    piece.nexthop = skb.nexthop;
    piece.mark = skb.mark;
    const isLast = at + size === length;
    put16(p, piece.nh + 2, h + size);
    put16(p, piece.nh + 6, (isLast ? moreAfter : IP_MF) | (base + (at >> 3)));
    fillIpChecksum(p, piece.nh);
    at += size;
    sink.segment(piece);
  }
  return true;
}

/** Header of the later fragments: 20 bytes and the copied options, padded. */
function copiedHeaderLen(b: Uint8Array, nh: number, hlen: number): number {
  let length = IPV4_HLEN;
  for (let o = nh + IPV4_HLEN; o < nh + hlen && b[o] !== 0; ) {
    const size = b[o] === 1 ? 1 : Math.max(2, b[o + 1]!);
    if ((b[o]! & 0x80) !== 0) length += size;
    o += size;
  }
  return (length + 3) & ~3;
}

function copyLaterHeader(piece: Skb, skb: Skb, hlen: number, laterHlen: number): void {
  const b = skb.bytes;
  const { nh } = skb;
  const p = piece.bytes;
  const to = piece.nh;
  copyBetween(piece, to, skb, nh, IPV4_HLEN);
  let at = to + IPV4_HLEN;
  for (let o = nh + IPV4_HLEN; o < nh + hlen && b[o] !== 0; ) {
    const size = b[o] === 1 ? 1 : Math.max(2, b[o + 1]!);
    if ((b[o]! & 0x80) !== 0) {
      copyBetween(piece, at, skb, o, size);
      at += size;
    }
    o += size;
  }
  for (; at < to + laterHlen; at++) p[at] = 0;
  p[to] = 0x40 | (laterHlen >> 2);
}
