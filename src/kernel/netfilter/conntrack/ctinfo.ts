// What skb.ct and skb.ctinfo say, after uapi/linux/netfilter/nf_conntrack_common.h: the relation of a packet to its
// connection, and the connection's status bits.

export const IP_CT_DIR_ORIGINAL = 0;
export const IP_CT_DIR_REPLY = 1;
export type Direction = 0 | 1;

// skb.ctinfo; meaningless while skb.ct is 0, except IP_CT_UNTRACKED.
export const IP_CT_ESTABLISHED = 0;
export const IP_CT_RELATED = 1;
export const IP_CT_NEW = 2;
export const IP_CT_IS_REPLY = 3;
export const IP_CT_ESTABLISHED_REPLY = 3;
export const IP_CT_RELATED_REPLY = 4;
export const IP_CT_UNTRACKED = 7;

/** CTINFO2DIR. */
export function ctinfoDirection(ctinfo: number): Direction {
  return ctinfo >= IP_CT_IS_REPLY ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL;
}

export const IPS_SEEN_REPLY = 1 << 1;
/** Not to be dropped early when the table is full. */
export const IPS_ASSURED = 1 << 2;
/** In the hash table; until then the connection belongs to one packet. */
export const IPS_CONFIRMED = 1 << 3;
/** The reply tuple differs from the inverted original in its destination (SRC) or source (DST): packets are rewritten. */
export const IPS_SRC_NAT = 1 << 4;
export const IPS_DST_NAT = 1 << 5;
export const IPS_NAT_MASK = IPS_SRC_NAT | IPS_DST_NAT;
/** The nat table has been asked (once a connection and kind), whatever it answered. */
export const IPS_SRC_NAT_DONE = 1 << 7;
export const IPS_DST_NAT_DONE = 1 << 8;
export const IPS_NAT_DONE_MASK = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE;
/** Taken out of the hash table; its slot is freed when the last packet lets go of it. */
export const IPS_DYING = 1 << 9;
