// The marks on records in flight and the sums that go with them, and the sending of what is marked lost. Every change of a mark
// goes through here, so that sackedOut, lostOut and retransOut of a connection always equal the sums over its records
// (without SACK, sackedOut is counted from duplicate ACKs instead: recovery.ts).
import { NETSTAT, SNMP } from '../counters.ts';
import { TCP_ACK, TCP_FIN, TCP_PSH } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import { isReducing } from './ecn.ts';
import { NO_SEGMENT, SEG_EVER, SEG_FIN, SEG_LOST, SEG_RETRANS, SEG_SACKED } from './segment-table.ts';
import { seqDiff, seqGeq } from './seq.ts';
import { CA_LOSS } from './state.ts';
import { emitData, segmentsOf } from './transmit.ts';

/** Cuts a record so that it ends at `at`, which must lie inside it; false when no record is to be had. */
export function splitRecord(c: Connection, i: number, at: number): boolean {
  const rest = c.layer.segments.split(i, at);
  if (rest === NO_SEGMENT) return false;
  if (c.tail === i) c.tail = rest;
  c.records++;
  return true;
}

/** Deems a record lost: it leaves the pipe until it is resent. Also for a retransmission that was lost again. */
export function markLost(c: Connection, i: number): void {
  const { flags, seq, end } = c.layer.segments;
  const len = seqDiff(end[i]!, seq[i]!);
  const f = flags[i]!;
  if ((f & SEG_SACKED) !== 0) return;
  if ((f & SEG_RETRANS) !== 0) {
    c.retransOut -= len;
    c.layer.counters.v[NETSTAT.TcpExtTCPLostRetransmit]!++;
  }
  if ((f & SEG_LOST) === 0) c.lostOut += len;
  flags[i] = (f | SEG_LOST) & ~SEG_RETRANS;
}

/** The peer holds it. Returns the bytes that were not known to be there. */
export function markSacked(c: Connection, i: number): number {
  const { flags, seq, end } = c.layer.segments;
  const len = seqDiff(end[i]!, seq[i]!);
  const f = flags[i]!;
  if ((f & SEG_SACKED) !== 0) return 0;
  if ((f & SEG_LOST) !== 0) c.lostOut -= len;
  if ((f & SEG_RETRANS) !== 0) c.retransOut -= len;
  c.sackedOut += len;
  flags[i] = (f | SEG_SACKED) & ~(SEG_LOST | SEG_RETRANS);
  return len;
}

/** Takes `len` acknowledged bytes with marks `f` out of the sums. */
export function unaccount(c: Connection, f: number, len: number): void {
  if ((f & SEG_SACKED) !== 0) c.sackedOut -= len;
  if ((f & SEG_LOST) !== 0) c.lostOut -= len;
  if ((f & SEG_RETRANS) !== 0) c.retransOut -= len;
}

/** Forgets all marks of loss: nothing was. */
export function unmarkLost(c: Connection): void {
  const { flags, next } = c.layer.segments;
  for (let i = c.head; i !== NO_SEGMENT; i = next[i]!) flags[i]! &= ~SEG_LOST;
  c.lostOut = 0;
}

/** Resends records marked lost, oldest first, as far as the window goes; the first of a recovery goes in any case. */
export function retransmitLost(c: Connection): void {
  const { flags, seq, end, next } = c.layer.segments;
  for (let i = c.head; i !== NO_SEGMENT && c.lostOut > c.retransOut; i = next[i]!) {
    if ((flags[i]! & (SEG_LOST | SEG_RETRANS)) !== SEG_LOST) continue;
    const len = seqDiff(end[i]!, seq[i]!);
    let quota = c.cwnd - c.inFlight;
    if (quota < len) {
      quota -= quota % c.mss;
      if (quota <= 0) {
        if (!c.forceRetransmit) return;
        quota = c.mss;
      }
    }
    c.forceRetransmit = false;
    const most = Math.min(quota, c.maxPayload);
    if (len > most && !splitRecord(c, i, (seq[i]! + most) | 0)) return;
    if (!retransmit(c, i)) return;
    c.layer.counters.v[c.caState === CA_LOSS ? NETSTAT.TcpExtTCPSlowStartRetrans : NETSTAT.TcpExtTCPFastRetrans]!++;
    if (isReducing(c)) c.prrOut += seqDiff(end[i]!, seq[i]!);
  }
}

/** Sends record `i` again. It must not be longer than maxPayload. False when it could not be sent. */
export function retransmit(c: Connection, i: number): boolean {
  const { layer } = c;
  const { segments } = layer;
  const seq = segments.seq[i]!;
  const f = segments.flags[i]!;
  const len = seqDiff(segments.end[i]!, seq);
  // What the peer took back from its window waits, but for the first segment: that one is also the probe.
  if (i !== c.head && seqGeq(seq, (c.sndUna + c.sndWnd) | 0)) return false;
  const isFin = (f & SEG_FIN) !== 0;
  const data = isFin ? len - 1 : len;
  const flags = TCP_ACK | (isFin ? TCP_FIN : 0) | (i === c.tail && data > 0 ? TCP_PSH : 0);
  if (!emitData(c, seq, flags, seqDiff(seq, c.sndUna), data)) {
    layer.counters.v[NETSTAT.TcpExtTCPRetransFail]!++;
    return false;
  }
  layer.counters.v[SNMP.TcpRetransSegs]! += segmentsOf(c, data);
  if ((f & SEG_RETRANS) === 0) c.retransOut += len;
  // A loss probe resends what is not marked: then it is in the pipe twice, as it is on the wire.
  segments.flags[i] = f | SEG_RETRANS | SEG_EVER;
  segments.sentUs[i] = layer.nowUs;
  if (c.retransStamp === 0) c.retransStamp = (layer.nowMs + c.tsOffset) | 0 || 1;
  c.undoRetrans += len;
  return true;
}
