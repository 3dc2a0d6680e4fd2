// Rewriting addresses and ports, after net/netfilter/nf_nat_proto.c (v6.6): the field, the IP header's checksum and the
// transport's, all changed incrementally (RFC 1624). Three kinds of transport checksum are kept right:
//
//   complete          the field moves by the difference; a UDP sum of 0 means "none" and stays 0, a computed 0 becomes ffff
//   CHECKSUM_PARTIAL  the field holds the pseudo-header sum: addresses move it, ports do not (they are summed later)
//   quoted            the packet inside an ICMP error, cut anywhere after 8 bytes of transport: its sum is changed only if
//                     it is in there, and the error's own checksum is made anew by finishQuoted()
//
// skb.th must be valid (the IP layer has parsed the packet) and the packet whole: fragments are defragmented before NAT.
// ICMP echo has no ports: setSport and setDport set the id, as NAT does. Each returns nothing and cannot fail; a packet too
// short for its ports is left alone, conntrack has called it invalid before.
import { CHECKSUM_PARTIAL, type Skb } from '../../../tcpip-ts/skb.ts';
import { get16, get32, put16, put32, word } from '../../../tcpip-ts/wire/bytes.ts';
import { checksum, update16, update32, updatePartial32 } from '../../../tcpip-ts/wire/checksum.ts';
import { ICMP_HLEN } from '../../../tcpip-ts/wire/icmpv4.ts';
import { IP_OFFSET_MASK, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import { TCP_CHECKSUM } from '../../../tcpip-ts/wire/tcp.ts';
import { UDP_CHECKSUM } from '../../../tcpip-ts/wire/udp.ts';

const IP_CHECKSUM = 10;
const IP_SADDR = 12;
const IP_DADDR = 16;

export function setSaddr(skb: Skb, addr: number): void {
  setAddress(skb, IP_SADDR, addr);
}

export function setDaddr(skb: Skb, addr: number): void {
  setAddress(skb, IP_DADDR, addr);
}

export function setSport(skb: Skb, port: number): void {
  setPort(skb, 0, port);
}

export function setDport(skb: Skb, port: number): void {
  setPort(skb, 2, port);
}

function setAddress(skb: Skb, at: number, addr: number): void {
  const b = skb.bytes;
  const { nh } = skb;
  addr |= 0; // small integers all the way: no boxes
  const was = word(b, nh + at);
  if (was === addr) return;
  put32(b, nh + at, addr);
  update32(b, nh + IP_CHECKSUM, was, addr);
  const field = checksumField(skb);
  if (field === 0) return;
  if (skb.checksum === CHECKSUM_PARTIAL) {
    updatePartial32(b, field, was, addr);
    return;
  }
  if (b[nh + 9] === IPPROTO_UDP) {
    if (get16(b, field) === 0) return;
    update32(b, field, was, addr);
    if (get16(b, field) === 0) put16(b, field, 0xffff);
    return;
  }
  update32(b, field, was, addr);
}

function setPort(skb: Skb, at: number, port: number): void {
  const b = skb.bytes;
  const proto = b[skb.nh + 9]!;
  if (proto === IPPROTO_ICMP) {
    setIcmpId(skb, port);
    return;
  }
  if ((proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) || skb.th + 4 > skb.tail) return;
  const was = get16(b, skb.th + at);
  if (was === port) return;
  put16(b, skb.th + at, port);
  const field = checksumField(skb);
  if (field === 0 || skb.checksum === CHECKSUM_PARTIAL) return;
  if (proto === IPPROTO_UDP) {
    if (get16(b, field) === 0) return;
    update16(b, field, was, port);
    if (get16(b, field) === 0) put16(b, field, 0xffff);
    return;
  }
  update16(b, field, was, port);
}

/** Sets the id of an ICMP query; its checksum has no pseudo-header, so addresses do not touch it. */
function setIcmpId(skb: Skb, id: number): void {
  const b = skb.bytes;
  const { th } = skb;
  if (th + ICMP_HLEN > skb.tail) return;
  const was = get16(b, th + 4);
  if (was === id) return;
  put16(b, th + 4, id);
  if (skb.checksum !== CHECKSUM_PARTIAL) update16(b, th + 2, was, id);
}

/** Where the checksum that covers the pseudo-header stands, 0 if the packet has none (a later fragment, ICMP, too short). */
function checksumField(skb: Skb): number {
  const b = skb.bytes;
  if (skb.checksum === CHECKSUM_PARTIAL) return b[skb.nh + 9] === IPPROTO_ICMP ? 0 : skb.csumField;
  if ((get16(b, skb.nh + 6) & IP_OFFSET_MASK) !== 0) return 0;
  const proto = b[skb.nh + 9]!;
  const field = proto === IPPROTO_TCP ? skb.th + TCP_CHECKSUM : proto === IPPROTO_UDP ? skb.th + UDP_CHECKSUM : 0;
  return field + 2 > skb.tail ? 0 : field;
}

// The packet quoted in an ICMP error. skb.th is the error's ICMP header.

/** Offset of the quoted IP header. */
export function quotedOffset(skb: Skb): number {
  return skb.th + ICMP_HLEN;
}

/** Whether the error quotes a sound IPv4 header and at least 8 bytes of transport; the functions below need it. */
export function hasQuoted(skb: Skb): boolean {
  const b = skb.bytes;
  const q = skb.th + ICMP_HLEN;
  if (q + 20 > skb.tail || b[q]! >>> 4 !== 4) return false;
  const hlen = (b[q]! & 15) << 2;
  return hlen >= 20 && q + hlen + 8 <= skb.tail && (get16(b, q + 6) & IP_OFFSET_MASK) === 0;
}

/** Rewrites the quoted packet's source; `port` is the id when it is an ICMP query. Call finishQuoted() after the last one. */
export function setQuotedSource(skb: Skb, addr: number, port: number): void {
  setQuoted(skb, IP_SADDR, 0, addr, port);
}

export function setQuotedDestination(skb: Skb, addr: number, port: number): void {
  setQuoted(skb, IP_DADDR, 2, addr, port);
}

/** Makes the ICMP error's own checksum anew. */
export function finishQuoted(skb: Skb): void {
  put16(skb.bytes, skb.th + 2, 0);
  put16(skb.bytes, skb.th + 2, checksum(skb.bytes, skb.th, skb.tail));
}

function setQuoted(skb: Skb, at: number, portAt: number, addr: number, port: number): void {
  const b = skb.bytes;
  const q = skb.th + ICMP_HLEN;
  const th = q + ((b[q]! & 15) << 2);
  const proto = b[q + 9]!;
  const was = get32(b, q + at);
  put32(b, q + at, addr);
  update32(b, q + IP_CHECKSUM, was, addr);
  if (proto === IPPROTO_ICMP) {
    const wasId = get16(b, th + 4);
    put16(b, th + 4, port);
    update16(b, th + 2, wasId, port);
    return;
  }
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return;
  const wasPort = get16(b, th + portAt);
  put16(b, th + portAt, port);
  const field = proto === IPPROTO_TCP ? th + TCP_CHECKSUM : th + UDP_CHECKSUM;
  if (field + 2 > skb.tail) return;
  if (proto === IPPROTO_UDP && get16(b, field) === 0) return;
  update32(b, field, was, addr);
  update16(b, field, wasPort, port);
  if (proto === IPPROTO_UDP && get16(b, field) === 0) put16(b, field, 0xffff);
}
