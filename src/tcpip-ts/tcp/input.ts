// A segment for a connection, in the order of RFC 9293, 3.10.7: sequence number, RST, SYN, ACK, URG, data, FIN. SYN-SENT has its
// own rules. After the segment the application hears of what changed, then data and acknowledgment leave together if they can.
// Urgent data is delivered in line (RFC 6093); the pointer is ignored.
import { NETSTAT, SNMP } from '../counters.ts';
import { ECONNREFUSED, ECONNRESET } from '../errno.ts';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../wire/tcp.ts';
import { processAck } from './ack.ts';
import { initialWindow } from './congestion.ts';
import type { Connection } from './connection.ts';
import { agreeEcn } from './ecn.ts';
import { setMss } from './mss.ts';
import type { SegmentInfo } from './options.ts';
import { output } from './output.ts';
import { receiveData, receiveFin } from './receive.ts';
import { seqDiff, seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import {
  CLOSE_WAIT,
  CLOSING,
  ESTABLISHED,
  EV_CONNECT,
  EV_READABLE,
  EV_WRITABLE,
  FIN_WAIT1,
  FIN_WAIT2,
  LAST_ACK,
  SYN_RECV,
  SYN_SENT,
} from './state.ts';
import { armDelack, armFinWait2, armKeepalive, armRto, stopRexmit } from './timers.ts';
import { sendAck, sendChallengeAck, sendLimitedAck, sendReset, sendSyn } from './transmit.ts';
import { PAWS_AGE_MS } from './tunables.ts';

/** Works `seg` in and answers. -1: the caller resets the sender (RFC 9293, 3.5.3). Otherwise 0. */
export function input(c: Connection, seg: SegmentInfo): number {
  c.layer.current = c;
  const verdict = c.state === SYN_SENT ? inSynSent(c, seg) : inSynchronized(c, seg);
  settle(c);
  return verdict;
}

/** Tells the application, then sends what is due. */
export function settle(c: Connection): void {
  const { layer } = c;
  if (c.events !== 0) c.dispatch();
  layer.current = null;
  if (c.slot < 0) return;
  if (c.state !== SYN_SENT && c.state !== SYN_RECV) output(c);
  if (c.ackNow) sendAck(c);
  else if (c.ackPending && c.delackDueMs === 0) armDelack(c);
}

/** RFC 9293, 3.10.7.3. */
function inSynSent(c: Connection, seg: SegmentInfo): number {
  const { layer } = c;
  const { flags } = seg;
  const hasAck = (flags & TCP_ACK) !== 0;
  if (hasAck && (seqLeq(seg.ack, c.iss) || seqGt(seg.ack, c.sndNxt))) return (flags & TCP_RST) !== 0 ? 0 : -1;
  if ((flags & TCP_RST) !== 0) {
    if (hasAck) layer.detach(c, ECONNREFUSED);
    return 0;
  }
  if ((flags & TCP_SYN) === 0) return 0;
  if (hasAck && c.tsOk && seg.hasTs && seg.tsEcr !== 0 && seqGt(seg.tsEcr, (layer.nowMs + c.tsOffset) | 0)) {
    layer.counters.v[NETSTAT.TcpExtPAWSActive]!++;
    return -1;
  }
  agreeOptions(c, seg);
  c.irs = seg.seq;
  c.rcv.nxt = (seg.seq + 1) | 0;
  c.lastAckSent = c.rcv.nxt;
  c.rcvAdv = (c.rcv.nxt + Math.min(65_535, c.rcvLimit)) | 0;
  c.lastRecvMs = layer.nowMs;
  if (!hasAck) {
    // Simultaneous open: our SYN goes again, with the acknowledgment of theirs.
    c.state = SYN_RECV;
    c.sndWnd = seg.window;
    sendSyn(c);
    armRto(c);
    return 0;
  }
  establish(c, seg);
  c.ackNow = true;
  seg.seq = (seg.seq + 1) | 0; // what follows the SYN
  takeTextAndFin(c, seg);
  return 0;
}

/** Takes over what both sides offered; of what the peer did not offer, nothing is used. */
function agreeOptions(c: Connection, seg: SegmentInfo): void {
  c.peerMss = seg.mss;
  c.tsOk = c.tsOk && seg.hasTs;
  c.sackOk = c.sackOk && seg.sackOk;
  agreeEcn(c, seg, (seg.flags & TCP_ACK) !== 0);
  if (seg.wscale >= 0) c.sndWscale = seg.wscale;
  else c.sndWscale = c.rcvWscale = 0;
  if (c.tsOk) {
    c.tsRecent = seg.tsVal;
    c.tsRecentMs = c.layer.nowMs;
  }
  setMss(c);
}

/** Our SYN is acknowledged: the connection stands. The window of a SYN is not scaled. */
function establish(c: Connection, seg: SegmentInfo): void {
  const { layer } = c;
  const wasResent = c.retries > 0;
  if (c.tsOk && seg.tsEcr !== 0) {
    const ms = (((layer.nowMs + c.tsOffset) | 0) - seg.tsEcr) | 0;
    if (ms > 0 && ms < 0x200000) c.rto.sample(ms * 1000);
  }
  if (c.rto.srtt8 === 0 && !wasResent) c.rto.sample((layer.nowUs - c.synSentUs) | 0);
  if (c.rto.srtt8 === 0) c.rto.fallBack();
  c.sndUna = seg.ack;
  c.sndWnd = (seg.flags & TCP_SYN) !== 0 ? seg.window : seg.window << c.sndWscale;
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  start(c, wasResent);
  c.events |= EV_CONNECT;
  if (c.wantsWritable) {
    c.wantsWritable = false;
    c.events |= EV_WRITABLE;
  }
}

/** Common to both ways of getting here: windows, timers, state. */
export function start(c: Connection, synWasResent: boolean): void {
  const { layer } = c;
  c.sndMaxWnd = c.sndWnd;
  c.sndSml = c.sndUna;
  c.highSeq = c.iss;
  c.retries = 0;
  // RFC 5681, 3.1: a lost SYN is a sign of congestion.
  c.cwnd = synWasResent ? c.mss : initialWindow(c.mss);
  c.rcvMss = Math.min(c.mss, c.rcvMss);
  c.state = c.finQueued ? FIN_WAIT1 : ESTABLISHED;
  c.lastRecvMs = layer.nowMs;
  c.copiedSinceUs = layer.nowUs;
  layer.counters.v[SNMP.TcpCurrEstab]!++;
  stopRexmit(c);
  armKeepalive(c);
}

function inSynchronized(c: Connection, seg: SegmentInfo): number {
  const { layer } = c;
  const { flags } = seg;
  if (!isAcceptable(c, seg)) return 0;
  c.lastRecvMs = layer.nowMs;
  c.keepalivesSent = 0;
  if ((flags & TCP_RST) !== 0) {
    // RFC 5961, 3.2: only the very next number resets; anything else in the window may be a guess.
    if (seg.seq === c.rcv.nxt) reset(c);
    else sendChallengeAck(c);
    return 0;
  }
  if ((flags & TCP_SYN) !== 0) {
    // Crossing SYNs: the peer's SYN-ACK, or its SYN again.
    if (c.state === SYN_RECV && seg.seq === c.irs) {
      if ((flags & TCP_ACK) !== 0 && seg.ack === c.sndNxt) return completeSimultaneous(c, seg);
      sendSyn(c);
      return 0;
    }
    layer.counters.v[NETSTAT.TcpExtTCPSYNChallenge]!++;
    sendChallengeAck(c);
    return 0;
  }
  if ((flags & TCP_ACK) === 0) return 0;
  if (c.state === SYN_RECV) {
    if (seg.ack !== c.sndNxt) return -1;
    establish(c, seg);
  }
  if (seg.hasTs && c.tsOk && seqLeq(seg.seq, c.lastAckSent)) {
    c.tsRecent = seg.tsVal;
    c.tsRecentMs = layer.nowMs;
  }
  if (!processAck(c, seg)) return 0;
  if (c.finSent && c.sndUna === c.sndNxt && !afterFinAcked(c)) return 0;
  takeTextAndFin(c, seg);
  return 0;
}

function completeSimultaneous(c: Connection, seg: SegmentInfo): number {
  establish(c, seg);
  c.ackNow = true;
  return 0;
}

/** First check: timestamp (RFC 7323, 5.3, R1) and sequence number. What fails is answered, unless it is a RST. */
function isAcceptable(c: Connection, seg: SegmentInfo): boolean {
  const { layer } = c;
  const isRst = (seg.flags & TCP_RST) !== 0;
  if (c.tsOk && seg.hasTs && !isRst && seqLt(seg.tsVal, c.tsRecent)) {
    if (layer.nowMs - c.tsRecentMs < PAWS_AGE_MS) {
      layer.counters.v[NETSTAT.TcpExtPAWSEstab]!++;
      if (seg.len > 0) markDuplicate(c, seg);
      answerUnacceptable(c, seg);
      return false;
    }
  }
  const window = Math.max(0, seqDiff(c.rcvAdv, c.rcv.nxt));
  if (seqLt(seg.end, c.lastAckSent) || seqGt(seg.seq, (c.rcv.nxt + window) | 0)) {
    // A crossing SYN lies below the window by one.
    if (c.state === SYN_RECV && seg.seq === c.irs && (seg.flags & TCP_SYN) !== 0) return true;
    if (isRst) return false;
    if ((seg.flags & TCP_SYN) !== 0) {
      layer.counters.v[NETSTAT.TcpExtTCPSYNChallenge]!++;
      sendChallengeAck(c);
      return false;
    }
    if (seg.len > 0) markDuplicate(c, seg);
    answerUnacceptable(c, seg);
    return false;
  }
  return true;
}

/** Data is worth an answer each time (our ACK may have been lost); bare segments only now and then. */
function answerUnacceptable(c: Connection, seg: SegmentInfo): void {
  if (seg.end !== seg.seq) {
    c.quickacks = Math.max(c.quickacks, 2);
    sendAck(c);
  } else sendLimitedAck(c);
}

/** RFC 2883: the peer learns what it sent in vain. */
function markDuplicate(c: Connection, seg: SegmentInfo): void {
  if (!c.sackOk || seqGeq(seg.seq, c.rcv.nxt)) return;
  c.layer.counters.v[NETSTAT.TcpExtTCPDSACKOldSent]!++;
  c.hasDsack = true;
  c.dsackStart = seg.seq;
  c.dsackEnd = seqLt(seg.end, c.rcv.nxt) ? seg.end : c.rcv.nxt;
}

function reset(c: Connection): void {
  const { v } = c.layer.counters;
  if (c.state === SYN_RECV) v[SNMP.TcpAttemptFails]!++;
  else if (c.state === ESTABLISHED || c.state === CLOSE_WAIT) v[SNMP.TcpEstabResets]!++;
  c.layer.detach(c, c.state === SYN_RECV ? ECONNREFUSED : ECONNRESET);
}

/** Our FIN is acknowledged. False when that ends the connection. */
function afterFinAcked(c: Connection): boolean {
  if (c.state === FIN_WAIT1) {
    c.state = FIN_WAIT2;
    if (c.orphan) armFinWait2(c);
  } else if (c.state === CLOSING) {
    c.layer.enterTimeWait(c);
    return false;
  } else if (c.state === LAST_ACK) {
    c.layer.detach(c, 0);
    return false;
  }
  return true;
}

function takeTextAndFin(c: Connection, seg: SegmentInfo): void {
  const wantsData = c.state === ESTABLISHED || c.state === FIN_WAIT1 || c.state === FIN_WAIT2;
  if (!wantsData) {
    // After the peer's FIN nothing new can come; what comes again is acknowledged again.
    if (seg.end !== seg.seq) c.ackNow = true;
    return;
  }
  if (c.orphan && seg.len > 0 && seqGt((seg.seq + seg.len) | 0, c.rcv.nxt)) {
    // RFC 9293, 3.6.1; RFC 2525, 2.17: nobody will read it.
    c.layer.counters.v[NETSTAT.TcpExtTCPAbortOnData]!++;
    sendReset(c);
    c.layer.detach(c, 0);
    return;
  }
  if (seg.len > 0) receiveData(c, seg);
  if ((seg.flags & TCP_FIN) !== 0) receiveFin(c, seg);
  if (!c.finSeen || c.rcvFin || c.rcv.nxt !== c.finSeq) return;
  c.rcvFin = true;
  c.rcv.nxt = (c.rcv.nxt + 1) | 0;
  c.ackNow = true;
  c.events |= EV_READABLE;
  if (c.state === ESTABLISHED) c.state = CLOSE_WAIT;
  else if (c.state === FIN_WAIT1) c.state = CLOSING;
  else {
    sendAck(c);
    c.layer.enterTimeWait(c);
  }
}
