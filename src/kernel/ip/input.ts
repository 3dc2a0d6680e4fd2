// The way in, after net/ipv4/ip_input.c and the input half of route.c (v6.6):
//
//   receive: sound? -> whole? (nf_defrag) -> PRE_ROUTING -> route -> LOCAL_IN -> the Node's own stack
//                                                                 -> forward
//
// Reverse path filtering is off (rp_filter 0); martian sources are refused all the same. No multicast group has members here.

import { areOptionsSkippable } from '../../tcpip-ts/ip/options.ts';
import type { Reassembly } from '../../tcpip-ts/ip/reassembly.ts';
import type { LinkReceiver } from '../../tcpip-ts/link.ts';
import type { Skb } from '../../tcpip-ts/skb.ts';
import { word } from '../../tcpip-ts/wire/bytes.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PARAMETERPROB,
} from '../../tcpip-ts/wire/icmpv4.ts';
import { IPV4_HLEN, ipChecksumOk, ipHlen, ipTotalLen, isFragment, isIPv4 } from '../../tcpip-ts/wire/ipv4.ts';
import type { Net } from '../core/context.ts';
import { DropReason } from '../core/drop-reason.ts';
import { NF_DROP, NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NF_STOLEN } from '../netfilter/hooks.ts';
import { IPCB_GROUP } from './control-block.ts';
import { NO_ROUTE, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from './fib.ts';
import { forward } from './forward.ts';
import type { IpOutput } from './output.ts';

const LOOPBACK_IFINDEX = 1;

export class IpInput {
  /** The Node's own stack. */
  local: LinkReceiver | null = null;
  readonly #net: Net;
  readonly #output: IpOutput;
  readonly #reassembly: Reassembly;
  readonly #acceptsLocal: boolean;

  constructor(net: Net, output: IpOutput, reassembly: Reassembly, acceptsLocal: boolean) {
    this.#net = net;
    this.#acceptsLocal = acceptsLocal;
    this.#output = output;
    this.#reassembly = reassembly;
  }

  /** A packet at skb.nh from a device; owns `skb`. */
  receive(skb: Skb): void {
    const { drops, hooks, trace } = this.#net;
    const b = skb.bytes;
    const { nh } = skb;
    if (!isIPv4(b, nh, skb.tail)) {
      const isShort = skb.tail - nh < IPV4_HLEN || (b[nh]! >>> 4 === 4 && ipTotalLen(b, nh) > skb.tail - nh);
      drops.drop(skb, isShort ? DropReason.PKT_TOO_SMALL : DropReason.IP_INHDR);
      return;
    }
    if (!ipChecksumOk(b, nh)) {
      drops.drop(skb, DropReason.IP_CSUM);
      return;
    }
    const hlen = ipHlen(b, nh);
    skb.tail = nh + ipTotalLen(b, nh);
    skb.th = nh + hlen;
    if (trace.sink !== null) trace.sink.stage(skb, 'RECEIVE');
    if (hlen > IPV4_HLEN && !areOptionsSkippable(b, nh + IPV4_HLEN, skb.th)) {
      this.#net.icmpSend(skb, ICMP_PARAMETERPROB, 0, IPV4_HLEN << 24);
      drops.drop(skb, DropReason.IP_INHDR);
      return;
    }
    if (isFragment(b, nh)) {
      const { cb0 } = skb;
      const whole = this.#reassembly.push(skb);
      if (whole === null) return;
      skb = whole;
      skb.cb0 = cb0;
    }
    if (trace.sink !== null) trace.sink.stage(skb, 'PREROUTING');
    const verdict = hooks.run(NF_INET_PRE_ROUTING, skb);
    if (verdict === NF_DROP) drops.drop(skb, DropReason.NETFILTER_DROP);
    else if (verdict !== NF_STOLEN) this.#route(skb);
  }

  /** ip_route_input_slow(). */
  #route(skb: Skb): void {
    const { drops, fib } = this.#net;
    const b = skb.bytes;
    const saddr = word(b, skb.nh + 12); // signed: no argument needs a heap number
    const daddr = word(b, skb.nh + 16);
    if (skb.iif !== LOOPBACK_IFINDEX) {
      const reason = martian(saddr, daddr);
      if (reason !== 0 || (saddr !== 0 && !this.#acceptsLocal && fib.isLocal(saddr))) {
        drops.drop(skb, reason !== 0 ? reason : DropReason.IP_LOCAL_SOURCE);
        return;
      }
    }
    const route = fib.lookup(daddr);
    const type = daddr === -1 ? RTN_BROADCAST : route === NO_ROUTE ? 0 : fib.typeOf(route);
    switch (type) {
      case RTN_UNICAST: {
        if (daddr >>> 28 === 14) break; // multicast, but class E is as good as any
        skb.oif = fib.oifOf(route);
        const gateway = fib.gatewayOf(route);
        skb.nexthop = gateway === 0 ? daddr >>> 0 : gateway;
        forward(this.#net, this.#output, skb);
        return;
      }
      case RTN_LOCAL:
        if ((skb.cb0 & IPCB_GROUP) !== 0) drops.drop(skb, DropReason.UNICAST_IN_L2_MULTICAST);
        else this.#deliver(skb);
        return;
      case RTN_BROADCAST:
        this.#deliver(skb);
        return;
      case RTN_BLACKHOLE:
        drops.drop(skb, DropReason.BLACKHOLE);
        return;
    }
    if (daddr >>> 28 === 14) {
      drops.drop(skb, DropReason.IP_INVALID_DEST);
      return;
    }
    this.#net.icmpSend(skb, ICMP_DEST_UNREACH, type === 0 ? ICMP_NET_UNREACH : ICMP_HOST_UNREACH, 0);
    drops.drop(skb, DropReason.IP_INNOROUTES);
  }

  #deliver(skb: Skb): void {
    const { drops, hooks, trace } = this.#net;
    if (trace.sink !== null) trace.sink.stage(skb, 'INPUT');
    const verdict = hooks.run(NF_INET_LOCAL_IN, skb);
    if (verdict === NF_STOLEN) return;
    if (verdict === NF_DROP) {
      drops.drop(skb, DropReason.NETFILTER_DROP);
      return;
    }
    if (this.local === null) {
      drops.drop(skb, DropReason.NO_SOCKET);
      return;
    }
    if (trace.sink !== null) trace.sink.stage(skb, 'LOCAL');
    skb.mh = skb.nh;
    this.local.receive(skb);
  }
}

/** Why no packet from a wire may have these addresses, as signed words; 0: it may. */
function martian(saddr: number, daddr: number): number {
  if (saddr >>> 28 === 14 || saddr === -1 || saddr >>> 24 === 127) return DropReason.IP_INVALID_SOURCE;
  if (saddr === 0 && daddr !== -1) return DropReason.IP_INVALID_SOURCE;
  if (daddr >>> 24 === 127) return DropReason.IP_LOCALNET;
  return daddr === 0 ? DropReason.IP_INVALID_DEST : 0;
}
