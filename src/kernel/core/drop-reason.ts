// Why packets are not delivered: one table of reasons, named as Linux enum skb_drop_reason (include/net/dropreason-core.h,
// v6.6) without the prefix; the last block holds reasons that Linux counts elsewhere. Counted for the whole Node and for
// the device the packet came in by. Leaves out: the subsystem part of the reason word.
import type { Skb } from '../../tcpip-ts/skb.ts';
import type { TracePoints } from './trace.ts';

export const DROP_REASONS = [
  'NOT_SPECIFIED',
  'NO_SOCKET',
  'PKT_TOO_SMALL',
  'TCP_CSUM',
  'UDP_CSUM',
  'ICMP_CSUM',
  'NETFILTER_DROP',
  'OTHERHOST',
  'IP_CSUM',
  'IP_INHDR',
  'IP_NOPROTO',
  'IP_OUTNOROUTES',
  'IP_INNOROUTES',
  'IP_INVALID_SOURCE',
  'IP_INVALID_DEST',
  'IP_LOCAL_SOURCE',
  'IP_LOCALNET',
  'NEIGH_FAILED',
  'NEIGH_QUEUEFULL',
  'NEIGH_DEAD',
  'PKT_TOO_BIG',
  'DUP_FRAG',
  'FRAG_REASM_TIMEOUT',
  'FRAG_TOO_FAR',
  'NOMEM',
  'DEV_HDR',
  'DEV_READY',
  'SKB_GSO_SEG',
  'CPU_BACKLOG',
  'HDR_TRUNC',
  'UNHANDLED_PROTO',
  'UNICAST_IN_L2_MULTICAST',
  'CONSUMED',
  // Not in skb_drop_reason: Linux drops these as NETFILTER_DROP, or without a reason.
  'NF_REJECT',
  'BLACKHOLE',
  'IPVS_NO_DEST',
  'IPVS_EXPIRED_CONN',
] as const;

export type DropReasonName = (typeof DROP_REASONS)[number];
export type DropReason = number & { readonly __brand?: 'DropReason' };

/** DropReason.NO_SOCKET and so on: small integers, indices of DROP_REASONS. */
export const DropReason = Object.freeze(Object.fromEntries(DROP_REASONS.map((name, i) => [name, i]))) as {
  readonly [name in DropReasonName]: DropReason;
};

export class Drops {
  /** Packets dropped, by reason. */
  readonly counts = new Float64Array(DROP_REASONS.length);
  /** The same for each device by ifindex; 0 is for packets made here. */
  readonly #byDevice: (Float64Array | undefined)[] = [new Float64Array(DROP_REASONS.length)];
  readonly #trace: TracePoints;

  constructor(trace: TracePoints) {
    this.#trace = trace;
  }

  /** Counts and frees `skb`. CONSUMED frees without counting: not a drop, kept so that one call ends every packet. */
  drop(skb: Skb, reason: DropReason): void {
    if (this.#trace.sink !== null) this.#trace.sink.drop(skb, reason);
    if (reason !== DropReason.CONSUMED) {
      this.counts[reason]!++;
      const device = this.#byDevice[skb.iif];
      if (device !== undefined) device[reason]!++;
    }
    skb.free();
  }

  /** Counts a packet that is freed elsewhere, such as one thrown out of a neighbour's queue. */
  tally(iif: number, reason: DropReason): void {
    this.counts[reason]!++;
    const device = this.#byDevice[iif];
    if (device !== undefined) device[reason]!++;
  }

  /** Starts (and clears) the counters of a device. */
  register(ifindex: number): void {
    this.#byDevice[ifindex] = new Float64Array(DROP_REASONS.length);
  }

  unregister(ifindex: number): void {
    this.#byDevice[ifindex] = undefined;
  }

  /** Reasons that occurred, by name; of one device when `ifindex` is given. */
  snapshot(ifindex?: number): Partial<Record<DropReasonName, number>> {
    const counts = ifindex === undefined ? this.counts : this.#byDevice[ifindex];
    const out: Partial<Record<DropReasonName, number>> = {};
    counts?.forEach((n, i) => {
      if (n > 0) out[DROP_REASONS[i]!] = n;
    });
    return out;
  }
}
