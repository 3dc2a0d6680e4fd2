// The way out of IPv4, after Linux's ip_output.c: route -> header -> fragment if it must be -> interface.
import { copyBetween } from '../copy.ts';
import { NETSTAT, SNMP } from '../counters.ts';
import { EMSGSIZE, ENETUNREACH, ENOBUFS } from '../errno.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../link.ts';
import { CHECKSUM_PARTIAL, GSO_NONE, GSO_TCPV4, type Skb } from '../skb.ts';
import { completeChecksum } from '../skb-checksum.ts';
import {
  emitIPv4,
  IP_DF,
  IP_MF,
  IPPROTO_TCP,
  IPV4_HLEN,
  ipDaddr,
  ipId,
  ipProto,
  ipSaddr,
  ipTos,
  ipTtl,
} from '../wire/ipv4.ts';
import { tcpHlen } from '../wire/tcp.ts';
import type { IpContext } from './context.ts';
import { type Route, RTN_BROADCAST } from './route.ts';

const MAX_PACKET = 65535;

/** As IpOutput.send. */
export function ipSend(
  ip: IpContext,
  skb: Skb,
  saddr: number,
  daddr: number,
  proto: number,
  ttl: number,
  tos: number,
  df: boolean,
): number {
  const { v } = ip.counters;
  const route = ip.routes.lookup(daddr);
  if (route === undefined || (proto === IPPROTO_TCP && (route.type === RTN_BROADCAST || daddr >>> 28 === 14))) {
    v[SNMP.IpOutNoRoutes]!++;
    skb.free();
    return -ENETUNREACH;
  }
  if (saddr === 0) saddr = route.saddr;
  skb.nh = skb.th - IPV4_HLEN;
  const total = skb.tail - skb.nh;
  const largest = skb.gsoType === GSO_NONE ? total : segmentLen(skb);
  const tooBig = largest > route.mtu;
  if (total > MAX_PACKET || (tooBig && ((df && !route.noDf) || skb.gsoType !== GSO_NONE)) || !canSegment(skb, route)) {
    v[SNMP.IpFragFails]!++;
    skb.free();
    return -EMSGSIZE;
  }
  v[SNMP.IpOutRequests]!++;
  if (route.type === RTN_BROADCAST) v[NETSTAT.IpExtOutBcastPkts]!++;
  const id = ip.idents.next(saddr, daddr);
  emitIPv4(skb.bytes, skb.nh, tos, total, id, df && !route.noDf ? IP_DF : 0, ttl, proto, saddr, daddr);
  if (skb.checksum === CHECKSUM_PARTIAL && (tooBig || (route.features & LINK_F_CSUM) === 0)) completeChecksum(skb);
  if (tooBig) return fragment(ip, skb, route);
  return transmit(ip, skb, route, daddr);
}

/** Length of each packet that the link will make of a super-segment. */
function segmentLen(skb: Skb): number {
  const hlen = skb.gsoType === GSO_TCPV4 ? tcpHlen(skb.bytes, skb.th) : 8;
  return Math.min(skb.tail - skb.nh, skb.th - skb.nh + hlen + skb.gsoSize);
}

/** Super-segments are TCP's, and only for links that take them; the sender sees that in RouteInfo.features. */
function canSegment(skb: Skb, route: Route): boolean {
  return skb.gsoType === GSO_NONE || (skb.gsoType === GSO_TCPV4 && (route.features & LINK_F_TSO4) !== 0);
}

function transmit(ip: IpContext, skb: Skb, route: Route, daddr: number): number {
  const { v } = ip.counters;
  v[NETSTAT.IpExtOutOctets]! += skb.tail - skb.nh;
  if (route.iface !== null) {
    skb.oif = route.iface.ifIndex;
    // Groups are reached without a gateway.
    skb.nexthop = route.gateway === 0 || daddr >>> 28 === 14 ? daddr : route.gateway;
    route.iface.output(skb, route.type === RTN_BROADCAST);
    return 0;
  }
  if (ip.loopback.push(skb)) return 0;
  v[SNMP.IpOutDiscards]!++;
  return -ENOBUFS;
}

/** Cuts a packet with its header complete into pieces of the route's MTU (RFC 791 3.2); owns `skb`. */
function fragment(ip: IpContext, skb: Skb, route: Route): number {
  const { v } = ip.counters;
  const b = skb.bytes;
  const nh = skb.nh;
  const daddr = ipDaddr(b, nh);
  const step = (route.mtu - IPV4_HLEN) & ~7;
  const length = skb.tail - skb.th;
  for (let at = 0; at < length; at += step) {
    const piece = ip.alloc();
    if (piece === null) {
      v[SNMP.IpFragFails]!++;
      skb.free();
      return -ENOBUFS;
    }
    const size = Math.min(step, length - at);
    const frag = (at + size < length ? IP_MF : 0) | (at >> 3);
    copyBetween(piece, piece.th, skb, skb.th + at, size);
    piece.tail = piece.th + size;
    emitIPv4(
      piece.bytes,
      piece.nh,
      ipTos(b, nh),
      IPV4_HLEN + size,
      ipId(b, nh),
      frag,
      ipTtl(b, nh),
      ipProto(b, nh),
      ipSaddr(b, nh),
      daddr,
    );
    piece.mark = skb.mark;
    v[SNMP.IpFragCreates]!++;
    transmit(ip, piece, route, daddr);
  }
  v[SNMP.IpFragOKs]!++;
  skb.free();
  return 0;
}
