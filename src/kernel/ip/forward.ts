// Through the Node, after net/ipv4/ip_forward.c (v6.6): TTL, size, FORWARD, out. Leaves out ICMP redirects and source routes.
import { GSO_NONE, type Skb } from '../../tcpip-ts/skb.ts';
import { ICMP_DEST_UNREACH, ICMP_EXC_TTL, ICMP_FRAG_NEEDED, ICMP_TIME_EXCEEDED } from '../../tcpip-ts/wire/icmpv4.ts';
import { decrementTtl, IP_DF, ipFrag, ipTtl } from '../../tcpip-ts/wire/ipv4.ts';
import type { Net } from '../core/context.ts';
import { DropReason } from '../core/drop-reason.ts';
import { segmentLen } from '../core/gso.ts';
import { NF_DROP, NF_INET_FORWARD, NF_STOLEN } from '../netfilter/hooks.ts';
import { IPCB_FORWARDED, IPCB_GROUP } from './control-block.ts';
import type { IpOutput } from './output.ts';

/** A routed packet for somebody else (oif and nexthop set); owns `skb`. */
export function forward(net: Net, output: IpOutput, skb: Skb): void {
  const { drops, trace } = net;
  if ((skb.cb0 & IPCB_GROUP) !== 0) {
    drops.drop(skb, DropReason.UNICAST_IN_L2_MULTICAST);
    return;
  }
  const b = skb.bytes;
  if (ipTtl(b, skb.nh) <= 1) {
    net.icmpSend(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
    drops.drop(skb, DropReason.IP_INHDR);
    return;
  }
  if ((ipFrag(b, skb.nh) & IP_DF) !== 0) {
    const mtu = net.devices.byIndex(skb.oif)?.mtu ?? 0xffff;
    if (skb.tail - skb.nh > mtu && (skb.gsoType === GSO_NONE || segmentLen(skb) > mtu)) {
      net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
      drops.drop(skb, DropReason.PKT_TOO_BIG);
      return;
    }
  }
  decrementTtl(b, skb.nh);
  skb.cb0 |= IPCB_FORWARDED;
  if (trace.sink !== null) trace.sink.stage(skb, 'FORWARD');
  const verdict = net.hooks.run(NF_INET_FORWARD, skb);
  if (verdict === NF_DROP) drops.drop(skb, DropReason.NETFILTER_DROP);
  else if (verdict !== NF_STOLEN) output.finish(skb);
}
