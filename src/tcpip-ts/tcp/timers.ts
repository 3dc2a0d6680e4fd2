// The timers of a connection: how they are set and stopped. Three, as in Linux: retransmission (which is also the probe, reordering and
// loss-probe timer), delayed ACK, keepalive (which also ends orphans in FIN-WAIT-2). What happens when one rings: timeouts.ts.
//
// Timers are lazy: moving one later or stopping it only changes a field, and the wheel's old alarm finds it not yet due. So an
// acknowledgment costs a store, not a list operation. Milliseconds; the fast wheel ticks every one, the slow one every 100.
import type { Connection } from './connection.ts';
import { seqDiff } from './seq.ts';
import {
  CA_CWR,
  CA_OPEN,
  CLOSED,
  REXMIT_OFF,
  REXMIT_PROBE,
  REXMIT_REORDER,
  REXMIT_RTO,
  REXMIT_TLP,
  SYN_SENT,
} from './state.ts';
import { DELACK_MS, RTO_MAX_MS, TIMEWAIT_MS, TLP_DELACK_MS, TLP_MIN_MS } from './tunables.ts';

/** Ids on the fast wheel: slot * 2 + kind. */
export const TIMER_REXMIT = 0;
export const TIMER_DELACK = 1;

/** The retransmission timer: `mode` (REXMIT_*) says what it stands for. */
export function setRexmit(c: Connection, mode: number, ms: number): void {
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

/** The timer must not sleep past the user timeout. */
function boundByUserTimeout(c: Connection, ms: number): number {
  if (c.userTimeoutMs === 0 || c.retries === 0) return ms;
  const leftMs = c.userTimeoutMs - (c.layer.nowMs - c.retriesSinceMs);
  return Math.max(1, Math.min(ms, leftMs));
}
