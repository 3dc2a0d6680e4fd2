// Explicit congestion notification (RFC 3168, 6.1), after Linux's tcp_ecn_* and tcp_enter_cwr: a router that is filling up marks a
// packet (CE) instead of dropping it, the receiver says so on every segment (ECE) until the sender has answered (CWR), and the sender
// lowers its window as if the packet had been lost, once a window.
//
//   sender ──ECT data──▶ router ──CE──▶ receiver: DEMAND set ──ECE──▶ sender: CA_CWR, QUEUE set ──CWR data──▶ receiver: DEMAND cleared
//
// - Only new data is sent as capable: not acknowledgments, probes or what is sent again (6.1.4 to 6.1.6), nor SYNs (6.1.1).
// - Any other reduction of the window is announced by CWR as well.
// - A SYN that asks and goes unanswered is repeated without asking (6.1.1.1; Linux's tcp_ecn_fallback).
// - CWR leaves in a segment of its own size, never in a super-segment, so that no link has to know which piece keeps it.
// Leaves out: accurate ECN, the nonce.
import { TCP_CWR, TCP_ECE, TCP_SYN } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import type { SegmentInfo } from './options.ts';
import { CA_CWR, CA_RECOVERY } from './state.ts';

// Bits of Connection.ecn.
/** Both sides speak it; before the SYN is answered: we asked. */
export const ECN_OK = 1;
/** A mark arrived: say so until CWR comes. */
export const ECN_DEMAND = 2;
/** The window went down: the next new data says so. */
export const ECN_QUEUE = 4;

const ASKS = TCP_ECE | TCP_CWR;

/** Whether a SYN asks for ECN (6.1.1). One that is itself sent as capable is no good SYN: Linux does not believe it either. */
export function asksForEcn(seg: SegmentInfo): boolean {
  return (seg.flags & ASKS) === ASKS && seg.ecn === 0;
}

/** The answer to our SYN: a SYN-ACK grants with ECE alone, a crossing SYN must ask as ours did. */
export function agreeEcn(c: Connection, seg: SegmentInfo, isSynAck: boolean): void {
  const granted = isSynAck ? (seg.flags & ASKS) === TCP_ECE : (seg.flags & ASKS) === ASKS;
  if (!granted) c.ecn = 0;
}

/** Data came that may answer our ECE. Before its own mark is looked at: a segment may bring both. */
export function takeCwr(c: Connection, seg: SegmentInfo): void {
  if ((c.ecn & ECN_DEMAND) === 0 || (seg.flags & TCP_CWR) === 0) return;
  c.ecn &= ~ECN_DEMAND;
  c.ackNow = true;
}

/** New data came with a mark. */
export function takeMark(c: Connection): void {
  if ((c.ecn & ECN_OK) === 0) return;
  if ((c.ecn & ECN_DEMAND) === 0) c.quickacks = Math.max(c.quickacks, 2);
  c.ecn |= ECN_DEMAND;
}

/** Whether an acknowledgment reports a mark. */
export function isEcho(c: Connection, seg: SegmentInfo): boolean {
  return (c.ecn & ECN_OK) !== 0 && (seg.flags & (TCP_ECE | TCP_SYN)) === TCP_ECE;
}

/** The window is going down, for whatever reason: the peer is to hear of it. */
export function queueCwr(c: Connection): void {
  if ((c.ecn & ECN_OK) !== 0) c.ecn |= ECN_QUEUE;
}

/** An echo came: lowers the window gently (proportional rate reduction) unless that is happening already. */
export function enterCwr(c: Connection): void {
  if (c.caState >= CA_CWR) return;
  startReduction(c);
  c.caState = CA_CWR;
}

/** What a reduction begins with, in CWR and in RECOVERY: the new threshold, and the books of RFC 6937. */
export function startReduction(c: Connection): void {
  c.prrFlight = Math.max(c.cwnd, c.mss);
  c.prrDelivered = 0;
  c.prrOut = 0;
  c.ssthresh = c.cc.ssthresh(c.cwnd, c.mss, c.layer.nowUs);
  c.highSeq = c.sndNxt;
  queueCwr(c);
}

/** In a reduction of the window by RFC 6937. */
export function isReducing(c: Connection): boolean {
  return c.caState === CA_CWR || c.caState === CA_RECOVERY;
}
