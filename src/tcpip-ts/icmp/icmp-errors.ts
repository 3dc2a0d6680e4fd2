// Sending ICMP errors, after Linux's icmp_send(): never about an error, a fragment past the first, a group address or a
// nonsense source (RFC 1122 3.2.2), rate limited, quoting as much as fits 576 bytes (RFC 1812 4.3.2.3).
import type { Clock } from '../../lib/clock.ts';
import { copyBetween } from '../copy.ts';
import { type Counters, SNMP } from '../counters.ts';
import { type RouteTable, RTN_LOCAL } from '../ip/route.ts';
import type { IpOutput } from '../ip/transport.ts';
import { CHECKSUM_PARTIAL, GSO_NONE, type Skb } from '../skb.ts';
import { completeChecksum } from '../skb-checksum.ts';
import {
  emitIcmp,
  ICMP_DEST_UNREACH,
  ICMP_HLEN,
  ICMP_PARAMETERPROB,
  ICMP_TIME_EXCEEDED,
  icmpType,
  isIcmpError,
} from '../wire/icmpv4.ts';
import {
  DEFAULT_TTL,
  IP_OFFSET_MASK,
  IPPROTO_ICMP,
  IPV4_HLEN,
  ipDaddr,
  ipFrag,
  ipHlen,
  ipProto,
  ipSaddr,
  ipTos,
} from '../wire/ipv4.ts';
import { IcmpRateLimit } from './rate-limit.ts';

const MAX_QUOTE = 576 - IPV4_HLEN - ICMP_HLEN;
const TOS_INTERNETWORK_CONTROL = 0xc0;

export class IcmpErrors {
  readonly #ip: IpOutput;
  readonly #routes: RouteTable;
  readonly #counters: Counters;
  readonly #limit: IcmpRateLimit;

  constructor(ip: IpOutput, routes: RouteTable, clock: Clock, counters: Counters) {
    this.#ip = ip;
    this.#routes = routes;
    this.#counters = counters;
    this.#limit = new IcmpRateLimit(clock);
  }

  /** An error of `type` and `code` to the source of the received packet in `skb`; `info` is the second header word. Borrows `skb`. */
  send(skb: Skb, type: number, code: number, info: number): void {
    const ip = this.#ip;
    const { v } = this.#counters;
    const b = skb.bytes;
    const nh = skb.nh;
    const to = ipSaddr(b, nh);
    if (skb.cb0 !== RTN_LOCAL || (ipFrag(b, nh) & IP_OFFSET_MASK) !== 0) return;
    if (to === 0 || to >>> 28 >= 14 || this.#routes.isBroadcast(to)) return;
    const th = nh + ipHlen(b, nh);
    if (ipProto(b, nh) === IPPROTO_ICMP && (th >= skb.tail || isIcmpError(icmpType(b, th)))) return;
    const allowed = this.#limit.take(to);
    if (allowed !== 'ok') {
      v[allowed === 'host' ? SNMP.IcmpOutRateLimitHost : SNMP.IcmpOutRateLimitGlobal]!++;
      return;
    }
    const out = ip.alloc();
    if (out === null) {
      v[SNMP.IcmpOutErrors]!++;
      return;
    }
    // A quote with half a checksum would look corrupt to whoever reads it.
    if (skb.checksum === CHECKSUM_PARTIAL && skb.gsoType === GSO_NONE) completeChecksum(skb);
    const quote = Math.min(skb.tail - nh, MAX_QUOTE);
    copyBetween(out, out.th + ICMP_HLEN, skb, nh, quote);
    out.tail = out.th + ICMP_HLEN + quote;
    emitIcmp(out.bytes, out.th, out.tail, type, code, info >>> 16, info & 0xffff);
    v[SNMP.IcmpOutMsgs]!++;
    if (type === ICMP_DEST_UNREACH) v[SNMP.IcmpOutDestUnreachs]!++;
    else if (type === ICMP_TIME_EXCEEDED) v[SNMP.IcmpOutTimeExcds]!++;
    else if (type === ICMP_PARAMETERPROB) v[SNMP.IcmpOutParmProbs]!++;
    const tos = (ipTos(b, nh) & 0x1e) | TOS_INTERNETWORK_CONTROL;
    // The packet was taken in, so its destination is an address that we answer for.
    ip.send(out, ipDaddr(b, nh), to, IPPROTO_ICMP, DEFAULT_TTL, tos, false);
  }
}
