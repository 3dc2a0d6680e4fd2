// ICMP errors about segments of ours (RFC 1122 4.2.3.9, RFC 5927; Linux's tcp_v4_err). Believed only if the quoted sequence number is
// in flight. While connecting any error ends the attempt; afterwards all are soft: kept for when a timeout needs a reason. Too-large
// segments lower the path MTU (RFC 1191) and are sent again in smaller pieces.
import { NETSTAT } from '../counters.ts';
import { icmpErrno } from '../icmp/icmp-errno.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED } from '../wire/icmpv4.ts';
import type { Connection } from './connection.ts';
import { refreshRoute } from './mss.ts';
import { markLost } from './retransmit.ts';
import { NO_SEGMENT } from './segment-table.ts';
import { seqDiff, seqGt, seqLt } from './seq.ts';
import { CA_LOSS, CA_RECOVERY, SYN_RECV, SYN_SENT } from './state.ts';

/** `seq` is the quoted sequence number, `mtu` that of the next hop (0: not said). The connection may be gone afterwards. */
export function onIcmpError(c: Connection, seq: number, type: number, code: number, mtu: number): void {
  const { layer } = c;
  if (seqLt(seq, c.sndUna) || seqGt(seq, c.sndNxt)) {
    layer.counters.v[NETSTAT.TcpExtOutOfWindowIcmps]!++;
    return;
  }
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) {
    shrink(c, mtu);
    return;
  }
  const errno = icmpErrno(type, code);
  if (errno === 0) return;
  if (c.state === SYN_SENT || c.state === SYN_RECV) layer.detach(c, errno);
  else c.softErrno = errno;
}

function shrink(c: Connection, mtu: number): void {
  const was = c.mss;
  refreshRoute(c, mtu);
  if (c.mss >= was) return;
  // What was too large never arrived, which is no sign of congestion (Linux's tcp_simple_retransmit).
  if (c.caState < CA_RECOVERY && c.sndNxt !== c.sndUna) {
    c.caState = CA_LOSS;
    c.highSeq = c.sndNxt;
    c.undoCwnd = 0;
  }
  const { seq, end, next } = c.layer.segments;
  for (let i = c.head; i !== NO_SEGMENT; i = next[i]!) {
    if (seqDiff(end[i]!, seq[i]!) > c.mss) markLost(c, i);
  }
}
