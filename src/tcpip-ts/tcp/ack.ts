// What an arrived acknowledgment says about what we sent (RFC 9293, 3.10.7.4, fifth; Linux's tcp_ack): how much is gone from the
// left, which ranges beyond are there (SACK, RFC 2018; duplicates, RFC 2883), how long it took, how much more the peer takes.
import { NETSTAT } from '../counters.ts';
import { TCP_FIN, TCP_SYN } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import { isEcho, queueCwr } from './ecn.ts';
import type { SegmentInfo } from './options.ts';
import { detectLost, rackDelivered } from './rack.ts';
import { afterAck, tryUndoByDsack } from './recovery.ts';
import { markSacked, splitRecord, unaccount } from './retransmit.ts';
import { NO_SEGMENT, SEG_EVER, SEG_SACKED } from './segment-table.ts';
import { seqDiff, seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import { CA_LOSS, CA_OPEN, EV_WRITABLE, REXMIT_PROBE, REXMIT_REORDER } from './state.ts';
import { armReneged, armRexmit, stopRexmit } from './timers.ts';
import { sendChallengeAck, sendLimitedAck } from './transmit.ts';
import { CONNECTION_SEGMENTS_MAX } from './tunables.ts';

/** Works the acknowledgment in. False: the segment is not to be believed, drop it (it has been answered). */
export function processAck(c: Connection, seg: SegmentInfo): boolean {
  const { layer } = c;
  const ack = seg.ack;
  if (seqGt(ack, c.sndNxt)) {
    sendLimitedAck(c);
    return false;
  }
  const acked = seqDiff(ack, c.sndUna);
  if (acked < 0) {
    // RFC 5961, 5.2.
    if (acked < -c.sndMaxWnd) {
      sendChallengeAck(c);
      return false;
    }
    if (seg.sackBlocks > 0 && c.sackOk && processSack(c, seg) > 0) {
      const lost = detectLost(c);
      afterAck(c, seg, 0, 0, false, lost);
    }
    return true;
  }
  const outstanding = seqDiff(c.sndNxt, c.sndUna);
  const windowMoved = updateWindow(c, seg);
  if (outstanding === 0) {
    c.retries = 0;
    return true;
  }
  let delivered = 0;
  if (acked > 0) {
    delivered = takeAcked(c, seg);
    c.retries = 0;
  }
  const wasReported = seg.sackBlocks > 0 && c.sackOk;
  const sacked = wasReported ? processSack(c, seg) : 0;
  delivered += sacked;
  layer.counters.v[NETSTAT.TcpExtTCPDelivered]! += Math.ceil(delivered / c.mss);
  const isDuplicate =
    acked === 0 && seg.len === 0 && !windowMoved && (seg.flags & (TCP_SYN | TCP_FIN)) === 0 && outstanding > 0;
  if (c.tlpOut) endTailLossProbe(c, seg, isDuplicate);
  if (acked > 0 || sacked > 0 || isDuplicate || c.caState !== CA_OPEN || isEcho(c, seg)) {
    if (c.rexmitMode === REXMIT_REORDER) stopRexmit(c); // detectLost sets it again
    const lost = c.sackOk && (c.sackedOut > 0 || c.lostOut > 0 || c.caState !== CA_OPEN) ? detectLost(c) : false;
    afterAck(c, seg, acked, delivered, isDuplicate, lost);
  }
  if (c.sndNxt === c.sndUna) stopRexmit(c);
  else if (acked > 0 && (layer.segments.flags[c.head]! & SEG_SACKED) !== 0) armReneged(c);
  else if ((acked > 0 || sacked > 0) && c.rexmitMode !== REXMIT_REORDER) armRexmit(c);
  else if (c.rexmitMode === 0) armRexmit(c);
  if (acked > 0 && c.wantsWritable && c.sndLimit - c.snd.length >= c.sndLimit / 3) {
    c.wantsWritable = false;
    c.events |= EV_WRITABLE;
  }
  return true;
}

/**
 * RFC 9293: only from segments newer than the one it came from last. Of two that are otherwise alike the larger window counts,
 * as they may have been reordered, but a window that shuts does too (Linux since 6.6). True if it changed.
 */
function updateWindow(c: Connection, seg: SegmentInfo): boolean {
  const window = seg.window << c.sndWscale;
  const isNewer =
    seqGt(seg.ack, c.sndUna) ||
    seqGt(seg.seq, c.sndWl1) ||
    (seg.seq === c.sndWl1 && (window > c.sndWnd || window === 0 || seqGt(seg.ack, c.sndWl2)));
  if (!isNewer) return false;
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  const was = c.sndWnd;
  c.sndWnd = window;
  if (window > c.sndMaxWnd) c.sndMaxWnd = window;
  if (window > 0) {
    c.probes = 0;
    if (c.rexmitMode === REXMIT_PROBE) stopRexmit(c); // output() sends, or sets it again
  }
  return window !== was;
}

/** Lets go of what [sndUna, seg.ack) covers; returns the bytes that were not known to be delivered. */
function takeAcked(c: Connection, seg: SegmentInfo): number {
  const { layer } = c;
  const { segments } = layer;
  const ack = seg.ack;
  let fresh = 0;
  let rttUs = -1;
  let i = c.head;
  while (i !== NO_SEGMENT && seqLt(segments.seq[i]!, ack)) {
    const f = segments.flags[i]!;
    const end = segments.end[i]!;
    const isWhole = seqLeq(end, ack);
    const len = seqDiff(isWhole ? end : ack, segments.seq[i]!);
    unaccount(c, f, len);
    if ((f & SEG_SACKED) === 0) {
      fresh += len;
      if (c.sackOk) rackDelivered(c, i, seg.hasTs, seg.tsEcr);
      // The last segment sent once gives the sample.
      if ((f & SEG_EVER) === 0) rttUs = (layer.nowUs - segments.sentUs[i]!) | 0;
    }
    if (!isWhole) {
      segments.seq[i] = ack;
      break;
    }
    const next = segments.next[i]!;
    segments.free(i);
    c.records--;
    i = next;
  }
  c.head = i;
  if (i === NO_SEGMENT) c.tail = NO_SEGMENT;
  else segments.prev[i] = NO_SEGMENT;
  if (rttUs >= 0) c.rto.sample(rttUs);
  else if (c.tsOk && seg.hasTs && seg.tsEcr !== 0) sampleTimestamp(c, seg);
  const finAcked = c.finSent && ack === c.sndNxt;
  const bytes = seqDiff(ack, c.sndUna) - (finAcked ? 1 : 0);
  c.sndUna = ack;
  if (bytes > 0) c.snd.consume(bytes);
  return fresh;
}

/** Karn's other way out (RFC 7323, 4): the echo says which copy was acknowledged. Millisecond clock. */
function sampleTimestamp(c: Connection, seg: SegmentInfo): void {
  const ms = (((c.layer.nowMs + c.tsOffset) | 0) - seg.tsEcr) | 0;
  if (ms >= 0 && ms < 0x200000) c.rto.sample(Math.max(1, ms) * 1000);
}

/** Marks what the blocks cover; returns the bytes newly known to be delivered. */
function processSack(c: Connection, seg: SegmentInfo): number {
  const { v } = c.layer.counters;
  let fresh = 0;
  let first = 0;
  if (isDsack(c, seg)) {
    first = 1;
    noteDsack(c, seg.sack[0]!, seg.sack[1]!);
  }
  sortBlocks(seg, first);
  for (let k = first; k < seg.sackBlocks; k++) {
    const start = seg.sack[2 * k]!;
    const end = seg.sack[2 * k + 1]!;
    // Not ours, or no longer in flight: RFC 2018 asks us to be sceptical.
    if (!seqLt(start, end) || seqGt(end, c.sndNxt) || seqLt(start, c.sndUna)) {
      v[NETSTAT.TcpExtTCPSACKDiscard]!++;
      continue;
    }
    fresh += markRange(c, seg, start, end);
  }
  return fresh;
}

function markRange(c: Connection, seg: SegmentInfo, start: number, end: number): number {
  const { segments } = c.layer;
  let fresh = 0;
  for (let i = c.head; i !== NO_SEGMENT; i = segments.next[i]!) {
    if (seqGeq(segments.seq[i]!, end)) break;
    if (seqLeq(segments.end[i]!, start) || (segments.flags[i]! & SEG_SACKED) !== 0) continue;
    // Full: what covers a part of a record is not worth another one.
    const isFull = c.records >= CONNECTION_SEGMENTS_MAX;
    if (seqLt(segments.seq[i]!, start)) {
      if (isFull || !splitRecord(c, i, start)) break;
      continue;
    }
    if (seqGt(segments.end[i]!, end) && (isFull || !splitRecord(c, i, end))) break;
    rackDelivered(c, i, seg.hasTs, seg.tsEcr);
    fresh += markSacked(c, i);
  }
  return fresh;
}

/** RFC 2883, 4: the first block tells of a duplicate if it lies below the acknowledgment or inside the second. */
function isDsack(c: Connection, seg: SegmentInfo): boolean {
  const start = seg.sack[0]!;
  const end = seg.sack[1]!;
  if (seqLt(start, seg.ack)) return seqLeq(end, seg.ack) && seqGeq(end, (c.sndUna - c.sndMaxWnd) | 0);
  return seg.sackBlocks > 1 && seqLeq(end, seg.sack[3]!) && seqGeq(start, seg.sack[2]!);
}

/** Something that we sent twice was not lost: a retransmission was needless, or the network reordered. */
function noteDsack(c: Connection, start: number, end: number): void {
  c.layer.counters.v[NETSTAT.TcpExtTCPDSACKRecv]!++;
  if (c.undoRetrans > 0 && seqGeq(start, c.undoMarker))
    c.undoRetrans = Math.max(0, c.undoRetrans - seqDiff(end, start));
  c.rackReoWndMult = Math.min(c.rackReoWndMult + 1, 255);
  if (c.tlpOut && c.tlpIsRetrans && end === c.tlpEnd) c.tlpOut = false;
  if (c.undoRetrans === 0) tryUndoByDsack(c);
}

/** By sequence number, so that what arrived together does not look reordered. */
function sortBlocks(seg: SegmentInfo, first: number): void {
  const { sack } = seg;
  for (let i = first + 1; i < seg.sackBlocks; i++) {
    for (let j = i; j > first && seqLt(sack[2 * j]!, sack[2 * j - 2]!); j--) {
      const start = sack[2 * j]!;
      const end = sack[2 * j + 1]!;
      sack[2 * j] = sack[2 * j - 2]!;
      sack[2 * j + 1] = sack[2 * j - 1]!;
      sack[2 * j - 2] = start;
      sack[2 * j - 1] = end;
    }
  }
}

/** RFC 8985, 7.4: did the probe repair a loss? Then that was congestion. A DSACK (processSack) says that it did not. */
function endTailLossProbe(c: Connection, seg: SegmentInfo, isDuplicate: boolean): void {
  if (seqLt(seg.ack, c.tlpEnd)) return;
  if (!c.tlpIsRetrans || (isDuplicate && seg.sackBlocks === 0)) {
    c.tlpOut = false;
  } else if (seqGt(seg.ack, c.tlpEnd)) {
    c.tlpOut = false;
    if (c.caState === CA_LOSS) return;
    c.layer.counters.v[NETSTAT.TcpExtTCPLossProbeRecovery]!++;
    c.ssthresh = c.cc.ssthresh(c.cwnd, c.mss, c.layer.nowUs);
    c.cwnd = Math.min(c.cwnd, c.ssthresh);
    queueCwr(c);
  }
}
