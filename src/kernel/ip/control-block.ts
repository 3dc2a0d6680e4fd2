// What skb.cb0 means while a packet is in the emulated kernel (Linux: the flags of struct inet_skb_parm, and pkt_type). A device
// or the local link clears it on the way in, and nobody outside reads it on the way out.

/** The frame went to more than one station. */
export const IPCB_GROUP = 1;
/** Routed through, not made here. */
export const IPCB_FORWARDED = 2;
