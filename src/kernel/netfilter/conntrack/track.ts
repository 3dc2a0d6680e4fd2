// From packets to connections, after nf_conntrack_in() and nf_conntrack_confirm() of net/netfilter/nf_conntrack_core.c and the
// per-protocol files (v6.6). At PRE_ROUTING and LOCAL_OUT every packet gets skb.ct and skb.ctinfo: a connection it belongs to,
// a new unconfirmed one, or none (invalid). Confirmed after the last hook, at LOCAL_IN and POST_ROUTING.
//
// Packets are whole here: fragments are reassembled before (nf_defrag_ipv4).
// Deviation: nf_conntrack_checksum is 0, not 1: transport checksums are not verified on the way through. With offloads there is
// nothing to verify, and without them it would cost as much as all the rest; a damaged packet is refused by its receiver.
// Leaves out: SCTP, DCCP and GRE states (they are tracked as generic), helpers.
import type { Clock, Timer } from '../../../lib/clock.ts';
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { get16, get32, word } from '../../../tcpip-ts/wire/bytes.ts';
import { ICMP_HLEN, isIcmpError } from '../../../tcpip-ts/wire/icmpv4.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import { isTcp } from '../../../tcpip-ts/wire/tcp.ts';
import { UDP_HLEN } from '../../../tcpip-ts/wire/udp.ts';
import {
  type HookNumber,
  type NetfilterHooks,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_CONNTRACK,
  NF_IP_PRI_CONNTRACK_CONFIRM,
  type Verdict,
} from '../hooks.ts';
import { hasQuoted, quotedOffset } from '../nat/mangle.ts';
import type { Conntrack } from './conntrack.ts';
import {
  ctinfoDirection,
  IP_CT_DIR_ORIGINAL,
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IP_CT_UNTRACKED,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_SEEN_REPLY,
} from './ctinfo.ts';
import { areTcpFlagsValid, CT_ACCEPT, CT_DROP, CT_INVALID, CT_REPEAT, tcpNew, tcpPacket } from './tcp.ts';

/** Both ways for this long, and a UDP flow is a stream. */
const UDP_STREAM_US = 2e6;
const GC_INTERVAL_US = 1e6;
/** Slots looked at in one gc turn: a table of the usual size is gone through in 8 s. */
const GC_BUDGET = 16384;

/** Type of the answer to an ICMP query + 1, 0 for types that are none (nf_conntrack_proto_icmp.c). */
const ICMP_REPLY_TYPE = new Uint8Array(256);
ICMP_REPLY_TYPE[8] = 0 + 1; // echo
ICMP_REPLY_TYPE[0] = 8 + 1;
ICMP_REPLY_TYPE[13] = 14 + 1; // timestamp
ICMP_REPLY_TYPE[14] = 13 + 1;
ICMP_REPLY_TYPE[15] = 16 + 1; // information
ICMP_REPLY_TYPE[16] = 15 + 1;
ICMP_REPLY_TYPE[17] = 18 + 1; // address mask
ICMP_REPLY_TYPE[18] = 17 + 1;

export class ConntrackTracker {
  readonly #table: Conntrack;
  readonly #clock: Clock;
  readonly #now: { readonly nowUs: number };
  #gcTimer: Timer | null = null;
  #closed = false;

  constructor(table: Conntrack, clock: Clock, now: { readonly nowUs: number }) {
    this.#table = table;
    this.#clock = clock;
    this.#now = now;
  }

  /** Takes the hooks. */
  register(hooks: NetfilterHooks): void {
    const track = (skb: Skb): Verdict => this.track(skb);
    const confirm = (skb: Skb, hook: HookNumber): Verdict => this.confirm(skb, hook);
    hooks.register(NF_INET_PRE_ROUTING, NF_IP_PRI_CONNTRACK, track);
    hooks.register(NF_INET_LOCAL_OUT, NF_IP_PRI_CONNTRACK, track);
    hooks.register(NF_INET_LOCAL_IN, NF_IP_PRI_CONNTRACK_CONFIRM, confirm);
    hooks.register(NF_INET_POST_ROUTING, NF_IP_PRI_CONNTRACK_CONFIRM, confirm);
  }

  close(): void {
    this.#closed = true;
    this.#gcTimer?.cancel();
    this.#gcTimer = null;
  }

  track(skb: Skb): Verdict {
    if (skb.ct !== 0 || skb.ctinfo === IP_CT_UNTRACKED) return NF_ACCEPT; // looped back, or made here about a connection
    const proto = skb.bytes[skb.nh + 9]!;
    if (!this.#isSound(skb, proto)) return this.#invalid(skb);
    if (proto === IPPROTO_ICMP && isIcmpError(skb.bytes[skb.th]!)) return this.#trackIcmpError(skb);
    for (;;) {
      if (!this.#resolve(skb, proto)) return skb.ctinfo === FULL ? NF_DROP : this.#invalid(skb);
      switch (this.#packet(skb, proto)) {
        case CT_ACCEPT:
          if (skb.ctinfo === IP_CT_ESTABLISHED_REPLY) this.#table.status[skb.ct]! |= IPS_SEEN_REPLY;
          return NF_ACCEPT;
        case CT_INVALID:
          return this.#invalid(skb);
        case CT_REPEAT:
          skb.ct = 0;
          continue;
        case CT_DROP:
          return NF_DROP;
      }
    }
  }

  confirm(skb: Skb, _hook: HookNumber): Verdict {
    const { ct } = skb;
    if (ct === 0 || (this.#table.status[ct]! & IPS_CONFIRMED) !== 0) return NF_ACCEPT;
    if (ctinfoDirection(skb.ctinfo) !== IP_CT_DIR_ORIGINAL) return NF_ACCEPT; // an error made here about a first packet
    if (!this.#table.confirm(ct)) return NF_DROP;
    if (this.#gcTimer === null && !this.#closed) this.#gcTimer = this.#clock.after(GC_INTERVAL_US, this.#gc);
    return NF_ACCEPT;
  }

  /** Whether the transport header is complete and not nonsense. */
  #isSound(skb: Skb, proto: number): boolean {
    const b = skb.bytes;
    const { th, tail } = skb;
    switch (proto) {
      case IPPROTO_TCP:
        return isTcp(b, th, tail) && areTcpFlagsValid(b[th + 13]!);
      case IPPROTO_UDP: {
        if (th + UDP_HLEN > tail) return false;
        const length = get16(b, th + 4);
        // A super-segment's length field may be anything its sender's kernel left there.
        return skb.gsoSize !== 0 || (length >= UDP_HLEN && length <= tail - th);
      }
      case IPPROTO_ICMP:
        return th + ICMP_HLEN <= tail && b[th]! <= 18;
      default:
        return true;
    }
  }

  #invalid(skb: Skb): Verdict {
    skb.ct = 0;
    skb.ctinfo = 0;
    this.#table.stat.invalid++;
    return NF_ACCEPT;
  }

  /** Finds or makes the connection: sets skb.ct and ctinfo. False: none (ctinfo is FULL when the table is). */
  #resolve(skb: Skb, proto: number): boolean {
    const b = skb.bytes;
    const { th, nh } = skb;
    let sport = 0;
    let dport = 0;
    if (proto === IPPROTO_TCP || proto === IPPROTO_UDP) {
      sport = get16(b, th);
      dport = get16(b, th + 2);
    } else if (proto === IPPROTO_ICMP) {
      sport = get16(b, th + 4);
      dport = get16(b, th);
    }
    const table = this.#table;
    const saddr = word(b, nh + 12);
    const daddr = word(b, nh + 16);
    const handle = table.find(proto, saddr, sport, daddr, dport);
    if (handle === 0) return this.#create(skb, proto, saddr, sport, daddr, dport);
    skb.ct = handle >> 1;
    if ((handle & 1) !== 0) skb.ctinfo = IP_CT_ESTABLISHED_REPLY;
    else skb.ctinfo = (table.status[skb.ct]! & IPS_SEEN_REPLY) !== 0 ? IP_CT_ESTABLISHED : IP_CT_NEW;
    return true;
  }

  #create(skb: Skb, proto: number, saddr: number, sport: number, daddr: number, dport: number): boolean {
    const table = this.#table;
    let replyType = 0;
    if (proto === IPPROTO_ICMP) {
      const type = dport >>> 8;
      // Only queries start a connection; an answer to nothing is invalid.
      if (type !== 8 && type !== 13 && type !== 15 && type !== 17) return false;
      replyType = (ICMP_REPLY_TYPE[type]! - 1) << 8;
    }
    const ct = table.alloc(proto, saddr, sport, daddr, dport, replyType);
    if (ct === 0) {
      skb.ctinfo = FULL;
      return false;
    }
    if (proto === IPPROTO_TCP && !tcpNew(table, ct, skb)) return false;
    skb.ct = ct;
    skb.ctinfo = IP_CT_NEW;
    return true;
  }

  #packet(skb: Skb, proto: number): number {
    const table = this.#table;
    const { ct } = skb;
    switch (proto) {
      case IPPROTO_TCP:
        return tcpPacket(table, ct, skb, skb.ctinfo);
      case IPPROTO_UDP:
        if ((table.status[ct]! & IPS_SEEN_REPLY) === 0) table.refresh(ct, table.timeouts.udp * 1e6);
        else if (this.#now.nowUs - table.startUs[ct]! > UDP_STREAM_US) {
          table.refresh(ct, table.timeouts.udpStream * 1e6);
          table.status[ct]! |= IPS_ASSURED;
        } else table.refresh(ct, table.timeouts.udp * 1e6);
        return CT_ACCEPT;
      case IPPROTO_ICMP:
        table.refresh(ct, table.timeouts.icmp * 1e6);
        return CT_ACCEPT;
      default:
        table.refresh(ct, table.timeouts.generic * 1e6);
        return CT_ACCEPT;
    }
  }

  /** An ICMP error belongs to the connection of the packet it quotes: RELATED, in the direction the error travels. */
  #trackIcmpError(skb: Skb): Verdict {
    if (!hasQuoted(skb)) return this.#invalid(skb);
    const b = skb.bytes;
    const q = quotedOffset(skb);
    const th = q + ((b[q]! & 15) << 2);
    const proto = b[q + 9]!;
    let sport = 0;
    let dport = 0;
    if (proto === IPPROTO_TCP || proto === IPPROTO_UDP) {
      sport = get16(b, th);
      dport = get16(b, th + 2);
    } else if (proto === IPPROTO_ICMP) {
      const reply = ICMP_REPLY_TYPE[b[th]!]!;
      if (reply === 0) return this.#invalid(skb);
      sport = get16(b, th + 4);
      dport = sport;
      // The inverted tuple: same id, type of the answer.
      return this.#related(skb, proto, q, sport, ((reply - 1) << 8) | b[th + 1]!, true);
    }
    return this.#related(skb, proto, q, sport, dport, false);
  }

  #related(skb: Skb, proto: number, q: number, sport: number, dport: number, isQuery: boolean): Verdict {
    const b = skb.bytes;
    const table = this.#table;
    const saddr = word(b, q + 12);
    const daddr = word(b, q + 16);
    const handle = isQuery
      ? table.find(proto, daddr, sport, saddr, dport)
      : table.find(proto, daddr, dport, saddr, sport);
    if (handle === 0) return this.#invalid(skb);
    // It must be addressed to whoever sent the quoted packet.
    const to = table.daddr(handle >> 1, (handle & 1) as 0 | 1);
    if (to !== get32(b, skb.nh + 16)) return this.#invalid(skb);
    skb.ct = handle >> 1;
    skb.ctinfo = IP_CT_RELATED + ((handle & 1) !== 0 ? IP_CT_IS_REPLY : 0);
    return NF_ACCEPT;
  }

  readonly #gc = (): void => {
    this.#gcTimer = null;
    this.#table.gc(GC_BUDGET, this.#clock.nowUs());
    if (this.#table.count > 0 && !this.#closed) this.#gcTimer = this.#clock.after(GC_INTERVAL_US, this.#gc);
  };
}

/**
 * Makes `out`, an answer of ours to `skb`, part of skb's connection (nf_conntrack_attach): that one may not be confirmed yet,
 * so a lookup would not find it.
 */
export function attachConntrack(out: Skb, skb: Skb): void {
  if (skb.ct === 0) return;
  out.ct = skb.ct;
  out.ctinfo = ctinfoDirection(skb.ctinfo) === IP_CT_DIR_ORIGINAL ? IP_CT_RELATED_REPLY : IP_CT_RELATED;
}

/** skb.ctinfo while track() decides: the table is full. */
const FULL = -1;
