// ICMP of one host, after Linux's net/ipv4/icmp.c: answers echo requests, hands errors to the transports they are about, learns
// path MTUs (RFC 1191), serves ping sockets. RFC 792, RFC 1122 3.2.2.
// Deviation: a path MTU is learnt before the transport has judged the quoted segment (Linux lets TCP compare sequence numbers
// first), so a forger who knows both addresses can lower it, to 552 and for ten minutes.
// Leaves out timestamps and address masks (not answered), source quench (RFC 6633) and redirects (counted, not followed).
import { SNMP } from '../counters.ts';
import { EADDRINUSE, EBADF, EMSGSIZE, ENOBUFS } from '../errno.ts';
import type { IpLayer } from '../ip/ip-layer.ts';
import type { Transport } from '../ip/transport.ts';
import { CHECKSUM_NONE, GSO_NONE, type Skb } from '../skb.ts';
import { checksum, update16 } from '../wire/checksum.ts';
import {
  emitIcmp,
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_FRAG_NEEDED,
  ICMP_HLEN,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  icmpCode,
  icmpId,
  icmpMtu,
  icmpSeq,
  icmpType,
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
  ipTotalLen,
  ipTtl,
} from '../wire/ipv4.ts';
import { PingEndpoint, type PingOutput, type PingRequest } from './ping.ts';

const MAX_PAYLOAD = 65535 - IPV4_HLEN - ICMP_HLEN;
/** RFC 1191 section 7: what to assume when a router does not say its MTU. */
const PLATEAUS = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68] as const;
/** A transport needs its first 8 bytes to find the socket. */
const MIN_QUOTED_TRANSPORT = 8;

export class IcmpLayer implements Transport, PingOutput {
  readonly #ip: IpLayer;
  readonly #pings = new Map<number, PingEndpoint>();

  constructor(ip: IpLayer) {
    this.#ip = ip;
  }

  /** A ping socket with identifier `id`, or a random free one. Throws EADDRINUSE by name when all are taken. */
  openPing(id?: number): PingEndpoint {
    if (this.#pings.size >= 0xffff) throw new Error(`ping: no identifier left (errno ${EADDRINUSE})`);
    if (id !== undefined && this.#pings.has(id)) throw new Error(`ping: identifier ${id} in use (errno ${EADDRINUSE})`);
    let chosen = id ?? this.#ip.rng.below(0x10000);
    while (this.#pings.has(chosen)) chosen = (chosen + 1) & 0xffff;
    const endpoint = new PingEndpoint(chosen, this);
    this.#pings.set(chosen, endpoint);
    return endpoint;
  }

  closePing(id: number): void {
    this.#pings.delete(id);
  }

  sendEcho(id: number, request: PingRequest): number {
    if (!this.#pings.has(id)) return -EBADF;
    const { v } = this.#ip.counters;
    const payload = request.payload;
    const length = payload?.length ?? 0;
    if (length > MAX_PAYLOAD) return -EMSGSIZE;
    const skb = this.#ip.alloc();
    if (skb === null) return -ENOBUFS;
    if (payload) skb.bytes.set(payload, skb.th + ICMP_HLEN);
    skb.tail = skb.th + ICMP_HLEN + length;
    emitIcmp(skb.bytes, skb.th, skb.tail, ICMP_ECHO, 0, id, request.seq & 0xffff);
    v[SNMP.IcmpOutMsgs]!++;
    v[SNMP.IcmpOutEchos]!++;
    const { daddr, saddr = 0, ttl = DEFAULT_TTL, tos = 0, df = false } = request;
    return this.#ip.send(skb, saddr, daddr, IPPROTO_ICMP, ttl, tos, df);
  }

  input(skb: Skb): void {
    const { v } = this.#ip.counters;
    const b = skb.bytes;
    const th = skb.th;
    v[SNMP.IcmpInMsgs]!++;
    if (skb.tail - th < ICMP_HLEN) {
      v[SNMP.IcmpInErrors]!++;
      skb.free();
      return;
    }
    if (skb.checksum === CHECKSUM_NONE && checksum(b, th, skb.tail) !== 0) {
      v[SNMP.IcmpInCsumErrors]!++;
      v[SNMP.IcmpInErrors]!++;
      skb.free();
      return;
    }
    switch (icmpType(b, th)) {
      case ICMP_ECHO:
        v[SNMP.IcmpInEchos]!++;
        this.#answer(skb);
        return;
      case ICMP_ECHOREPLY:
        v[SNMP.IcmpInEchoReps]!++;
        this.#reply(skb);
        break;
      case ICMP_DEST_UNREACH:
        v[SNMP.IcmpInDestUnreachs]!++;
        this.#report(skb);
        break;
      case ICMP_TIME_EXCEEDED:
        v[SNMP.IcmpInTimeExcds]!++;
        this.#report(skb);
        break;
      case ICMP_PARAMETERPROB:
        v[SNMP.IcmpInParmProbs]!++;
        this.#report(skb);
        break;
      case ICMP_REDIRECT:
        v[SNMP.IcmpInRedirects]!++;
    }
    skb.free();
  }

  /** An error about an echo request of ours. */
  error(
    b: Uint8Array,
    nh: number,
    th: number,
    _end: number,
    type: number,
    code: number,
    mtu: number,
    reporter: number,
  ): void {
    if (icmpType(b, th) !== ICMP_ECHO) return;
    const endpoint = this.#pings.get(icmpId(b, th));
    endpoint?.onError?.({ reporter, daddr: ipDaddr(b, nh), seq: icmpSeq(b, th), type, code, mtu });
  }

  close(): void {
    for (const endpoint of [...this.#pings.values()]) endpoint.close();
  }

  /** Turns an echo request into its reply, in place. */
  #answer(skb: Skb): void {
    const { v } = this.#ip.counters;
    const b = skb.bytes;
    const th = skb.th;
    const saddr = ipDaddr(b, skb.nh);
    const daddr = ipSaddr(b, skb.nh);
    const tos = ipTos(b, skb.nh);
    b[th] = ICMP_ECHOREPLY;
    update16(b, th + 2, (ICMP_ECHO << 8) | b[th + 1]!, b[th + 1]!);
    skb.checksum = CHECKSUM_NONE;
    skb.gsoType = GSO_NONE;
    v[SNMP.IcmpOutMsgs]!++;
    v[SNMP.IcmpOutEchoReps]!++;
    this.#ip.send(skb, saddr, daddr, IPPROTO_ICMP, DEFAULT_TTL, tos, false);
  }

  #reply(skb: Skb): void {
    const b = skb.bytes;
    const th = skb.th;
    const endpoint = this.#pings.get(icmpId(b, th));
    endpoint?.onReply?.({
      saddr: ipSaddr(b, skb.nh),
      seq: icmpSeq(b, th),
      ttl: ipTtl(b, skb.nh),
      payload: b.slice(th + ICMP_HLEN, skb.tail),
    });
  }

  /** Takes an error apart and tells the transport whose packet it quotes. */
  #report(skb: Skb): void {
    const ip = this.#ip;
    const { v } = ip.counters;
    const b = skb.bytes;
    const type = icmpType(b, skb.th);
    const code = icmpCode(b, skb.th);
    const nh = skb.th + ICMP_HLEN;
    const end = skb.tail;
    const hlen = end - nh >= IPV4_HLEN ? ipHlen(b, nh) : 0;
    if (hlen < IPV4_HLEN || b[nh]! >>> 4 !== 4 || end - nh < hlen + MIN_QUOTED_TRANSPORT) {
      v[SNMP.IcmpInErrors]!++;
      return;
    }
    if (!ip.isOwnSource(ipSaddr(b, nh)) || (ipFrag(b, nh) & IP_OFFSET_MASK) !== 0) return;
    let mtu = 0;
    if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) {
      const length = ipTotalLen(b, nh);
      mtu = nextHopMtu(icmpMtu(b, skb.th), length);
      if (mtu >= length) return; // the quoted packet would have fitted: not about a packet of ours
      ip.routes.learnPathMtu(ipDaddr(b, nh), mtu);
    }
    ip.transports[ipProto(b, nh)]?.error(b, nh, nh + hlen, end, type, code, mtu, ipSaddr(b, skb.nh));
  }
}

/** As told, or for routers older than RFC 1191 the next plateau below the length that did not fit. */
function nextHopMtu(told: number, length: number): number {
  if (told >= 68) return told;
  return PLATEAUS.find((p) => p < length) ?? 68;
}
