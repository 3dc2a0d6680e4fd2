// What a sender does about loss: when to believe in it, how much to send meanwhile, when it is over. After Linux's
// tcp_fastretrans_alert, over the marks of retransmit.ts.
//
//   OPEN ──duplicates, SACK──▶ DISORDER ──something LOST──▶ RECOVERY ──highSeq acknowledged──▶ OPEN
//     ├──────────── timeout from any state ──▶ LOSS (all LOST, one segment, slow start) ──highSeq──▶ OPEN
//     └──────────── the network marked ──▶ CWR (ecn.ts; nothing is lost) ──beyond highSeq──▶ OPEN
//
// - With SACK, RACK marks (rack.ts). Without, three duplicate ACKs mark the first segment, and in RECOVERY each partial
//   acknowledgment marks the next (RFC 6582); each duplicate stands for one segment that left the network, which gives limited
//   transmit (RFC 3042) and NewReno's inflation by the pipe's own rule: send while inFlight < cwnd.
// - In RECOVERY cwnd follows proportional rate reduction (RFC 6937, with its slow-start part as in RFC 9937's safe form).
// - Undo: a timestamp echo older than the first retransmission (RFC 3522, 4015), or DSACKs for all that was resent (RFC 3708),
//   prove the episode needless: the windows return to where they were. F-RTO (RFC 5682) is left out: timestamps do its job.
import { NETSTAT } from '../counters.ts';
import type { Connection } from './connection.ts';
import { enterCwr, isEcho, isReducing, queueCwr, startReduction } from './ecn.ts';
import type { SegmentInfo } from './options.ts';
import { markLost, splitRecord, unmarkLost } from './retransmit.ts';
import { NO_SEGMENT, SEG_LOST, SEG_SACKED } from './segment-table.ts';
import { seqDiff, seqGeq, seqGt } from './seq.ts';
import { CA_CWR, CA_DISORDER, CA_LOSS, CA_OPEN, CA_RECOVERY } from './state.ts';
import { DUPTHRESH } from './tunables.ts';

/** A retransmission timeout: nothing that was sent is believed to be in the network any more. */
export function enterLoss(c: Connection): void {
  const { layer } = c;
  const { flags, next } = layer.segments;
  if (c.caState <= CA_DISORDER || seqGeq(c.sndUna, c.highSeq)) {
    rememberForUndo(c);
    c.ssthresh = c.cc.ssthresh(c.cwnd, c.mss, layer.nowUs);
  }
  c.cc.reset();
  // A SACKed head cannot be: the peer threw away what it held (RFC 2018, 8).
  const reneged = c.head !== NO_SEGMENT && (flags[c.head]! & SEG_SACKED) !== 0;
  if (reneged) layer.counters.v[NETSTAT.TcpExtTCPSACKReneging]!++;
  for (let i = c.head; i !== NO_SEGMENT; i = next[i]!) {
    if (reneged) flags[i]! &= ~SEG_SACKED;
    markLost(c, i);
  }
  if (reneged || !c.sackOk) c.sackedOut = 0;
  c.dupAcks = 0;
  c.tlpOut = false;
  c.cwnd = c.mss;
  c.caState = CA_LOSS;
  c.highSeq = c.sndNxt;
  c.forceRetransmit = true;
  queueCwr(c);
}

/**
 * After an acknowledgment: `acked` bytes at the left, `delivered` in all that the peer was not known to hold, `isDuplicate` by
 * RFC 5681's definition. Moves between states and sets cwnd; sending is the caller's.
 */
export function afterAck(
  c: Connection,
  seg: SegmentInfo,
  acked: number,
  delivered: number,
  isDuplicate: boolean,
  newlyLost: boolean,
): void {
  const marked = isEcho(c, seg);
  if (marked) {
    c.undoCwnd = 0; // the mark is a fact
    c.layer.counters.v[NETSTAT.TcpExtTCPDeliveredCE]! += Math.ceil(delivered / c.mss);
  }
  if (acked > 0 && tryUndoByTimestamp(c, seg)) return;
  // The peer must have seen CWR before the next echo can mean another mark: beyond highSeq.
  if (c.caState === CA_CWR ? seqGt(c.sndUna, c.highSeq) : c.caState >= CA_RECOVERY && seqGeq(c.sndUna, c.highSeq))
    leaveRecovery(c);
  if (!c.sackOk) delivered = countDuplicates(c, acked, isDuplicate);
  // RFC 6582's "recover", once passed, follows: two gigabytes later it would seem to lie ahead.
  if (c.caState <= CA_DISORDER && seqGt(c.sndUna, c.highSeq)) c.highSeq = (c.sndUna - 1) | 0;
  onLossFound(c);
  if (marked) enterCwr(c);
  if (isReducing(c)) {
    proportionalReduction(c, delivered, acked > 0 && !newlyLost);
  } else if (acked > 0) {
    grow(c, acked);
  }
}

/** Enters RECOVERY if marks ask for it, DISORDER if there is reason to watch. */
export function onLossFound(c: Connection): void {
  if (c.caState >= CA_RECOVERY) return;
  if (c.lostOut > 0) enterRecovery(c);
  else if (c.caState !== CA_CWR) c.caState = c.sackedOut > 0 ? CA_DISORDER : CA_OPEN;
}

/** Everything resent in this episode was reported as received twice. */
export function tryUndoByDsack(c: Connection): void {
  if (c.undoCwnd === 0 || c.undoRetrans > 0 || c.caState < CA_RECOVERY) return;
  c.layer.counters.v[NETSTAT.TcpExtTCPDSACKUndo]!++;
  undo(c);
}

function enterRecovery(c: Connection): void {
  const { layer } = c;
  layer.counters.v[c.sackOk ? NETSTAT.TcpExtTCPSackRecovery : NETSTAT.TcpExtTCPRenoRecovery]!++;
  // A window that is going down for a mark does not go down twice, and what a mark did is not undone.
  if (c.caState !== CA_CWR) {
    rememberForUndo(c);
    startReduction(c);
  }
  c.caState = CA_RECOVERY;
  c.forceRetransmit = true;
}

function leaveRecovery(c: Connection): void {
  if (isReducing(c)) c.cwnd = Math.max(c.ssthresh, c.mss);
  c.caState = CA_OPEN;
  c.dupAcks = 0;
  c.undoCwnd = 0;
  c.retransStamp = 0;
  c.forceRetransmit = false;
  if (!c.sackOk) c.sackedOut = 0;
}

/** Without SACK. Returns the bytes that this acknowledgment shows to have arrived. */
function countDuplicates(c: Connection, acked: number, isDuplicate: boolean): number {
  const outstanding = seqDiff(c.sndNxt, c.sndUna);
  if (acked > 0) {
    // The first segment fills the hole; the rest are those that the duplicates stood for.
    const delivered = Math.max(acked - c.sackedOut, Math.min(acked, c.mss));
    c.sackedOut = Math.max(0, c.sackedOut - Math.max(0, acked - c.mss));
    c.dupAcks = 0;
    if (c.caState === CA_RECOVERY) {
      markHeadLost(c);
      c.forceRetransmit = true; // RFC 6582, 3.2, step 5: whatever the pipe
    } else if (c.caState !== CA_LOSS) c.sackedOut = 0;
    capDuplicates(c);
    return delivered;
  }
  if (!isDuplicate || c.caState === CA_LOSS) return 0;
  c.dupAcks++;
  c.sackedOut += c.mss;
  capDuplicates(c);
  // RFC 6582, 3.2, step 2: duplicates of what an earlier episode resent start no new one.
  if (c.dupAcks >= DUPTHRESH && c.caState < CA_RECOVERY && outstanding > 0 && seqGt(c.sndUna, c.highSeq))
    markHeadLost(c);
  return c.mss;
}

function capDuplicates(c: Connection): void {
  const most = Math.max(0, seqDiff(c.sndNxt, c.sndUna) - c.lostOut - c.mss);
  if (c.sackedOut > most) c.sackedOut = most;
}

function markHeadLost(c: Connection): void {
  const { segments } = c.layer;
  const i = c.head;
  if (i === NO_SEGMENT || (segments.flags[i]! & SEG_LOST) !== 0) return;
  const at = (segments.seq[i]! + c.mss) | 0;
  if (seqGt(segments.end[i]!, at)) splitRecord(c, i, at);
  markLost(c, i);
  capDuplicates(c);
}

/** RFC 6937. */
function proportionalReduction(c: Connection, delivered: number, goesWell: boolean): void {
  const pipe = c.inFlight;
  c.prrDelivered += delivered;
  let room: number;
  if (pipe > c.ssthresh) {
    room = Math.ceil((c.ssthresh * c.prrDelivered) / c.prrFlight) - c.prrOut;
  } else {
    room = Math.max(c.prrDelivered - c.prrOut, delivered);
    if (goesWell) room += c.mss;
    room = Math.min(c.ssthresh - pipe, room);
  }
  c.cwnd = pipe + Math.max(room, c.prrOut === 0 ? c.mss : 0);
}

/** Slow start or avoidance, if the window was what held us back. */
function grow(c: Connection, acked: number): void {
  const { layer } = c;
  const inSlowStart = c.cwnd < c.ssthresh;
  const flight = seqDiff(c.sndNxt, c.sndUna) + acked;
  if (!c.cwndLimited && c.caState !== CA_LOSS && !(inSlowStart && c.cwnd < 2 * flight)) return;
  const cwnd = c.cc.onAck(c.cwnd, c.ssthresh, acked, c.mss, c.rto.srttUs, layer.nowUs);
  c.cwnd = Math.min(cwnd, layer.options.maxCwnd);
}

function rememberForUndo(c: Connection): void {
  c.undoMarker = c.sndUna;
  c.undoCwnd = c.cwnd;
  c.undoSsthresh = c.ssthresh;
  c.undoRetrans = 0;
  c.retransStamp = 0;
}

function tryUndoByTimestamp(c: Connection, seg: SegmentInfo): boolean {
  if (c.undoCwnd === 0 || c.caState < CA_RECOVERY || !seg.hasTs || seg.tsEcr === 0) return false;
  if (c.retransStamp === 0 || seqDiff(seg.tsEcr, c.retransStamp) >= 0) return false;
  const { v } = c.layer.counters;
  if (c.caState === CA_LOSS) v[NETSTAT.TcpExtTCPSpuriousRTOs]!++;
  v[c.caState === CA_LOSS ? NETSTAT.TcpExtTCPLossUndo : NETSTAT.TcpExtTCPFullUndo]!++;
  undo(c);
  return true;
}

function undo(c: Connection): void {
  unmarkLost(c);
  c.cwnd = Math.max(c.cwnd, c.undoCwnd);
  c.ssthresh = Math.max(c.ssthresh, c.undoSsthresh);
  c.undoCwnd = 0;
  c.retransStamp = 0;
  c.dupAcks = 0;
  c.forceRetransmit = false;
  if (!c.sackOk) c.sackedOut = 0;
  c.caState = c.sackedOut > 0 ? CA_DISORDER : CA_OPEN;
  c.rackReoWndMult = Math.min(c.rackReoWndMult + 1, 255);
}
