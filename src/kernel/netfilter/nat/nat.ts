// Network address translation, after nf_nat_inet_fn() and nf_nat_icmp_reply_translation() of net/netfilter (v6.6). The nat
// table is asked once for each connection and kind (destination at PRE_ROUTING and LOCAL_OUT, source at POST_ROUTING and
// LOCAL_IN); what it decides, or a null binding, becomes the connection's reply tuple, and every later packet is rewritten
// from the two tuples alone.
//
//   connection original  A:a -> V:v        reply  B:b -> M:m
//   original packets     V:v becomes B:b (IPS_DST_NAT), A:a becomes M:m (IPS_SRC_NAT)
//   reply packets        M:m becomes A:a,               B:b becomes V:v
//
// Leaves out: dropping connections whose masquerading interface changed (nf_nat_oif_changed), helpers, sequence adjustment.
import type { Rng } from '../../../lib/rng.ts';
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { ICMP_REDIRECT } from '../../../tcpip-ts/wire/icmpv4.ts';
import { IPPROTO_ICMP } from '../../../tcpip-ts/wire/ipv4.ts';
import type { TracePoints } from '../../core/trace.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import {
  ctinfoDirection,
  type Direction,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_NAT_DONE_MASK,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
} from '../conntrack/ctinfo.ts';
import {
  type HookNumber,
  type NetfilterHooks,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  STAGES,
  type Verdict,
} from '../hooks.ts';
import {
  finishQuoted,
  hasQuoted,
  setDaddr,
  setDport,
  setQuotedDestination,
  setQuotedSource,
  setSaddr,
  setSport,
} from './mangle.ts';
import { type Manip, NF_NAT_MANIP_DST, NF_NAT_MANIP_SRC, setupNat } from './unique-tuple.ts';

/** Walks the nat table's chain of a hook for the first packet of a connection; its targets call Nat.bind(). */
export type NatLookup = (skb: Skb, hook: HookNumber) => Verdict;

export class Nat {
  /** The nat table, while it has rules. */
  lookup: NatLookup | null = null;
  /** nftables' chains of type nat, by hook, lower priorities first. */
  readonly #chains: { readonly priority: number; readonly run: NatLookup }[][] = [[], [], [], [], []];
  readonly #conntrack: Conntrack;
  readonly #rng: Rng;
  readonly #trace: TracePoints;

  constructor(conntrack: Conntrack, rng: Rng, trace: TracePoints) {
    this.#conntrack = conntrack;
    this.#rng = rng;
    this.#trace = trace;
  }

  register(hooks: NetfilterHooks): void {
    const translate = (skb: Skb, hook: HookNumber): Verdict => this.translate(skb, hook);
    hooks.register(NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST, translate);
    hooks.register(NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST, translate);
    hooks.register(NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC, translate);
    hooks.register(NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC, translate);
  }

  /** Adds a chain of type nat, asked after the nat table; returns the function that takes it out again. */
  addChain(hook: HookNumber, priority: number, run: NatLookup): () => void {
    const list = this.#chains[hook]!;
    const entry = { priority, run };
    const at = list.findIndex((e) => e.priority > priority);
    list.splice(at < 0 ? list.length : at, 0, entry);
    return () => {
      const i = list.indexOf(entry);
      if (i >= 0) list.splice(i, 1);
    };
  }

  /** For targets: binds the packet's new connection. `port` 0 keeps the port if it is free. */
  bind(skb: Skb, manip: Manip, addr: number, port: number, random: boolean): void {
    setupNat(this.#conntrack, this.#rng, skb.ct, manip, addr, port, random);
  }

  translate(skb: Skb, hook: HookNumber): Verdict {
    const { ct, ctinfo } = skb;
    if (ct === 0) return NF_ACCEPT;
    const manip: Manip =
      hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
    if (ctinfo === IP_CT_RELATED || ctinfo === IP_CT_RELATED_REPLY) {
      if (skb.bytes[skb.nh + 9] === IPPROTO_ICMP) return this.#translateError(skb, manip, hook);
    } else if (ctinfo === IP_CT_NEW) {
      const done = manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
      if ((this.#conntrack.status[ct]! & done) === 0) {
        if (this.lookup !== null) {
          const verdict = this.lookup(skb, hook);
          if (verdict !== NF_ACCEPT) return verdict;
        }
        const chains = this.#chains[hook]!;
        for (let i = 0; i < chains.length && (this.#conntrack.status[ct]! & done) === 0; i++) {
          const verdict = chains[i]!.run(skb, hook);
          if (verdict !== NF_ACCEPT) return verdict;
        }
        if ((this.#conntrack.status[ct]! & done) === 0) this.#bindNull(ct, manip);
      }
    }
    this.#rewrite(skb, ct, ctinfoDirection(ctinfo), manip, hook);
    return NF_ACCEPT;
  }

  /** Keeps the address; the source's port moves if the answer would be another connection's. */
  #bindNull(ct: number, manip: Manip): void {
    const t = this.#conntrack;
    const addr = manip === NF_NAT_MANIP_SRC ? t.daddr(ct, IP_CT_DIR_REPLY) : t.saddr(ct, IP_CT_DIR_REPLY);
    setupNat(t, this.#rng, ct, manip, addr, 0, false);
  }

  /** Makes the packet look like the inverse of the other direction's tuple, in its source or its destination. */
  #rewrite(skb: Skb, ct: number, dir: Direction, manip: Manip, hook: HookNumber): void {
    const t = this.#conntrack;
    if ((t.status[ct]! & statusBit(manip, dir)) === 0) return;
    const other = (1 - dir) as Direction;
    const isIcmp = t.proto(ct) === IPPROTO_ICMP;
    if (manip === NF_NAT_MANIP_SRC) {
      setSaddr(skb, t.daddrWord(ct, other));
      setSport(skb, isIcmp ? t.sport(ct, other) : t.dport(ct, other));
    } else {
      setDaddr(skb, t.saddrWord(ct, other));
      // An ICMP id is one for both ends: the tuple's source port.
      setDport(skb, t.sport(ct, other));
    }
    if (this.#trace.sink !== null)
      this.#trace.sink.action(skb, STAGES[hook], 'conntrack', manip === NF_NAT_MANIP_SRC ? 'SNAT' : 'DNAT');
  }

  /**
   * An ICMP error about a translated packet: the quoted packet is what the far side saw and must become what the near side sent,
   * and the error itself is moved like an answer.
   */
  #translateError(skb: Skb, manip: Manip, hook: HookNumber): Verdict {
    const t = this.#conntrack;
    const { ct } = skb;
    const status = t.status[ct]!;
    if (!hasQuoted(skb)) return NF_DROP;
    if (skb.bytes[skb.th] === ICMP_REDIRECT) {
      // A redirect about a translated path would mislead.
      if ((status & IPS_NAT_DONE_MASK) !== IPS_NAT_DONE_MASK || (status & IPS_NAT_MASK) !== 0) return NF_DROP;
    }
    const dir = ctinfoDirection(skb.ctinfo);
    if ((status & statusBit(manip, dir)) === 0) return NF_ACCEPT;
    const other = (1 - dir) as Direction;
    const isIcmp = t.proto(ct) === IPPROTO_ICMP;
    if (manip === NF_NAT_MANIP_SRC) {
      // The quoted packet travelled the other way: its destination is what our source rewriting concerns.
      setQuotedDestination(skb, t.daddr(ct, other), isIcmp ? t.sport(ct, other) : t.dport(ct, other));
      finishQuoted(skb);
      setSaddr(skb, t.daddr(ct, other));
    } else {
      setQuotedSource(skb, t.saddr(ct, other), t.sport(ct, other));
      finishQuoted(skb);
      setDaddr(skb, t.saddr(ct, other));
    }
    if (this.#trace.sink !== null) this.#trace.sink.action(skb, STAGES[hook], 'conntrack', 'translate ICMP error');
    return NF_ACCEPT;
  }
}

/** Which bit says that packets of this direction are to be rewritten at this end. */
function statusBit(manip: Manip, dir: Direction): number {
  const bit = manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
  return dir === IP_CT_DIR_ORIGINAL ? bit : bit ^ IPS_NAT_MASK;
}
