// ICMP errors about packets that IPVS has rewritten, after ip_vs_in_icmp(), ip_vs_out_icmp() and ip_vs_nat_icmp() of
// ip_vs_core.c, Linux 6.1. Both the outer address and the quoted packet are translated:
//
//   from the real server's side  quotes client -> real server   becomes   service -> client, quoting client -> service
//   from the client's side       quotes service -> client       becomes   client -> real server, quoting real server -> client
//
// So an error from a router behind the real server seems to come from the service's address, as in Linux.
// Left out: scheduling by ICMP (sysctl schedule_icmp), errors for tunnels.
import { CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, type Skb } from '../../tcpip-ts/skb.ts';
import { get16, get32 } from '../../tcpip-ts/wire/bytes.ts';
import { checksum } from '../../tcpip-ts/wire/checksum.ts';
import { ICMP_DEST_UNREACH, ICMP_HLEN, ICMP_TIME_EXCEEDED, icmpType } from '../../tcpip-ts/wire/icmpv4.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, ipHlen, ipProto, ipTotalLen } from '../../tcpip-ts/wire/ipv4.ts';
import { DropReason } from '../core/drop-reason.ts';
import { type HookNumber, NF_ACCEPT, NF_STOLEN, type Verdict } from '../netfilter/hooks.ts';
import {
  finishQuoted,
  hasQuoted,
  quotedOffset,
  setDaddr,
  setQuotedDestination,
  setQuotedSource,
  setSaddr,
} from '../netfilter/nat/mangle.ts';
import { countIn, countOut } from './accounting.ts';
import { type ConnId, NO_CONN } from './conn.ts';
import type { IpvsContext } from './context.ts';
import { prepareRoute, sendOrContinue, traceReply, updateConntrackReply } from './xmit.ts';

const ICMP_SOURCE_QUENCH = 4;

/** Whether `skb`, an ICMP packet, is an error of a kind that IPVS looks into. */
export function isTranslatedError(skb: Skb): boolean {
  if (skb.th + ICMP_HLEN > skb.tail) return false;
  const type = icmpType(skb.bytes, skb.th);
  return type === ICMP_DEST_UNREACH || type === ICMP_SOURCE_QUENCH || type === ICMP_TIME_EXCEEDED;
}

/** An error from the client's side, about a reply it was sent. */
export function icmpIn(ipvs: IpvsContext, skb: Skb, hook: HookNumber): Verdict {
  if (!hasQuoted(skb)) return NF_ACCEPT;
  const { conns } = ipvs;
  const b = skb.bytes;
  const q = quotedOffset(skb);
  const proto = ipProto(b, q);
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return NF_ACCEPT;
  const th = q + ipHlen(b, q);
  // The quoted packet went the other way: its source is the service, its destination the client.
  const id = conns.findIn(proto, get32(b, q + 16) | 0, get16(b, th + 2), get32(b, q + 12) | 0, get16(b, th));
  if (id === NO_CONN) return NF_ACCEPT;
  if (!isIntact(skb)) return drop(ipvs, skb);
  countIn(ipvs.destTable, conns.dest[id]!, ipTotalLen(b, skb.nh));
  const route = prepareRoute(ipvs, skb, conns.daddr[id]!, hook);
  if (route === 2) return NF_STOLEN;
  setDaddr(skb, conns.daddr[id]!);
  setQuotedSource(skb, conns.daddr[id]!, conns.dport[id]!);
  finishQuoted(skb);
  return sendOrContinue(ipvs, skb, id, hook, route === 1);
}

/** An error from the real server's side, about a request it was sent. */
export function icmpOut(ipvs: IpvsContext, skb: Skb, hook: HookNumber): Verdict {
  if (!hasQuoted(skb)) return NF_ACCEPT;
  const { conns } = ipvs;
  const b = skb.bytes;
  const q = quotedOffset(skb);
  const proto = ipProto(b, q);
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return NF_ACCEPT;
  const th = q + ipHlen(b, q);
  const id: ConnId = conns.findOut(proto, get32(b, q + 16) | 0, get16(b, th + 2), get32(b, q + 12) | 0, get16(b, th));
  if (id === NO_CONN) return NF_ACCEPT;
  if (!isIntact(skb)) return drop(ipvs, skb);
  setSaddr(skb, conns.vaddr[id]!);
  setQuotedDestination(skb, conns.vaddr[id]!, conns.vport[id]!);
  finishQuoted(skb);
  countOut(ipvs.destTable, conns.dest[id]!, ipTotalLen(b, skb.nh));
  skb.ipvs = true;
  updateConntrackReply(ipvs, skb, id);
  if (ipvs.net.trace.sink !== null) traceReply(ipvs, skb, id, hook);
  return NF_ACCEPT;
}

/** Hook function of FORWARD: errors from the client's side that are not addressed to this host. */
export function forwardIcmp(ipvs: IpvsContext, skb: Skb, hook: HookNumber): Verdict {
  if (skb.ipvs || !ipvs.enabled || ipProto(skb.bytes, skb.nh) !== IPPROTO_ICMP) return NF_ACCEPT;
  return isTranslatedError(skb) ? icmpIn(ipvs, skb, hook) : NF_ACCEPT;
}

/** The error's own checksum is made anew afterwards, so damage must be seen before. */
function isIntact(skb: Skb): boolean {
  if (skb.checksum === CHECKSUM_UNNECESSARY || skb.checksum === CHECKSUM_PARTIAL) return true;
  return checksum(skb.bytes, skb.th, skb.tail) === 0;
}

function drop(ipvs: IpvsContext, skb: Skb): Verdict {
  ipvs.net.drops.drop(skb, DropReason.ICMP_CSUM);
  return NF_STOLEN;
}
