// ICMP errors that the Node itself sends, after icmp_send() of net/ipv4/icmp.c (v6.6): never about an error, a later fragment,
// a group address or a nonsense source (RFC 1122 3.2.2); rate limited a destination and in all, except fragmentation needed;
// quoting as much as fits 576 bytes (RFC 1812 4.3.2.3). The error belongs to the connection of the packet it is about, so NAT
// translates it like any that comes from outside.
import type { Clock } from '../../lib/clock.ts';
import { copyBetween } from '../../tcpip-ts/copy.ts';
import { IcmpRateLimit } from '../../tcpip-ts/icmp/rate-limit.ts';
import { CHECKSUM_PARTIAL, GSO_NONE, type Skb } from '../../tcpip-ts/skb.ts';
import { completeChecksum } from '../../tcpip-ts/skb-checksum.ts';
import { put16 } from '../../tcpip-ts/wire/bytes.ts';
import { emitIcmp, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_HLEN, isIcmpError } from '../../tcpip-ts/wire/icmpv4.ts';
import {
  DEFAULT_TTL,
  emitIPv4,
  IP_OFFSET_MASK,
  IPPROTO_ICMP,
  IPV4_HLEN,
  ipDaddr,
  ipFrag,
  ipHlen,
  ipProto,
  ipSaddr,
  ipTos,
} from '../../tcpip-ts/wire/ipv4.ts';
import type { Net } from '../core/context.ts';
import { attachConntrack } from '../netfilter/conntrack/track.ts';
import type { Addresses } from './addresses.ts';
import { IPCB_GROUP } from './control-block.ts';
import { NO_ROUTE, RTN_LOCAL, RTN_UNICAST } from './fib.ts';

const MAX_QUOTE = 576 - IPV4_HLEN - ICMP_HLEN;
const TOS_INTERNETWORK_CONTROL = 0xc0;

export class IcmpErrors {
  readonly #net: Net;
  readonly #addresses: Addresses;
  readonly #limit: IcmpRateLimit | null;
  #id = 0;

  /** Without a clock there is no limit. */
  constructor(net: Net, addresses: Addresses, clock: Clock | null) {
    this.#net = net;
    this.#addresses = addresses;
    this.#limit = clock && new IcmpRateLimit(clock);
  }

  /** An error of `type` and `code` to the packet's source; `info` is the second header word. Borrows `skb`. */
  send(skb: Skb, type: number, code: number, info: number): void {
    const b = skb.bytes;
    const { nh } = skb;
    if ((skb.cb0 & IPCB_GROUP) !== 0 || (ipFrag(b, nh) & IP_OFFSET_MASK) !== 0) return;
    const to = ipSaddr(b, nh);
    const about = ipDaddr(b, nh);
    if (to === 0 || isMulticastOrBroadcast(to) || isMulticastOrBroadcast(about)) return;
    const th = nh + ipHlen(b, nh);
    if (ipProto(b, nh) === IPPROTO_ICMP && (th >= skb.tail || isIcmpError(b[th]!))) return;
    const { fib, pool } = this.#net;
    const route = fib.lookup(to | 0);
    if (route === NO_ROUTE) return;
    const routeType = fib.typeOf(route);
    if (routeType !== RTN_UNICAST && routeType !== RTN_LOCAL) return;
    const isFragNeeded = type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED;
    if (this.#limit && !isFragNeeded && routeType !== RTN_LOCAL && this.#limit.take(to) !== 'ok') return;
    const out = pool.alloc();
    if (out === null) return;
    // A packet to one of our addresses is answered from it, one that only came through from the device towards its source.
    const gateway = fib.gatewayOf(route);
    const from = fib.isLocal(about | 0)
      ? about
      : fib.prefsrcOf(route) || this.#addresses.select(fib.oifOf(route), gateway === 0 ? to : gateway) || about;
    const o = out.bytes;
    // A quote with half a checksum would look corrupt to whoever reads it.
    if (skb.checksum === CHECKSUM_PARTIAL && skb.gsoType === GSO_NONE) completeChecksum(skb);
    const quote = Math.min(skb.tail - nh, MAX_QUOTE);
    out.th = out.nh + IPV4_HLEN;
    out.tail = out.th + ICMP_HLEN + quote;
    copyBetween(out, out.th + ICMP_HLEN, skb, nh, quote);
    put16(o, out.th + 2, 0);
    emitIcmp(o, out.th, out.tail, type, code, info >>> 16, info & 0xffff);
    const tos = (ipTos(b, nh) & 0x1e) | TOS_INTERNETWORK_CONTROL;
    this.#id = (this.#id + 1) & 0xffff;
    emitIPv4(o, out.nh, tos, IPV4_HLEN + ICMP_HLEN + quote, this.#id, 0, DEFAULT_TTL, IPPROTO_ICMP, from, to);
    attachConntrack(out, skb);
    this.#net.localOut(out);
  }
}

/** Class E, from 240.0.0.0 on, is as good as any address; its last is the broadcast. */
function isMulticastOrBroadcast(addr: number): boolean {
  return addr >>> 28 === 14 || addr === 0xffffffff;
}
