// What a connection may send, when, in which pieces, after RFC 9293 3.8 and Linux's tcp_write_xmit. The pieces themselves are made in
// transmit.ts.
//
//   output ─▶ retransmitLost   records marked LOST, as far as cwnd goes
//          ─▶ sendNew          new data: window, cwnd, Nagle (as Minshall modified it), silly window avoidance
//          ─▶ timers           an RTO or loss probe for what is in flight, a window probe for what could not leave
import { NETSTAT } from '../counters.ts';
import { TCP_ACK, TCP_FIN, TCP_PSH } from '../wire/tcp.ts';
import { initialWindow } from './congestion.ts';
import type { Connection } from './connection.ts';
import { ECN_QUEUE, isReducing } from './ecn.ts';
import { retransmitLost } from './retransmit.ts';
import { NO_SEGMENT, SEG_FIN } from './segment-table.ts';
import { seqDiff, seqGt } from './seq.ts';
import { REXMIT_OFF, REXMIT_PROBE, SYN_RECV, SYN_SENT } from './state.ts';
import { armProbe, armRexmit } from './timers.ts';
import { emitData, segmentsOf } from './transmit.ts';
import { CONNECTION_SEGMENTS_MAX } from './tunables.ts';

/** Sends what may be sent now, the oldest first. Acknowledges on the way. */
export function output(c: Connection): void {
  if (c.slot < 0) return;
  c.layer.stamp();
  if (c.lostOut > c.retransOut) retransmitLost(c);
  sendNew(c, false);
  if (c.sndNxt !== c.sndUna) {
    if (c.rexmitMode === REXMIT_OFF || c.rexmitMode === REXMIT_PROBE) armRexmit(c);
  } else if (c.rexmitMode === REXMIT_OFF && hasUnsent(c)) {
    armProbe(c);
  }
}

/** Data or FIN that has never left. */
export function hasUnsent(c: Connection): boolean {
  return c.unsent > 0 || (c.finQueued && !c.finSent);
}

/** Sends new data; with `force` (a window probe, a loss probe) one segment of at least a byte whatever the rules, if the window lets it. */
export function sendNew(c: Connection, force: boolean): boolean {
  if (c.finSent || c.state === SYN_SENT || c.state === SYN_RECV) return false;
  restartAfterIdle(c);
  c.cwndLimited = false;
  let any = false;
  for (;;) {
    const unsent = c.unsent;
    if (unsent === 0 && !c.finQueued) return any;
    const len = force ? forcedLength(c, unsent) : allowedLength(c, unsent);
    if (len < 0 || !sendPiece(c, len, len === unsent)) return any;
    any = true;
    if (force || c.finSent) return true;
  }
}

/** How many bytes the next segment may take; -1: nothing may leave. 0 is a lone FIN. */
function allowedLength(c: Connection, unsent: number): number {
  const window = c.sndWnd - seqDiff(c.sndNxt, c.sndUna);
  if (unsent === 0) return window > 0 ? 0 : -1;
  const mss = c.mss;
  let len = Math.min(unsent, window, (c.ecn & ECN_QUEUE) !== 0 ? mss : c.maxPayload);
  if (len <= 0) return -1;
  const quota = c.cwnd - c.inFlight;
  if (len > quota) {
    c.cwndLimited = true;
    if (quota < mss) return -1;
    len = quota;
  }
  if (len < unsent) {
    if (len >= mss) return len - (len % mss);
    // The window is small, not the data: wait for half of the largest it ever was.
    return len >= c.sndMaxWnd >> 1 ? len : -1;
  }
  const rest = len % mss;
  const hasSmall = seqGt(c.sndSml, c.sndUna) && !seqGt(c.sndSml, c.sndNxt); // and not one of two gigabytes ago
  if (rest === 0 || c.noDelay || c.finQueued || !hasSmall) return len;
  return len > mss ? len - rest : -1; // Nagle: a small segment is under way already
}

function forcedLength(c: Connection, unsent: number): number {
  const window = c.sndWnd - seqDiff(c.sndNxt, c.sndUna);
  if (window <= 0) return -1;
  return Math.min(unsent, window, c.mss);
}

/** RFC 5681, 4.1: after an idle RTO the window says nothing about the path any more. */
function restartAfterIdle(c: Connection): void {
  if (c.sndNxt !== c.sndUna || c.layer.nowMs - c.lastSentMs <= c.rto.ms) return;
  const restart = initialWindow(c.mss);
  if (c.cwnd > restart) {
    c.cwnd = restart;
    c.cc.reset();
  }
}

/** Sends the next `len` bytes, with FIN when it is time; false when there was no packet or record to be had. */
function sendPiece(c: Connection, len: number, isLast: boolean): boolean {
  const { layer } = c;
  const { segments } = layer;
  const seq = c.sndNxt;
  let flags = TCP_ACK;
  let end = (seq + len) | 0;
  if (isLast) {
    if (len > 0) flags |= TCP_PSH;
    if (c.finQueued && c.sndWnd - seqDiff(end, c.sndUna) > 0) {
      flags |= TCP_FIN;
      end = (end + 1) | 0;
    }
  }
  if (c.records >= CONNECTION_SEGMENTS_MAX) return false; // the next acknowledgment makes room
  const record = segments.alloc(seq, end, layer.nowUs, (flags & TCP_FIN) !== 0 ? SEG_FIN : 0);
  if (record === NO_SEGMENT) return false;
  if (!emitData(c, seq, flags, seqDiff(seq, c.sndUna), len)) {
    segments.free(record);
    return false;
  }
  segments.prev[record] = c.tail;
  if (c.tail === NO_SEGMENT) {
    c.head = record;
    c.rackValid = false; // of what is gone; its 32-bit times hold for half an hour
  } else segments.next[c.tail] = record;
  c.tail = record;
  c.records++;
  c.sndNxt = end;
  if ((flags & TCP_FIN) !== 0) c.finSent = true;
  if (len % c.mss !== 0) c.sndSml = end;
  if (isReducing(c)) c.prrOut += len;
  layer.counters.v[NETSTAT.TcpExtTCPOrigDataSent]! += segmentsOf(c, len);
  return true;
}
