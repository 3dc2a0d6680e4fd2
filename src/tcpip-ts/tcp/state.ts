// What the small numbers in a connection's fields stand for: its state, its phase of loss handling, what its retransmission timer
// waits for, and the events its application is still to hear of.

// States (RFC 9293, 3.3.2), numbered as include/net/tcp_states.h. LISTEN, the SYN-RECEIVED of passive opens and TIME-WAIT live in
// objects of their own (listener.ts, syn-queue.ts, time-wait.ts); a Connection is never in LISTEN or TIME_WAIT, and is in SYN_RECV
// only after a simultaneous open.
export const CLOSED = 0;
export const ESTABLISHED = 1;
export const SYN_SENT = 2;
/** Both sides sent SYN; ours is not acknowledged yet. */
export const SYN_RECV = 3;
/** We sent FIN. */
export const FIN_WAIT1 = 4;
/** Our FIN is acknowledged; the peer may still send. */
export const FIN_WAIT2 = 5;
export const TIME_WAIT = 6;
/** The peer sent FIN; we may still send. */
export const CLOSE_WAIT = 8;
/** As CLOSE_WAIT, and we sent FIN. */
export const LAST_ACK = 9;
export const LISTEN = 10;
/** Both sent FIN at the same time; ours is not acknowledged. */
export const CLOSING = 11;

export type TcpState = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 8 | 9 | 10 | 11;

export const STATE_NAMES: Readonly<Record<TcpState, string>> = {
  [CLOSED]: 'CLOSED',
  [ESTABLISHED]: 'ESTABLISHED',
  [SYN_SENT]: 'SYN-SENT',
  [SYN_RECV]: 'SYN-RECEIVED',
  [FIN_WAIT1]: 'FIN-WAIT-1',
  [FIN_WAIT2]: 'FIN-WAIT-2',
  [TIME_WAIT]: 'TIME-WAIT',
  [CLOSE_WAIT]: 'CLOSE-WAIT',
  [LAST_ACK]: 'LAST-ACK',
  [LISTEN]: 'LISTEN',
  [CLOSING]: 'CLOSING',
};

// Events waiting to be delivered.
export const EV_CONNECT = 1;
export const EV_READABLE = 2;
export const EV_WRITABLE = 4;
export const EV_CLOSE = 8;

// Phases of loss handling, after Linux's tcp_ca_state.
export const CA_OPEN = 0;
/** Duplicate ACKs or SACK blocks came; nothing deemed lost yet. */
export const CA_DISORDER = 1;
/** The window goes down because the network marked, not dropped (ecn.ts). */
export const CA_CWR = 2;
/** Fast recovery. */
export const CA_RECOVERY = 3;
/** After a timeout. */
export const CA_LOSS = 4;

// What the retransmission timer stands for.
export const REXMIT_OFF = 0;
export const REXMIT_RTO = 1;
/** Zero-window probe, or nothing in flight but data that could not be sent. */
export const REXMIT_PROBE = 2;
/** RACK waits out reordering. */
export const REXMIT_REORDER = 3;
/** Tail loss probe. */
export const REXMIT_TLP = 4;
