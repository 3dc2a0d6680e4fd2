// The way in of IPv4, after Linux's ip_input.c: receive (is it sound, is it for us) -> reassemble -> deliver. RFC 1122 3.2.
// Every packet ends in a transport or in a counter.
import { NETSTAT, SNMP } from '../counters.ts';
import type { Skb } from '../skb.ts';
import { ICMP_DEST_UNREACH, ICMP_PARAMETERPROB, ICMP_PROT_UNREACH } from '../wire/icmpv4.ts';
import {
  ECN_MASK,
  IPPROTO_UDP,
  IPV4_HLEN,
  ipChecksumOk,
  ipDaddr,
  ipHlen,
  ipProto,
  ipSaddr,
  ipTos,
  ipTotalLen,
  isFragment,
  isIPv4,
} from '../wire/ipv4.ts';
import type { IpContext } from './context.ts';
import type { Interface } from './interface.ts';
import { areOptionsSkippable } from './options.ts';
import { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from './route.ts';

/** A packet at skb.nh from a link; owns `skb`. `group`: its frame went to more than one station. */
export function ipReceive(ip: IpContext, iface: Interface, skb: Skb, group: boolean): void {
  const { v } = ip.counters;
  const b = skb.bytes;
  const nh = skb.nh;
  v[SNMP.IpInReceives]!++;
  if (!isIPv4(b, nh, skb.tail)) {
    const isTruncated = skb.len >= IPV4_HLEN && b[nh]! >>> 4 === 4 && ipTotalLen(b, nh) > skb.len;
    v[isTruncated ? NETSTAT.IpExtInTruncatedPkts : SNMP.IpInHdrErrors]!++;
    skb.free();
    return;
  }
  if (!ipChecksumOk(b, nh)) {
    v[NETSTAT.IpExtInCsumErrors]!++;
    v[SNMP.IpInHdrErrors]!++;
    skb.free();
    return;
  }
  skb.tail = nh + ipTotalLen(b, nh);
  v[NETSTAT.IpExtInOctets]! += skb.tail - nh;
  v[NETSTAT.IpExtInNoECTPkts + (ipTos(b, nh) & ECN_MASK)]!++;
  const hlen = ipHlen(b, nh);
  skb.th = nh + hlen;
  const type = addressType(ip, iface, ipDaddr(b, nh));
  skb.cb0 = type;
  if (type === RTN_MULTICAST) v[NETSTAT.IpExtInMcastPkts]!++;
  if (type === RTN_BROADCAST) v[NETSTAT.IpExtInBcastPkts]!++;
  // RFC 1122 3.2.1.3: a unicast packet in a group frame is a trick or a mistake. No group has members here.
  if (
    type === 0 ||
    type === RTN_MULTICAST ||
    (group && type === RTN_LOCAL) ||
    isMartian(ip, iface, ipSaddr(b, nh), type)
  ) {
    if (type !== RTN_MULTICAST) v[SNMP.IpInAddrErrors]!++;
    skb.free();
    return;
  }
  if (hlen > IPV4_HLEN && !areOptionsSkippable(b, nh + IPV4_HLEN, skb.th)) {
    v[SNMP.IpInHdrErrors]!++;
    ip.sendIcmpError(skb, ICMP_PARAMETERPROB, 0, IPV4_HLEN << 24);
    skb.free();
    return;
  }
  if (!isFragment(b, nh)) {
    ipDeliver(ip, skb);
    return;
  }
  const whole = ip.reassembly.push(skb);
  if (whole) {
    whole.cb0 = type;
    ipDeliver(ip, whole);
  }
}

/** Hands a whole packet (th and cb0 set) to its transport; owns `skb`. */
export function ipDeliver(ip: IpContext, skb: Skb): void {
  const { v } = ip.counters;
  const proto = ipProto(skb.bytes, skb.nh);
  const transport = ip.transports[proto]!;
  if (transport === null) {
    v[SNMP.IpInUnknownProtos]!++;
    ip.sendIcmpError(skb, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0);
    skb.free();
    return;
  }
  if (skb.cb0 === RTN_BROADCAST && proto !== IPPROTO_UDP) {
    v[SNMP.IpInDiscards]!++; // RFC 1122 3.2.2.6 for echo, 4.2.3.10 for TCP
    skb.free();
    return;
  }
  v[SNMP.IpInDelivers]!++;
  transport.input(skb);
}

/** RTN_* of a destination that concerns us, 0 otherwise. Any of our addresses will do on any interface (weak host model). */
function addressType(ip: IpContext, iface: Interface, daddr: number): number {
  if (daddr === iface.addr) return RTN_LOCAL;
  if (daddr >>> 28 === 14) return RTN_MULTICAST;
  if (ip.routes.isBroadcast(daddr)) return RTN_BROADCAST;
  if (iface.anyAddress) return RTN_LOCAL;
  return daddr >>> 24 !== 127 && ip.routes.isLocal(daddr) ? RTN_LOCAL : 0;
}

/** Sources that no packet from a link may have. */
function isMartian(ip: IpContext, iface: Interface, saddr: number, type: number): boolean {
  if (saddr >>> 28 >= 14) return true;
  if (saddr === 0) return type !== RTN_BROADCAST; // a host that asks for its address
  if (iface.anyAddress) return false;
  return saddr >>> 24 === 127 || saddr === iface.addr || ip.routes.isLocal(saddr) || ip.routes.isBroadcast(saddr);
}
