// Replies of real servers, after ip_vs_out() of ip_vs_core.c, Linux 6.1: the source becomes the service's address and port
// again. Hooked at FORWARD for remote clients, at LOCAL_IN for local ones, at LOCAL_OUT for local real servers.
import type { Skb } from '../../tcpip-ts/skb.ts';
import { get16, word } from '../../tcpip-ts/wire/bytes.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, ipProto, ipTotalLen } from '../../tcpip-ts/wire/ipv4.ts';
import { TCP_HLEN, tcpFlags } from '../../tcpip-ts/wire/tcp.ts';
import { UDP_HLEN } from '../../tcpip-ts/wire/udp.ts';
import { type HookNumber, NF_ACCEPT, type Verdict } from '../netfilter/hooks.ts';
import { setSaddr, setSport } from '../netfilter/nat/mangle.ts';
import { countOut, setState } from './accounting.ts';
import { NO_CONN } from './conn.ts';
import type { IpvsContext } from './context.ts';
import { icmpOut, isTranslatedError } from './icmp.ts';
import { DIR_OUTPUT } from './state.ts';
import { traceReply, updateConntrackReply } from './xmit.ts';

/** Hook function of FORWARD, LOCAL_IN and LOCAL_OUT. */
export function ipvsOut(ipvs: IpvsContext, skb: Skb, hook: HookNumber): Verdict {
  if (skb.ipvs || !ipvs.enabled) return NF_ACCEPT;
  const b = skb.bytes;
  const proto = ipProto(b, skb.nh);
  if (proto === IPPROTO_ICMP) return isTranslatedError(skb) ? icmpOut(ipvs, skb, hook) : NF_ACCEPT;
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return NF_ACCEPT;
  if (skb.th + (proto === IPPROTO_TCP ? TCP_HLEN : UDP_HLEN) > skb.tail) return NF_ACCEPT;

  const { conns } = ipvs;
  const saddr = word(b, skb.nh + 12);
  const daddr = word(b, skb.nh + 16);
  const id = conns.findOut(proto, saddr, get16(b, skb.th), daddr, get16(b, skb.th + 2));
  if (id === NO_CONN) return NF_ACCEPT;
  setSport(skb, conns.vport[id]!);
  setSaddr(skb, conns.vaddr[id]!);
  countOut(ipvs.destTable, conns.dest[id]!, ipTotalLen(b, skb.nh));
  const flags = proto === IPPROTO_TCP ? tcpFlags(b, skb.th) : 0;
  setState(conns, ipvs.destTable, ipvs.timeouts, id, DIR_OUTPUT, flags);
  skb.ipvs = true;
  updateConntrackReply(ipvs, skb, id);
  if (ipvs.net.trace.sink !== null) traceReply(ipvs, skb, id, hook);
  conns.touch(id);
  return NF_ACCEPT;
}
