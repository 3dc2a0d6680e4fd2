// The way out, after net/ipv4/ip_output.c (v6.6):
//
//   localOut -> route -> LOCAL_OUT -> (route again, if the destination was rewritten) -> POST_ROUTING -> fits the MTU?
//     -> neighbour -> what the device cannot do is done in software (segments, checksum) -> device
//   a forwarded packet joins at POST_ROUTING (finish), one redirected by IPVS at the route
//
// Every function owns the skb it is given.

import type { Reassembly } from '../../tcpip-ts/ip/reassembly.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4 } from '../../tcpip-ts/link.ts';
import { CHECKSUM_PARTIAL, GSO_NONE, GSO_TCPV4, type Skb } from '../../tcpip-ts/skb.ts';
import { completeChecksum } from '../../tcpip-ts/skb-checksum.ts';
import { word } from '../../tcpip-ts/wire/bytes.ts';
import { ETH_HLEN, ETH_P_IP, emitEthernet, MAC_BROADCAST } from '../../tcpip-ts/wire/ethernet.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_NET_UNREACH } from '../../tcpip-ts/wire/icmpv4.ts';
import { IP_DF, ipFrag, isFragment } from '../../tcpip-ts/wire/ipv4.ts';
import type { Net } from '../core/context.ts';
import type { NetDevice } from '../core/device.ts';
import { DropReason } from '../core/drop-reason.ts';
import { type SegmentSink, segment, segmentLen } from '../core/gso.ts';
import type { Neighbours } from '../core/neighbours.ts';
import { NF_DROP, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, NF_STOLEN } from '../netfilter/hooks.ts';
import { NO_ROUTE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from './fib.ts';
import { fragment } from './fragment.ts';

const LOOPBACK_IFINDEX = 1;

export class IpOutput implements SegmentSink {
  readonly #net: Net;
  readonly #neighbours: Neighbours;
  readonly #reassembly: Reassembly;

  constructor(net: Net, neighbours: Neighbours, reassembly: Reassembly) {
    this.#net = net;
    this.#neighbours = neighbours;
    this.#reassembly = reassembly;
  }

  /** A packet made or redirected here, IP header complete. */
  localOut(skb: Skb): void {
    const { conntrack, hooks, drops, trace } = this.#net;
    skb.th = skb.nh + ((skb.bytes[skb.nh]! & 15) << 2);
    if (isFragment(skb.bytes, skb.nh)) {
      // nf_defrag stands on LOCAL_OUT too: whoever fragments here sends its pieces through again as one.
      const whole = this.#reassembly.push(skb);
      if (whole === null) return;
      skb = whole;
      skb.iif = 0;
    }
    const pass = conntrack.beginPass();
    if (this.#route(skb)) {
      if (trace.sink !== null) trace.sink.stage(skb, 'OUTPUT');
      const daddr = word(skb.bytes, skb.nh + 16);
      const verdict = hooks.run(NF_INET_LOCAL_OUT, skb);
      if (verdict === NF_DROP) drops.drop(skb, DropReason.NETFILTER_DROP);
      else if (verdict !== NF_STOLEN && (daddr === word(skb.bytes, skb.nh + 16) || this.#route(skb))) this.finish(skb);
    }
    conntrack.endPass(pass);
  }

  /** As localOut without the hook. */
  output(skb: Skb): void {
    const { conntrack } = this.#net;
    skb.th = skb.nh + ((skb.bytes[skb.nh]! & 15) << 2);
    const pass = conntrack.beginPass();
    if (this.#route(skb)) this.finish(skb);
    conntrack.endPass(pass);
  }

  /** A routed packet (oif and nexthop set): POST_ROUTING and out. */
  finish(skb: Skb): void {
    const { hooks, drops, trace } = this.#net;
    if (trace.sink !== null) trace.sink.stage(skb, 'POSTROUTING');
    const verdict = hooks.run(NF_INET_POST_ROUTING, skb);
    if (verdict === NF_STOLEN) return;
    if (verdict === NF_DROP) {
      drops.drop(skb, DropReason.NETFILTER_DROP);
      return;
    }
    const device = this.#net.devices.byIndex(skb.oif);
    if (device === undefined || !device.up) {
      drops.drop(skb, DropReason.DEV_READY);
      return;
    }
    const fits = skb.tail - skb.nh <= device.mtu || (skb.gsoType !== GSO_NONE && segmentLen(skb) <= device.mtu);
    if (fits) this.#toDevice(skb, device);
    else this.#tooBig(skb, device);
  }

  /** A piece of a super-segment or a fragment. */
  segment(skb: Skb): void {
    const device = this.#net.devices.byIndex(skb.oif);
    if (device === undefined) this.#net.drops.drop(skb, DropReason.DEV_READY);
    else if (skb.tail - skb.nh > device.mtu) this.#tooBig(skb, device);
    else this.#toNeighbour(skb, device);
  }

  /** Sets oif and nexthop; without a route frees the packet and says false. */
  #route(skb: Skb): boolean {
    const { fib, drops } = this.#net;
    const daddr = word(skb.bytes, skb.nh + 16);
    const route = fib.lookup(daddr | 0);
    const type = route === NO_ROUTE ? 0 : fib.typeOf(route);
    if (type === RTN_UNICAST || type === RTN_BROADCAST) {
      skb.oif = fib.oifOf(route);
      const gateway = fib.gatewayOf(route);
      skb.nexthop = gateway === 0 ? daddr >>> 0 : gateway;
      return true;
    }
    if (type === RTN_LOCAL) {
      skb.oif = LOOPBACK_IFINDEX;
      skb.nexthop = daddr >>> 0;
      return true;
    }
    // A local sender hears of it as it would of ENETUNREACH.
    if (skb.iif === 0 && fib.isLocal(word(skb.bytes, skb.nh + 12)))
      this.#net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, 0);
    drops.drop(skb, DropReason.IP_OUTNOROUTES);
    return false;
  }

  /** Larger than the MTU: cut up, or refused to the sender when it must not be. */
  #tooBig(skb: Skb, device: NetDevice): void {
    const { drops } = this.#net;
    if (skb.gsoType !== GSO_NONE) {
      // Its pieces are too big as well; each comes back here by itself.
      if (!segment(skb, this)) drops.tally(skb.iif, DropReason.NOMEM);
      skb.free();
      return;
    }
    if ((ipFrag(skb.bytes, skb.nh) & IP_DF) !== 0) {
      this.#net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, device.mtu);
      drops.drop(skb, DropReason.PKT_TOO_BIG);
      return;
    }
    if (!fragment(skb, device.mtu, this)) drops.tally(skb.iif, DropReason.NOMEM);
    skb.free();
  }

  /** validate_xmit_skb(): what the device cannot do is done now. */
  #toDevice(skb: Skb, device: NetDevice): void {
    if (skb.gsoType !== GSO_NONE) {
      const needed = skb.gsoType === GSO_TCPV4 ? LINK_F_TSO4 : LINK_F_USO4;
      if ((device.features & needed) === 0) {
        if (!segment(skb, this)) this.#net.drops.tally(skb.iif, DropReason.NOMEM);
        skb.free();
        return;
      }
    } else if (skb.checksum === CHECKSUM_PARTIAL && (device.features & LINK_F_CSUM) === 0) completeChecksum(skb);
    this.#toNeighbour(skb, device);
  }

  #toNeighbour(skb: Skb, device: NetDevice): void {
    const { trace } = this.#net;
    if (trace.sink !== null) trace.sink.stage(skb, 'TRANSMIT');
    if (device.kind !== 'ether') {
      skb.mh = skb.nh;
      device.transmit(skb);
      return;
    }
    const daddr = word(skb.bytes, skb.nh + 16);
    if (daddr === -1 || this.#isBroadcast(daddr)) {
      skb.mh = skb.nh - ETH_HLEN;
      emitEthernet(skb.bytes, skb.mh, MAC_BROADCAST, device.mac, ETH_P_IP);
      device.transmit(skb);
      return;
    }
    this.#neighbours.output(skb, device);
  }

  #isBroadcast(daddr: number): boolean {
    // Only a packet sent to its own next hop can be one, and few addresses end in such bits: one test for nearly all.
    if ((daddr & 3) !== 3) return false;
    const { fib } = this.#net;
    const route = fib.lookup(daddr);
    return route !== NO_ROUTE && fib.typeOf(route) === RTN_BROADCAST;
  }
}
