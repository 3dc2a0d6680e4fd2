// RACK (RFC 8985): a segment is lost when one sent later was delivered and the time that reordering may take has passed. It finds
// lost retransmissions too, which counting duplicates cannot. Only with SACK; without it recovery.ts counts duplicates.
// The walk goes over the records in sequence order and not in order of sending (Linux keeps a second list): it runs only
// while something is sacked or lost.

import type { Connection } from './connection.ts';
import { markLost } from './retransmit.ts';
import { NO_SEGMENT, SEG_EVER, SEG_LOST, SEG_RETRANS, SEG_SACKED } from './segment-table.ts';
import { seqDiff, seqGt, seqLt } from './seq.ts';
import { CA_RECOVERY } from './state.ts';
import { armReorder } from './timers.ts';
import { DUPTHRESH } from './tunables.ts';

/** A record was delivered (acknowledged or sacked for the first time). `hasTs`: tsEcr tells which copy. */
export function rackDelivered(c: Connection, i: number, hasTs: boolean, tsEcr: number): void {
  const { layer } = c;
  const { sentUs, end, flags } = layer.segments;
  const sent = sentUs[i]!;
  const rttUs = (layer.nowUs - sent) | 0;
  const e = end[i]!;
  if ((flags[i]! & SEG_EVER) !== 0) {
    // 6.2, step 2: the answer may be to the first copy.
    if (hasTs && c.tsOk) {
      const ageMs = ((layer.nowMs + c.tsOffset) | 0) - tsEcr;
      if ((ageMs | 0) * 1000 > rttUs + 1000) return;
    }
    if (rttUs < c.rto.minRttUs) return;
  } else if (c.rackValid && seqLt(e, c.rackFack)) {
    c.reorderingSeen = true;
  }
  if (!c.rackValid || seqGt(e, c.rackFack)) c.rackFack = e;
  if (!c.rackValid || sentAfter(sent, e, c.rackUs, c.rackEnd)) {
    c.rackValid = true;
    c.rackUs = sent;
    c.rackEnd = e;
    c.rackRttUs = rttUs;
  }
}

/** Marks what is lost by now; arms the reordering timer for what may be soon. True if anything was marked. */
export function detectLost(c: Connection): boolean {
  if (!c.rackValid) return false;
  const { layer } = c;
  const { seq, end, sentUs, flags, next } = layer.segments;
  const windowUs = reorderingWindowUs(c);
  let waitUs = 0;
  let any = false;
  for (let i = c.head; i !== NO_SEGMENT; i = next[i]!) {
    const f = flags[i]!;
    if ((f & SEG_SACKED) !== 0 || (f & (SEG_LOST | SEG_RETRANS)) === SEG_LOST) continue;
    // Everything from here on was sent after the newest delivery, unless resent.
    if (!sentAfter(c.rackUs, c.rackEnd, sentUs[i]!, end[i]!)) {
      if (!seqGt(c.rackFack, seq[i]!)) break;
      continue;
    }
    const leftUs = ((sentUs[i]! - layer.nowUs) | 0) + c.rackRttUs + windowUs;
    if (leftUs <= 0) {
      markLost(c, i);
      any = true;
    } else if (leftUs > waitUs) waitUs = leftUs;
  }
  if (waitUs > 0) armReorder(c, waitUs);
  return any;
}

/** RFC 8985, 6.2, step 4. */
function reorderingWindowUs(c: Connection): number {
  if (!c.reorderingSeen && (c.caState >= CA_RECOVERY || c.sackedOut >= DUPTHRESH * c.mss)) return 0;
  return Math.min((c.rto.minRttUs >> 2) * c.rackReoWndMult, c.rto.srttUs);
}

function sentAfter(us1: number, end1: number, us2: number, end2: number): boolean {
  const d = (us1 - us2) | 0;
  return d > 0 || (d === 0 && seqDiff(end1, end2) > 0);
}
