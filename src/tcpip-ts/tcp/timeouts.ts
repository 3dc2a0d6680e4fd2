// What happens when a timer of a connection rings (they are set in timers.ts), after Linux's tcp_timer.c: resending, probing a shut window
// or the tail of what was sent, the late acknowledgment, the probes of an idle connection, and giving up.
import { NETSTAT } from '../counters.ts';
import { ETIMEDOUT } from '../errno.ts';
import type { Connection } from './connection.ts';
import { refreshRoute } from './mss.ts';
import { hasUnsent, output, sendNew } from './output.ts';
import { detectLost } from './rack.ts';
import { enterLoss, onLossFound } from './recovery.ts';
import { retransmit, retransmitLost, splitRecord } from './retransmit.ts';
import { retriesMs } from './rto.ts';
import { NO_SEGMENT, SEG_FIN, SEG_LOST, SEG_SACKED } from './segment-table.ts';
import { seqDiff } from './seq.ts';
import { FIN_WAIT2, REXMIT_OFF, REXMIT_PROBE, REXMIT_RTO, REXMIT_TLP, SYN_RECV, SYN_SENT } from './state.ts';
import { armProbe, armRexmit, armRto, setRexmit, TIMER_DELACK } from './timers.ts';
import { sendAck, sendProbe, sendReset, sendSyn } from './transmit.ts';
import { ORPHAN_RETRIES, RETRIES1, RETRIES2, RTO_MAX_MS, SYN_RETRIES, SYNACK_RETRIES } from './tunables.ts';

/** The fast wheel's callback. */
export function onFastTimer(c: Connection, kind: number): void {
  const { layer } = c;
  if (kind === TIMER_DELACK) {
    c.delackAlarmMs = 0;
    if (c.delackDueMs === 0) return;
    const leftMs = c.delackDueMs - layer.nowMs;
    if (leftMs > 0) {
      c.delackAlarmMs = c.delackDueMs;
      layer.fastTimers.arm(c.slot * 2 + TIMER_DELACK, leftMs * 1000);
      return;
    }
    c.delackDueMs = 0;
    if (!c.ackPending) return;
    layer.counters.v[NETSTAT.TcpExtDelayedACKs]!++;
    sendAck(c);
    return;
  }
  c.rexmitAlarmMs = 0;
  const mode = c.rexmitMode;
  if (mode === REXMIT_OFF) return;
  const leftMs = c.rexmitDueMs - layer.nowMs;
  if (leftMs > 0) {
    setRexmit(c, mode, leftMs);
    return;
  }
  c.rexmitMode = REXMIT_OFF;
  if (mode === REXMIT_RTO) onRto(c);
  else if (mode === REXMIT_PROBE) onProbe(c);
  else if (mode === REXMIT_TLP) onTailLossProbe(c);
  else onReorder(c);
}

/** The slow wheel's callback. */
export function onSlowTimer(c: Connection): void {
  const { layer } = c;
  if (c.state === FIN_WAIT2 && c.orphan) {
    layer.counters.v[NETSTAT.TcpExtTCPAbortOnLinger]!++;
    sendReset(c);
    layer.detach(c, 0);
    return;
  }
  if (!c.keepaliveOn) return;
  const idleMs = layer.nowMs - c.lastRecvMs;
  if (idleMs < c.keepaliveIdleMs || c.sndNxt !== c.sndUna || hasUnsent(c)) {
    // While data is in flight the retransmission timer watches the peer.
    const leftMs = c.keepaliveIdleMs - idleMs;
    layer.slowTimers.arm(c.slot, (leftMs > 0 ? leftMs : c.keepaliveIntervalMs) * 1000);
    return;
  }
  if (c.keepalivesSent >= c.keepaliveMax) {
    sendReset(c);
    fail(c);
    return;
  }
  c.keepalivesSent++;
  layer.counters.v[NETSTAT.TcpExtTCPKeepAlive]!++;
  sendProbe(c);
  layer.slowTimers.arm(c.slot, c.keepaliveIntervalMs * 1000);
}

function onRto(c: Connection): void {
  const { layer } = c;
  const { v } = layer.counters;
  if (c.state === SYN_SENT || c.state === SYN_RECV) {
    const most = c.state === SYN_SENT ? SYN_RETRIES : SYNACK_RETRIES;
    if (c.retries >= most || userTimedOut(c)) {
      fail(c);
      return;
    }
    noteRetry(c);
    v[NETSTAT.TcpExtTCPTimeouts]!++;
    v[NETSTAT.TcpExtTCPSynRetrans]!++;
    c.rto.backoff++;
    sendSyn(c);
    armRto(c);
    return;
  }
  if (c.sndNxt === c.sndUna) return;
  // A peer that shut its window on what is in flight, and says so, is alive.
  const isHeldOff = c.sndWnd === 0 && !c.orphan && layer.nowMs - c.lastRecvMs < RTO_MAX_MS;
  if (timedOut(c) && !isHeldOff) {
    fail(c);
    return;
  }
  v[NETSTAT.TcpExtTCPTimeouts]!++;
  enterLoss(c);
  noteRetry(c);
  c.rto.backoff = Math.min(c.rto.backoff + 1, 12);
  if (c.retries === RETRIES1) refreshRoute(c, 0);
  retransmitLost(c);
  armRto(c);
}

/** The window is shut, or was too small for silly window avoidance, or there was no packet to be had. */
function onProbe(c: Connection): void {
  if (c.sndNxt !== c.sndUna || !hasUnsent(c)) return;
  // A peer that answers probes may keep its window shut for ever (RFC 9293, 3.8.6.1); an orphan has nobody to wait for.
  if (timedOut(c)) {
    fail(c);
    return;
  }
  if (c.sndWnd > 0 && sendNew(c, true)) {
    armRexmit(c);
    return;
  }
  noteRetry(c);
  c.probes++;
  c.layer.counters.v[NETSTAT.TcpExtTCPWinProbe]!++;
  sendProbe(c);
  armProbe(c);
}

/** RFC 8985, 7.3: new data if there is some, else the last segment again, so that the loss of the tail shows in SACKs. */
function onTailLossProbe(c: Connection): void {
  const { layer } = c;
  const { segments } = layer;
  c.tlpIsRetrans = false;
  let sent = hasUnsent(c) && sendNew(c, true);
  if (!sent && c.tail !== NO_SEGMENT) {
    const last = c.tail;
    const fin = (segments.flags[last]! & SEG_FIN) !== 0 ? 1 : 0;
    const len = seqDiff(segments.end[last]!, segments.seq[last]!);
    if (len > c.mss + fin) splitRecord(c, last, (segments.end[last]! - c.mss - fin) | 0);
    if ((segments.flags[c.tail]! & (SEG_SACKED | SEG_LOST)) === 0) sent = retransmit(c, c.tail);
    c.tlpIsRetrans = sent;
  }
  if (sent) {
    c.tlpOut = true;
    c.tlpEnd = c.sndNxt;
    layer.counters.v[NETSTAT.TcpExtTCPLossProbes]!++;
  }
  armRto(c);
}

function onReorder(c: Connection): void {
  detectLost(c);
  onLossFound(c);
  output(c);
  if (c.sndNxt !== c.sndUna && c.rexmitMode === REXMIT_OFF) armRexmit(c);
}

function noteRetry(c: Connection): void {
  if (c.retries++ === 0) c.retriesSinceMs = c.layer.nowMs;
}

/** R2 of RFC 1122: the peer has not answered for too long. */
function timedOut(c: Connection): boolean {
  if (c.retries === 0) return false;
  if (userTimedOut(c)) return true;
  return c.layer.nowMs - c.retriesSinceMs >= retriesMs(c.orphan ? ORPHAN_RETRIES : RETRIES2);
}

function userTimedOut(c: Connection): boolean {
  return c.userTimeoutMs > 0 && c.retries > 0 && c.layer.nowMs - c.retriesSinceMs >= c.userTimeoutMs;
}

/** Gives the connection up: with what an ICMP error said, if one did. */
function fail(c: Connection): void {
  c.layer.counters.v[NETSTAT.TcpExtTCPAbortOnTimeout]!++;
  c.layer.detach(c, c.softErrno || ETIMEDOUT);
}
