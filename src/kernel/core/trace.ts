// Trace points: what `podwire trace --live` listens to. Off, a point costs one null test:
//
//   if (trace.sink !== null) trace.sink.stage(skb, 'PREROUTING');
//
// On, the sink may allocate; texts are still made lazily (LazyText), when somebody prints the record. Emulates the idea of
// nftables' `meta nftrace` and VPP's packet trace; Linux has no single counterpart.

import type { Skb } from '../../tcpip-ts/skb.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { get16 } from '../../tcpip-ts/wire/bytes.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, ipDaddr, ipProto, ipSaddr } from '../../tcpip-ts/wire/ipv4.ts';
import { DROP_REASONS, type DropReason } from './drop-reason.ts';

/** Where in the kernel a record was left, in path order. */
export type Stage =
  | 'RECEIVE'
  | 'PREROUTING'
  | 'ROUTING'
  | 'INPUT'
  | 'FORWARD'
  | 'OUTPUT'
  | 'POSTROUTING'
  | 'NEIGHBOUR'
  | 'TRANSMIT'
  | 'LOCAL';

/** Text that costs nothing until asked for: a rule in iptables-save form, an IPVS service, a device. */
export interface LazyText {
  text(): string;
}

export interface TraceSink {
  /** The packet reaches a stage. Borrows `skb`, as all of these do. */
  stage(skb: Skb, stage: Stage): void;
  /** A rule, route or virtual server matched (`rule`, null when none is behind it) and `action` was done; called after a rewrite. */
  action(skb: Skb, stage: Stage, rule: LazyText | string | null, action: LazyText | string): void;
  drop(skb: Skb, reason: DropReason): void;
}

export class TracePoints {
  sink: TraceSink | null = null;
}

/** The header fields that rules look at; ports are 0 without ports, id and type/code of ICMP stand in their place. */
export interface TraceTuple {
  readonly saddr: number;
  readonly daddr: number;
  readonly proto: number;
  readonly sport: number;
  readonly dport: number;
}

export interface TraceRecord {
  /** The same number for all records of one packet on this Node. */
  readonly packet: number;
  readonly stage: Stage;
  readonly rule: LazyText | string | null;
  readonly action: LazyText | string;
  readonly before: TraceTuple;
  readonly after: TraceTuple;
  readonly iif: number;
  readonly oif: number;
  readonly mark: number;
}

/** A sink that keeps records in order, at most `limit` of them; `accept` narrows it to the packets of interest. */
export class TraceRecorder implements TraceSink {
  readonly records: TraceRecord[] = [];
  readonly #limit: number;
  readonly #accept: (tuple: TraceTuple, packet: number) => boolean;
  #packets = 0;
  /** By skb slot: the packet number and last tuple of the packet in it. */
  readonly #current = new Map<number, { packet: number; tuple: TraceTuple; stage: Stage }>();

  constructor(limit = 10_000, accept: (tuple: TraceTuple, packet: number) => boolean = () => true) {
    this.#limit = limit;
    this.#accept = accept;
  }

  stage(skb: Skb, stage: Stage): void {
    const tuple = tupleOf(skb);
    // A packet begins where it is received or sent by a local socket; anything else continues what its slot held.
    const begins =
      stage === 'RECEIVE' || (stage === 'OUTPUT' && skb.iif === 0 && this.#current.get(skb.id)?.stage !== 'OUTPUT');
    let current = this.#current.get(skb.id);
    if (begins || !current) current = { packet: ++this.#packets, tuple, stage };
    current.stage = stage;
    this.#current.set(skb.id, current);
    this.#add(skb, stage, null, stage, current.tuple, tuple, current);
  }

  action(skb: Skb, stage: Stage, rule: LazyText | string | null, action: LazyText | string): void {
    const tuple = tupleOf(skb);
    const current = this.#current.get(skb.id) ?? { packet: ++this.#packets, tuple, stage };
    this.#current.set(skb.id, current);
    this.#add(skb, stage, rule, action, current.tuple, tuple, current);
  }

  drop(skb: Skb, reason: DropReason): void {
    const current = this.#current.get(skb.id);
    if (!current) return;
    this.#add(skb, current.stage, null, `DROP ${DROP_REASONS[reason] ?? reason}`, current.tuple, tupleOf(skb), current);
    this.#current.delete(skb.id);
  }

  #add(
    skb: Skb,
    stage: Stage,
    rule: LazyText | string | null,
    action: LazyText | string,
    before: TraceTuple,
    after: TraceTuple,
    current: { packet: number; tuple: TraceTuple; stage: Stage },
  ): void {
    current.tuple = after;
    if (this.records.length >= this.#limit) return;
    if (!this.#accept(before, current.packet) && !this.#accept(after, current.packet)) return;
    this.records.push({
      packet: current.packet,
      stage,
      rule,
      action,
      before,
      after,
      iif: skb.iif,
      oif: skb.oif,
      mark: skb.mark,
    });
  }
}

export function textOf(text: LazyText | string): string {
  return typeof text === 'string' ? text : text.text();
}

/** `10.244.0.5:4321 > 10.96.0.10:53 udp`. */
export function formatTuple(t: TraceTuple): string {
  const proto =
    t.proto === IPPROTO_TCP
      ? 'tcp'
      : t.proto === IPPROTO_UDP
        ? 'udp'
        : t.proto === IPPROTO_ICMP
          ? 'icmp'
          : `proto ${t.proto}`;
  if (t.proto === IPPROTO_TCP || t.proto === IPPROTO_UDP) {
    return `${formatIPv4(t.saddr)}:${t.sport} > ${formatIPv4(t.daddr)}:${t.dport} ${proto}`;
  }
  if (t.proto === IPPROTO_ICMP) {
    return `${formatIPv4(t.saddr)} > ${formatIPv4(t.daddr)} icmp type ${t.dport >>> 8} code ${t.dport & 255} id ${t.sport}`;
  }
  return `${formatIPv4(t.saddr)} > ${formatIPv4(t.daddr)} ${proto}`;
}

function tupleOf(skb: Skb): TraceTuple {
  const b = skb.bytes;
  const { nh } = skb;
  if (skb.len < 20) return { saddr: 0, daddr: 0, proto: 0, sport: 0, dport: 0 };
  const proto = ipProto(b, nh);
  const th = nh + ((b[nh]! & 15) << 2);
  const hasFirst = th + 8 <= skb.tail && (get16(b, nh + 6) & 0x1fff) === 0;
  let sport = 0;
  let dport = 0;
  if (hasFirst && (proto === IPPROTO_TCP || proto === IPPROTO_UDP)) {
    sport = get16(b, th);
    dport = get16(b, th + 2);
  } else if (hasFirst && proto === IPPROTO_ICMP) {
    sport = get16(b, th + 4);
    dport = get16(b, th);
  }
  return { saddr: ipSaddr(b, nh), daddr: ipDaddr(b, nh), proto, sport, dport };
}
