// The timers of a connection. Three, as in Linux: retransmission (which is also the probe, reordering and loss-probe timer),
// delayed ACK, keepalive (which also ends orphans in FIN-WAIT-2).
//
// Timers are lazy: moving one later or stopping it only changes a field, and the wheel's old alarm finds it not yet due. So an
// acknowledgment costs a store, not a list operation. Milliseconds; the fast wheel ticks every one, the slow one every 100.
import { NETSTAT } from '../counters.ts';
import { ETIMEDOUT } from '../errno.ts';
import {
  CA_CWR,
  CA_OPEN,
  type Connection,
  REXMIT_OFF,
  REXMIT_PROBE,
  REXMIT_REORDER,
  REXMIT_RTO,
  REXMIT_TLP,
} from './connection.ts';
import { hasUnsent, output, refreshRoute, sendAck, sendNew, sendProbe, sendReset, sendSyn } from './output.ts';
import { detectLost } from './rack.ts';
import { enterLoss, onLossFound } from './recovery.ts';
import { retransmit, retransmitLost, splitRecord } from './retransmit.ts';
import { retriesMs } from './rto.ts';
import { NO_SEGMENT, SEG_FIN, SEG_LOST, SEG_SACKED } from './segment-table.ts';
import { seqDiff } from './seq.ts';
import { CLOSED, FIN_WAIT2, SYN_RECV, SYN_SENT } from './state.ts';
import {
  DELACK_MS,
  ORPHAN_RETRIES,
  RETRIES1,
  RETRIES2,
  RTO_MAX_MS,
  SYN_RETRIES,
  SYNACK_RETRIES,
  TIMEWAIT_MS,
  TLP_DELACK_MS,
  TLP_MIN_MS,
} from './tunables.ts';

/** Ids on the fast wheel: slot * 2 + kind. */
const TIMER_REXMIT = 0;
const TIMER_DELACK = 1;

function setRexmit(c: Connection, mode: number, ms: number): void {
  c.rexmitMode = mode;
  const due = c.layer.nowMs + ms;
  // Only an earlier time needs the wheel.
  if (c.rexmitAlarmMs === 0 || due < c.rexmitAlarmMs) {
    c.rexmitAlarmMs = due;
    c.layer.fastTimers.arm(c.slot * 2 + TIMER_REXMIT, ms * 1000);
  }
  c.rexmitDueMs = due;
}

export function stopRexmit(c: Connection): void {
  c.rexmitMode = REXMIT_OFF;
}

/** Something is in flight: a loss probe if that makes sense and comes sooner, else the retransmission timeout. */
export function armRexmit(c: Connection): void {
  const rtoMs = boundByUserTimeout(c, c.rto.ms);
  if ((c.caState === CA_OPEN || c.caState === CA_CWR) && c.sackOk && c.rto.srtt8 > 0 && !c.tlpOut && c.retries === 0) {
    const single = seqDiff(c.sndNxt, c.sndUna) <= c.mss;
    const ptoMs = Math.ceil(c.rto.srttUs / 500) + (single ? TLP_DELACK_MS : TLP_MIN_MS);
    if (ptoMs < rtoMs) {
      setRexmit(c, REXMIT_TLP, ptoMs);
      return;
    }
  }
  setRexmit(c, REXMIT_RTO, rtoMs);
}

export function armRto(c: Connection): void {
  setRexmit(c, REXMIT_RTO, boundByUserTimeout(c, c.rto.ms));
}

/** What the peer had sacked is next and not acknowledged with what came before: it seems to have thrown it away (tcp_check_sack_reneging). */
export function armReneged(c: Connection): void {
  setRexmit(c, REXMIT_RTO, Math.max(10, Math.ceil(c.rto.srttUs / 2000)));
}

/** Nothing in flight, but something to send that the window or the pool refuses. */
export function armProbe(c: Connection): void {
  const ms = Math.min(RTO_MAX_MS, c.rto.baseMs * 2 ** Math.min(c.probes, 16));
  setRexmit(c, REXMIT_PROBE, boundByUserTimeout(c, ms));
}

/** RACK: what was sent around the same time may still come; look again in `us`. */
export function armReorder(c: Connection, us: number): void {
  setRexmit(c, REXMIT_REORDER, Math.max(1, Math.ceil(us / 1000)));
}

export function armDelack(c: Connection): void {
  const { layer } = c;
  c.delackDueMs = layer.nowMs + DELACK_MS;
  if (c.delackAlarmMs === 0) {
    c.delackAlarmMs = c.delackDueMs;
    layer.fastTimers.arm(c.slot * 2 + TIMER_DELACK, DELACK_MS * 1000);
  }
}

export function armKeepalive(c: Connection): void {
  if (!c.keepaliveOn || c.state === SYN_SENT || c.state === CLOSED) return;
  const idleMs = c.layer.nowMs - c.lastRecvMs;
  c.layer.slowTimers.arm(c.slot, Math.max(0, c.keepaliveIdleMs - idleMs) * 1000);
}

/** An orphan waits for the peer's FIN only so long (tcp_fin_timeout). */
export function armFinWait2(c: Connection): void {
  c.layer.slowTimers.arm(c.slot, TIMEWAIT_MS * 1000);
}

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

/** The timer must not sleep past the user timeout. */
function boundByUserTimeout(c: Connection, ms: number): number {
  if (c.userTimeoutMs === 0 || c.retries === 0) return ms;
  const leftMs = c.userTimeoutMs - (c.layer.nowMs - c.retriesSinceMs);
  return Math.max(1, Math.min(ms, leftMs));
}

/** Gives the connection up: with what an ICMP error said, if one did. */
function fail(c: Connection): void {
  c.layer.counters.v[NETSTAT.TcpExtTCPAbortOnTimeout]!++;
  c.layer.detach(c, c.softErrno || ETIMEDOUT);
}
