// Requests to virtual services, after ip_vs_in() and ip_vs_schedule() of ip_vs_core.c, Linux 6.1: finds or makes the
// connection of a packet, keeps its state, and sends the packet to the real server. Everything else passes.
import type { Skb } from '../../tcpip-ts/skb.ts';
import { get16, word } from '../../tcpip-ts/wire/bytes.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../../tcpip-ts/wire/icmpv4.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, ipProto, ipTotalLen } from '../../tcpip-ts/wire/ipv4.ts';
import { TCP_HLEN, TCP_RST, TCP_SYN, tcpFlags } from '../../tcpip-ts/wire/tcp.ts';
import { UDP_HLEN } from '../../tcpip-ts/wire/udp.ts';
import { DropReason } from '../core/drop-reason.ts';
import { type HookNumber, NF_ACCEPT, NF_DROP, NF_STOLEN, type Verdict } from '../netfilter/hooks.ts';
import { countIn, isAvailable, setState } from './accounting.ts';
import { CONN_F_NFCT, CONN_F_ONE_PACKET, CONN_F_TEMPLATE, type ConnId, NO_CONN } from './conn.ts';
import type { IpvsContext } from './context.ts';
import { icmpIn, isTranslatedError } from './icmp.ts';
import { NONE, STAT_CONNS, STATS, SVC_FLAGS, SVC_IS_RR, SVC_KEY, SVC_ROW } from './rows.ts';
import { nextInTurn } from './scheduler/rr.ts';
import { SVC_F_ONEPACKET, SVC_F_PERSISTENT } from './scheduler/scheduler.ts';
import type { VirtualService } from './service.ts';
import { FTPDATA, FTPPORT } from './service-table.ts';
import { DIR_INPUT, TCP_S_CLOSE, TCP_S_TIME_WAIT } from './state.ts';
import { natXmit } from './xmit.ts';

const LOOPBACK_IFINDEX = 1;
/** What scheduling may answer besides a connection. */
const PASS_UP = 0;
const REFUSE = -1;

/** Hook function of LOCAL_IN and LOCAL_OUT. */
export function ipvsIn(ipvs: IpvsContext, skb: Skb, hook: HookNumber): Verdict {
  if (skb.ipvs || !ipvs.enabled) return NF_ACCEPT;
  const b = skb.bytes;
  const proto = ipProto(b, skb.nh);
  if (proto === IPPROTO_ICMP) return isTranslatedError(skb) ? icmpIn(ipvs, skb, hook) : NF_ACCEPT;
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return NF_ACCEPT;
  if (skb.th + (proto === IPPROTO_TCP ? TCP_HLEN : UDP_HLEN) > skb.tail) return NF_DROP;

  const { conns } = ipvs;
  const saddr = word(b, skb.nh + 12);
  const daddr = word(b, skb.nh + 16);
  const sport = get16(b, skb.th);
  const dport = get16(b, skb.th + 2);
  const flags = proto === IPPROTO_TCP ? tcpFlags(b, skb.th) : 0;

  let id: ConnId = conns.findIn(proto, saddr, sport, daddr, dport);
  if (id !== NO_CONN && (flags & TCP_SYN) !== 0 && isRescheduled(ipvs, id, skb)) {
    const old = knowsFlow(ipvs, skb);
    abandon(ipvs, id, old);
    if (old) return drop(ipvs, skb, DropReason.IPVS_EXPIRED_CONN);
    id = NO_CONN;
  }
  if (id !== NO_CONN && !isAvailable(ipvs.destTable, conns.dest[id]!)) {
    // Its real server was deleted. The timer is not restarted.
    if (ipvs.sysctl.expire_nodest_conn === 0) return drop(ipvs, skb, DropReason.IPVS_EXPIRED_CONN);
    const old = knowsFlow(ipvs, skb);
    if (!old) conns.flags[id]! &= ~CONN_F_NFCT;
    conns.expireNow(id);
    if (old) return drop(ipvs, skb, DropReason.IPVS_EXPIRED_CONN);
    id = NO_CONN;
  }
  if (id === NO_CONN) {
    if (proto === IPPROTO_TCP && !mayStart(ipvs, flags)) return NF_ACCEPT;
    let svc = ipvs.table.find(proto, daddr, dport);
    if (svc === NONE) svc = ipvs.table.findAnyPort(proto, daddr, dport);
    if (svc === NONE) return NF_ACCEPT;
    const scheduled = schedule(ipvs, svc, skb, proto, saddr, sport, daddr, dport);
    if (scheduled === PASS_UP) return NF_ACCEPT;
    if (scheduled === REFUSE) {
      ipvs.net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
      return drop(ipvs, skb, DropReason.IPVS_NO_DEST);
    }
    id = scheduled as ConnId;
  }

  countIn(ipvs.destTable, conns.dest[id]!, ipTotalLen(b, skb.nh));
  setState(conns, ipvs.destTable, ipvs.timeouts, id, DIR_INPUT, flags);
  const verdict = natXmit(ipvs, skb, id, hook);
  conns.touch(id);
  return verdict;
}

/** Whether a TCP segment without a connection may be scheduled. */
function mayStart(ipvs: IpvsContext, flags: number): boolean {
  return (flags & TCP_RST) === 0 && ((flags & TCP_SYN) !== 0 || ipvs.sysctl.sloppy_tcp !== 0);
}

/** Whether a SYN on a known connection asks for a new real server. */
function isRescheduled(ipvs: IpvsContext, id: ConnId, skb: Skb): boolean {
  const { conns, sysctl } = ipvs;
  if (sysctl.expire_nodest_conn !== 0 && ipvs.destTable.at(conns.dest[id]!).weight === 0) return true;
  if (sysctl.conn_reuse_mode === 0 || conns.control[id] !== NO_CONN) return false;
  // Bit 1 of the mode would add FIN_WAIT, but only where replies are not seen: never under masquerade.
  const state = conns.state[id]!;
  if (state !== TCP_S_TIME_WAIT && state !== TCP_S_CLOSE) return false;
  return conns.nControl[id] === 0 || !knowsFlow(ipvs, skb);
}

/** ip_vs_conn_uses_old_conntrack(): netfilter has this packet in a connection older than the packet. */
function knowsFlow(ipvs: IpvsContext, skb: Skb): boolean {
  return skb.ct !== 0 && ipvs.net.conntrack.isConfirmed(skb.ct);
}

function abandon(ipvs: IpvsContext, id: ConnId, old: boolean): void {
  if (!old) ipvs.conns.flags[id]! &= ~CONN_F_NFCT; // netfilter's entry is the new connection's
  if (ipvs.conns.nControl[id] === 0) ipvs.conns.expireNow(id);
}

/** A new connection's row, PASS_UP or REFUSE. `svc` is a row of the service table. */
function schedule(
  ipvs: IpvsContext,
  svc: number,
  skb: Skb,
  proto: number,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
): number {
  if (sport === FTPDATA) return PASS_UP; // active FTP from a local real server
  const { conns } = ipvs;
  if (skb.iif <= LOOPBACK_IFINDEX && conns.findIn(proto, daddr, dport, saddr, sport) !== NO_CONN) return PASS_UP; // a reply
  const svcFlags = ipvs.table.words[svc * SVC_ROW + SVC_FLAGS]!;
  const svcPort = ipvs.table.words[svc * SVC_ROW + SVC_KEY]! & 0xffff;
  const persistent = (svcFlags & SVC_F_PERSISTENT) !== 0;
  if (!persistent && dport !== svcPort) return refusal(svcPort, dport);
  const template = persistent ? affinity(ipvs, ipvs.table.at(svc), saddr, sport, daddr, dport) : NO_CONN;
  if (template === REFUSE) return refusal(svcPort, dport);
  const dest = template === NO_CONN ? choose(ipvs, svc, saddr, sport, daddr) : conns.dest[template]!;
  if (dest === NONE) return REFUSE;
  let flags = ipvs.sysctl.conntrack !== 0 ? CONN_F_NFCT : 0;
  if ((svcFlags & SVC_F_ONEPACKET) !== 0 && proto === IPPROTO_UDP) flags |= CONN_F_ONE_PACKET;
  const id = conns.create(proto, saddr, sport, daddr, dport, flags, dest);
  if (dport !== svcPort || conns.dport[id] === 0) conns.dport[id] = dport;
  if (template !== NO_CONN) {
    conns.addControl(id, template as ConnId);
    conns.touch(template as ConnId);
  }
  ipvs.destTable.stats[dest * STATS + STAT_CONNS]!++;
  return id;
}

/** ip_vs_leave(): a service that took a packet of another port, as FTP's does for its data, does not refuse it. */
function refusal(svcPort: number, dport: number): number {
  return svcPort === FTPPORT && dport !== FTPPORT ? PASS_UP : REFUSE;
}

/** The row of the dest that the scheduler gives a new connection, or NONE. */
function choose(ipvs: IpvsContext, svc: number, saddr: number, sport: number, daddr: number): number {
  const { table, destTable } = ipvs;
  if (table.words[svc * SVC_ROW + SVC_IS_RR] === 1) return nextInTurn(table.words, svc * SVC_ROW, destTable.words);
  const dest = table.at(svc).scheduler.schedule(saddr, sport, daddr);
  return dest ? dest.id : NONE;
}

/**
 * The template of the client, an old one or, with a freshly scheduled dest, a new one; or REFUSE. It is for the service's port, but
 * for FTP, whose data goes to any port, and a service of any port: for all of them.
 */
function affinity(
  ipvs: IpvsContext,
  svc: VirtualService,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
): ConnId | -1 {
  const { conns } = ipvs;
  const cnet = saddr & svc.netmask;
  const own = dport === svc.port && svc.port !== FTPPORT;
  const vport = own ? dport : 0;
  const found = conns.findTemplate(svc.proto, cnet, daddr, vport);
  if (found !== NO_CONN) {
    const dest = ipvs.destTable.at(conns.dest[found]!);
    if (dest.available && !(ipvs.sysctl.expire_quiescent_template !== 0 && dest.weight === 0)) return found;
    conns.invalidateTemplate(found);
  }
  const dest = svc.scheduler.schedule(saddr, sport, daddr);
  if (!dest) return REFUSE;
  const template = conns.create(svc.proto, cnet, 0, daddr, vport, CONN_F_TEMPLATE, dest.id);
  if (!own) conns.dport[template] = 0;
  conns.timeoutUs[template] = svc.timeoutS * 1e6;
  return template;
}

function drop(ipvs: IpvsContext, skb: Skb, reason: DropReason): Verdict {
  ipvs.net.drops.drop(skb, reason);
  return NF_STOLEN;
}
