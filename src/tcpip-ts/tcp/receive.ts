// Data and FIN of an acceptable segment (RFC 9293, 3.10.7.4, seventh and eighth): cut to the window, put in place, and decide
// how soon to acknowledge: at once for anything out of order, a filled gap, the first segments of a connection, and every
// second full segment (RFC 9293, 3.8.6.3); otherwise after DELACK_MS.
import { NETSTAT } from '../counters.ts';
import { ECN_CE } from '../wire/ipv4.ts';
import { TCP_PSH } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import { takeCwr, takeMark } from './ecn.ts';
import type { SegmentInfo } from './options.ts';
import { seqDiff, seqGt, seqLeq, seqLt, seqMin } from './seq.ts';
import { EV_READABLE } from './state.ts';
import { MSS_DEFAULT } from './tunables.ts';

/** Takes what is new of the payload and inside the window. */
export function receiveData(c: Connection, seg: SegmentInfo): void {
  const { layer } = c;
  const { v } = layer.counters;
  const { rcv } = c;
  const end = (seg.seq + seg.len) | 0;
  let from = seg.data;
  let seq = seg.seq;
  let len = seg.len;
  takeCwr(c, seg);
  if (seqLeq(end, rcv.nxt)) {
    noteDuplicate(c, seq, end);
    return;
  }
  if (seqLt(seq, rcv.nxt)) {
    const known = seqDiff(rcv.nxt, seq);
    from += known;
    len -= known;
    if (c.sackOk) noteDsack(c, NETSTAT.TcpExtTCPDSACKOldSent, seq, rcv.nxt); // RFC 2883, 4.2
    seq = rcv.nxt;
  }
  // Nothing comes after the FIN.
  const room = seqDiff(c.finSeen ? seqMin(c.rcvAdv, c.finSeq) : c.rcvAdv, seq);
  if (len > room) {
    len = room;
    c.ackNow = true;
    if (len <= 0) {
      v[NETSTAT.TcpExtTCPZeroWindowDrop]!++;
      return;
    }
  }
  measure(c, seg);
  if (seg.ecn === ECN_CE) takeMark(c);
  if (seq !== rcv.nxt) {
    // Out of order: the duplicate acknowledgment tells the peer, with SACK blocks.
    c.ackNow = true;
    c.quickacks = Math.max(c.quickacks, 2);
    const held = c.layer.sackScratch;
    if (c.sackOk && rcv.overlap(seq, (seq + len) | 0, held)) {
      noteDsack(c, NETSTAT.TcpExtTCPDSACKOfoSent, held[0]!, held[1]!);
      if (seqDiff(held[1]!, held[0]!) === len) return;
    }
    v[rcv.write(seq, seg.bytes, from, len) < 0 ? NETSTAT.TcpExtTCPOFODrop : NETSTAT.TcpExtTCPOFOQueue]!++;
    return;
  }
  const hadGap = rcv.ranges > 0;
  if (rcv.write(seq, seg.bytes, from, len) < 0) {
    v[NETSTAT.TcpExtTCPRcvQDrop]!++; // the peer sends it again; the acknowledgment says where we stand
    c.ackNow = true;
    return;
  }
  c.events |= EV_READABLE;
  c.ackPending = true;
  const unacked = seqDiff(rcv.nxt, c.lastAckSent);
  // RFC 5681, 4.2: a gap filled is acknowledged at once.
  if (hadGap || c.quickacks > 0 || unacked > c.rcvMss) c.ackNow = true;
}

/** Remembers where the stream ends; taken when everything before it is there. */
export function receiveFin(c: Connection, seg: SegmentInfo): void {
  const at = (seg.seq + seg.len) | 0;
  if (c.finSeen || seqLt(at, c.rcv.nxt) || seqGt(at, c.rcvAdv)) return;
  c.finSeen = true;
  c.finSeq = at;
}

function noteDuplicate(c: Connection, seq: number, end: number): void {
  c.ackNow = true;
  c.quickacks = Math.max(c.quickacks, 2);
  if (c.sackOk) noteDsack(c, NETSTAT.TcpExtTCPDSACKOldSent, seq, end);
}

/** The next acknowledgment tells that [start, end) came twice. */
function noteDsack(c: Connection, counter: number, start: number, end: number): void {
  c.layer.counters.v[counter]!++;
  c.hasDsack = true;
  c.dsackStart = start;
  c.dsackEnd = end;
}

/** Learns the peer's segment size and, from its echoes, the round trip as the receiver sees it. */
function measure(c: Connection, seg: SegmentInfo): void {
  const size = seg.gsoSize;
  if (size >= c.rcvMss) c.rcvMss = Math.min(size, 65_535);
  else if ((seg.flags & TCP_PSH) === 0 && size >= MSS_DEFAULT) c.rcvMss = size;
  if (!c.tsOk || !seg.hasTs || seg.tsEcr === 0 || size < c.rcvMss) return;
  const ms = (((c.layer.nowMs + c.tsOffset) | 0) - seg.tsEcr) | 0;
  if (ms < 0 || ms > 60_000) return;
  const us = Math.max(1, ms) * 1000;
  if (c.rcvRttUs === 0 || us < c.rcvRttUs) c.rcvRttUs = us;
  else c.rcvRttUs += (us - c.rcvRttUs) >> 3;
}
