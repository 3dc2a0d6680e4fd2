// Why packets are not delivered: one table of reasons, named as Linux enum skb_drop_reason (include/net/dropreason-core.h,
// v6.6) without the prefix; the last block holds reasons that Linux counts elsewhere. Leaves out: the subsystem part of the reason
// word.

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
