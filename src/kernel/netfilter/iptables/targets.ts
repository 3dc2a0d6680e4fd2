// The targets that act on the world: REJECT (net/ipv4/netfilter/nf_reject_ipv4.c), MASQUERADE (nf_nat_masquerade.c), DNAT
// (xt_nat.c), v6.6.
// Deviation: an address for MASQUERADE is the outgoing device's, and with none there the first of any device, without scopes.
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { get32, put16, put32 } from '../../../tcpip-ts/wire/bytes.ts';
import { finish, pseudoSum, sumBytes } from '../../../tcpip-ts/wire/checksum.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../../../tcpip-ts/wire/icmpv4.ts';
import { DEFAULT_TTL, emitIPv4, IP_DF, IPPROTO_TCP, IPV4_HLEN, ipDaddr, ipSaddr } from '../../../tcpip-ts/wire/ipv4.ts';
import {
  isTcp,
  TCP_ACK,
  TCP_CHECKSUM,
  TCP_FIN,
  TCP_HLEN,
  TCP_RST,
  TCP_SYN,
  tcpHlen,
} from '../../../tcpip-ts/wire/tcp.ts';
import type { Net } from '../../core/context.ts';
import { DropReason } from '../../core/drop-reason.ts';
import type { Addresses } from '../../ip/addresses.ts';
import { attachConntrack } from '../conntrack/track.ts';
import { type HookNumber, NF_ACCEPT, NF_DROP, NF_STOLEN, type Verdict } from '../hooks.ts';
import type { Nat } from '../nat/nat.ts';
import { NF_NAT_MANIP_DST, NF_NAT_MANIP_SRC } from '../nat/unique-tuple.ts';
import type { TargetActions } from './table.ts';

export class Targets implements TargetActions {
  readonly #net: Net;
  readonly #nat: Nat;
  readonly #addresses: Addresses;

  constructor(net: Net, nat: Nat, addresses: Addresses) {
    this.#net = net;
    this.#nat = nat;
    this.#addresses = addresses;
  }

  reject(skb: Skb, _hook: HookNumber, withReset: boolean): Verdict {
    if (withReset) this.#sendReset(skb);
    else this.#net.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    this.#net.drops.drop(skb, DropReason.NF_REJECT);
    return NF_STOLEN;
  }

  masquerade(skb: Skb, randomFully: boolean): Verdict {
    const addr = this.#addresses.select(skb.oif, skb.nexthop);
    if (addr === 0) return NF_DROP;
    this.#nat.bind(skb, NF_NAT_MANIP_SRC, addr, 0, randomFully);
    return NF_ACCEPT;
  }

  dnat(skb: Skb, addr: number, port: number): Verdict {
    this.#nat.bind(skb, NF_NAT_MANIP_DST, addr, port, false);
    return NF_ACCEPT;
  }

  /** A RST to the sender, as the closed port itself would send it (RFC 9293 3.10.7.1). Never about a RST. */
  #sendReset(skb: Skb): void {
    const b = skb.bytes;
    const { nh, th } = skb;
    if (b[nh + 9] !== IPPROTO_TCP || !isTcp(b, th, skb.tail)) return;
    const flags = b[th + 13]!;
    if ((flags & TCP_RST) !== 0) return;
    const out = this.#net.pool.alloc();
    if (out === null) return;
    const o = out.bytes;
    const saddr = ipDaddr(b, nh);
    const daddr = ipSaddr(b, nh);
    emitIPv4(o, out.nh, 0, IPV4_HLEN + TCP_HLEN, 0, IP_DF, DEFAULT_TTL, IPPROTO_TCP, saddr, daddr);
    out.th = out.nh + IPV4_HLEN;
    out.tail = out.th + TCP_HLEN;
    o.fill(0, out.th, out.tail);
    put16(o, out.th, (b[th + 2]! << 8) | b[th + 3]!);
    put16(o, out.th + 2, (b[th]! << 8) | b[th + 1]!);
    o[out.th + 12] = (TCP_HLEN >> 2) << 4;
    if ((flags & TCP_ACK) !== 0) {
      put32(o, out.th + 4, get32(b, th + 8));
      o[out.th + 13] = TCP_RST;
    } else {
      const data = skb.tail - th - tcpHlen(b, th);
      const length = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
      put32(o, out.th + 8, get32(b, th + 4) + length);
      o[out.th + 13] = TCP_RST | TCP_ACK;
    }
    put16(
      o,
      out.th + TCP_CHECKSUM,
      finish(sumBytes(o, out.th, out.tail, pseudoSum(saddr, daddr, IPPROTO_TCP, TCP_HLEN))),
    );
    attachConntrack(out, skb);
    this.#net.localOut(out);
  }
}
