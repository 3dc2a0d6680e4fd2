// Sending a request to its real server by masquerading, after ip_vs_nat_xmit() and __ip_vs_get_out_rt() of ip_vs_xmit.c,
// and keeping netfilter's connection in step, after ip_vs_nfct.c, Linux 6.1: the reply that netfilter must expect comes from
// the real server, so the connection's reply tuple is altered while it is still unconfirmed.
import { GSO_NONE, type Skb } from '../../tcpip-ts/skb.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_EXC_TTL,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_UNREACH,
  ICMP_TIME_EXCEEDED,
} from '../../tcpip-ts/wire/icmpv4.ts';
import { decrementTtl, IP_DF, IPPROTO_ICMP, ipFrag, ipProto, ipTtl } from '../../tcpip-ts/wire/ipv4.ts';
import { DropReason } from '../core/drop-reason.ts';
import type { Stage } from '../core/trace.ts';
import { NO_ROUTE, RTN_LOCAL, RTN_UNICAST } from '../ip/fib.ts';
import { ctinfoDirection, IP_CT_DIR_ORIGINAL, IP_CT_UNTRACKED } from '../netfilter/conntrack/ctinfo.ts';
import {
  type HookNumber,
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_STOLEN,
  type Verdict,
} from '../netfilter/hooks.ts';
import { setDaddr, setDport } from '../netfilter/nat/mangle.ts';
import { CONN_F_NFCT, type ConnId } from './conn.ts';
import type { IpvsContext } from './context.ts';
import { formatDest, formatService } from './save.ts';

/**
 * Sends a packet of connection `id` to its real server: NF_STOLEN, or NF_ACCEPT when that is on this host and the packet,
 * rewritten, just goes on.
 */
export function natXmit(ipvs: IpvsContext, skb: Skb, id: ConnId, hook: HookNumber): Verdict {
  const { conns } = ipvs;
  const route = prepareRoute(ipvs, skb, conns.daddr[id]!, hook);
  if (route === DROPPED) return NF_STOLEN;
  setDport(skb, conns.dport[id]!);
  setDaddr(skb, conns.daddr[id]!);
  return sendOrContinue(ipvs, skb, id, hook, route === LOCAL);
}

const LOOPBACK_IFINDEX = 1;
const REMOTE = 0;
const LOCAL = 1;
const DROPPED = 2;

/**
 * Takes the step to `daddr`: is it reachable, does the packet live and fit? When not, tells the sender and drops. The checks
 * come before any rewriting, so that the sender recognizes its packet in the error.
 */
export function prepareRoute(ipvs: IpvsContext, skb: Skb, daddr: number, hook: HookNumber): 0 | 1 | 2 {
  const { net } = ipvs;
  const b = skb.bytes;
  const route = net.fib.lookup(daddr);
  const type = route === NO_ROUTE ? 0 : net.fib.typeOf(route);
  if (type !== RTN_LOCAL && type !== RTN_UNICAST) {
    net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
    net.drops.drop(skb, DropReason.IP_OUTNOROUTES);
    return DROPPED;
  }
  const local = type === RTN_LOCAL;
  // What comes from outside may not end at a loopback address, nor leave from one (ip_vs_nat_xmit, crosses_local_route_boundary).
  const stopped = local
    ? hook === NF_INET_FORWARD || (hook === NF_INET_LOCAL_IN && skb.iif !== LOOPBACK_IFINDEX && daddr >>> 24 === 127)
    : b[skb.nh + 12] === 127;
  if (stopped) {
    net.drops.drop(skb, DropReason.IP_LOCAL_SOURCE);
    return DROPPED;
  }
  if (ipTtl(b, skb.nh) <= 1) {
    net.icmpSend(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
    net.drops.drop(skb, DropReason.IP_INHDR);
    return DROPPED;
  }
  if (!local && skb.gsoType === GSO_NONE && (ipFrag(b, skb.nh) & IP_DF) !== 0 && ipProto(b, skb.nh) !== IPPROTO_ICMP) {
    const mtu = net.devices.byIndex(net.fib.oifOf(route))?.mtu ?? 0xffff;
    if (skb.len > mtu) {
      net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
      net.drops.drop(skb, DropReason.PKT_TOO_BIG);
      return DROPPED;
    }
  }
  decrementTtl(b, skb.nh);
  return local ? LOCAL : REMOTE;
}

/** The packet is rewritten: out with it, or on with it when its real server is here. */
export function sendOrContinue(ipvs: IpvsContext, skb: Skb, id: ConnId, hook: HookNumber, local: boolean): Verdict {
  const { conns, net } = ipvs;
  skb.ipvs = true;
  if (!isTracked(ipvs, id)) untrack(skb);
  else if (isFirst(ipvs, skb)) net.conntrack.alterReply(skb.ct, conns.daddr[id]!, conns.dport[id]!);
  if (net.trace.sink !== null) traceRequest(ipvs, skb, id, hook);
  if (local) return NF_ACCEPT;
  net.localOut(skb);
  return NF_STOLEN;
}

/** The same for a reply: netfilter may first have seen this connection from the real server's side. */
export function updateConntrackReply(ipvs: IpvsContext, skb: Skb, id: ConnId): void {
  const { conns, net } = ipvs;
  if (!isTracked(ipvs, id)) untrack(skb);
  else if (isFirst(ipvs, skb)) net.conntrack.alterReplyDestination(skb.ct, conns.vaddr[id]!, conns.vport[id]!);
}

function isTracked(ipvs: IpvsContext, id: ConnId): boolean {
  return (ipvs.conns.flags[id]! & CONN_F_NFCT) !== 0;
}

/** Whether the packet makes a connection of netfilter's that is not in its table yet. */
function isFirst(ipvs: IpvsContext, skb: Skb): boolean {
  const { conntrack } = ipvs.net;
  return (
    skb.ct !== 0 &&
    !conntrack.isConfirmed(skb.ct) &&
    !conntrack.isDying(skb.ct) &&
    ctinfoDirection(skb.ctinfo) === IP_CT_DIR_ORIGINAL
  );
}

/** Without sysctl conntrack every packet leaves netfilter's sight (ip_vs_notrack). */
function untrack(skb: Skb): void {
  skb.ct = 0;
  skb.ctinfo = IP_CT_UNTRACKED;
}

function stageOf(hook: HookNumber): Stage {
  return hook === NF_INET_LOCAL_IN ? 'INPUT' : hook === NF_INET_FORWARD ? 'FORWARD' : 'OUTPUT';
}

function traceRequest(ipvs: IpvsContext, skb: Skb, id: ConnId, hook: HookNumber): void {
  const dest = ipvs.destTable.at(ipvs.conns.dest[id]!);
  const rule = { text: () => `${formatService(dest.svc)}; ${formatDest(dest)}` };
  const action = { text: () => `IPVS: to ${formatIPv4(dest.addr)}:${dest.port}` };
  ipvs.net.trace.sink!.action(skb, stageOf(hook), rule, action);
}

export function traceReply(ipvs: IpvsContext, skb: Skb, id: ConnId, hook: HookNumber): void {
  const vaddr = ipvs.conns.vaddr[id]! >>> 0;
  const vport = ipvs.conns.vport[id]!;
  const action = { text: () => `IPVS: reply, from ${formatIPv4(vaddr)}:${vport}` };
  ipvs.net.trace.sink!.action(skb, stageOf(hook), null, action);
}
