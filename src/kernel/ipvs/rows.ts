// What a packet reads and writes of a virtual service and of a real server: a row each in a typed array. A connection's first
// packet among ten thousand Services finds everything of its Service cold, and as objects (the service, its scheduler, the real
// server) that was eight lines of the processor's cache, half of what the whole path costs; as rows it is two.
//
//   service (ServiceTable.words)   address | proto, port | flags | head | cursor | is rr | - | -
//   dest (DestTable.words)         port, flags | active | inactive | persistent | next | address
//        (DestTable.stats)         five counters, doubles, in the rest of the same 64 bytes

/** No row. */
export const NONE = -1;

/** Words of a service's row. */
export const SVC_ROW = 8;
export const SVC_ADDR = 0;
/** proto << 16 | port */
export const SVC_KEY = 1;
/** SVC_F_* */
export const SVC_FLAGS = 2;
/** The first dest of the list. */
export const SVC_HEAD = 3;
/** Of round robin: the dest chosen last, NONE at first. */
export const SVC_CURSOR = 4;
/** 1: the scheduler is rr, which needs the rows alone. Others are asked through the VirtualService. */
export const SVC_IS_RR = 5;

/** Words and doubles of a dest's row: 64 bytes. */
export const DEST_ROW = 16;
export const STATS = 8;
/** port << 16 | DEST_* */
export const DEST_FLAGS = 0;
export const DEST_ACTIVE_CONNS = 1;
export const DEST_INACT_CONNS = 2;
/** Templates. */
export const DEST_PERSIST_CONNS = 3;
/** The next dest of the service's list. */
export const DEST_NEXT = 4;
export const DEST_ADDR = 5;
/** IP_VS_DEST_F_AVAILABLE: off once deleted. */
export const DEST_AVAILABLE = 1;
/** Takes new connections: it has a weight and is not overloaded. */
export const DEST_USABLE = 2;
/** Has a threshold. */
export const DEST_LIMITED = 4;

/** Counters of a dest and of a service, the first of them. */
export const STAT_CONNS = 3;
export const STAT_IN_PKTS = 4;
export const STAT_IN_BYTES = 5;
export const STAT_OUT_PKTS = 6;
export const STAT_OUT_BYTES = 7;
