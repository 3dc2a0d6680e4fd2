// What a packet of a connection leaves behind, whichever way it goes: the connection's state and timeout, and the counts of its real
// server, after set_tcp_state() of ip_vs_proto_tcp.c and ip_vs_in_stats(), ip_vs_out_stats() of ip_vs_core.c, Linux 6.1.
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import { CONN_F_INACTIVE, type ConnId, type ConnTable, NO_CONN, TEMPLATE_ASSURED } from './conn.ts';
import type { DestTable } from './dest.ts';
import {
  DEST_ACTIVE_CONNS,
  DEST_AVAILABLE,
  DEST_FLAGS,
  DEST_INACT_CONNS,
  DEST_ROW,
  STAT_IN_BYTES,
  STAT_IN_PKTS,
  STAT_OUT_BYTES,
  STAT_OUT_PKTS,
  STATS,
} from './rows.ts';
import { DIR_OUTPUT, type Direction, isTcpActive, TCP_S_ESTABLISHED, type Timeouts, tcpNextState } from './state.ts';

/** Takes the connection through a packet: state, timeout, and its dest's counters. */
export function setState(
  conns: ConnTable,
  dests: DestTable,
  timeouts: Timeouts,
  id: ConnId,
  direction: Direction,
  flags: number,
): void {
  if (conns.proto[id] !== IPPROTO_TCP) {
    conns.timeoutUs[id] = timeouts.udpUs;
    if (direction === DIR_OUTPUT) assureTemplate(conns, id);
    return;
  }
  const was = conns.state[id]!;
  const is = tcpNextState(was, direction, flags);
  if (is !== was) {
    const { words } = dests;
    const row = conns.dest[id]! * DEST_ROW;
    const inactive = (conns.flags[id]! & CONN_F_INACTIVE) !== 0;
    if (!inactive && !isTcpActive(is)) {
      words[row + DEST_ACTIVE_CONNS]!--;
      words[row + DEST_INACT_CONNS]!++;
      conns.flags[id]! |= CONN_F_INACTIVE;
    } else if (inactive && isTcpActive(is)) {
      words[row + DEST_INACT_CONNS]!--;
      words[row + DEST_ACTIVE_CONNS]!++;
      conns.flags[id]! &= ~CONN_F_INACTIVE;
    }
    if (is === TCP_S_ESTABLISHED) assureTemplate(conns, id);
    conns.state[id] = is;
  }
  conns.timeoutUs[id] = timeouts.tcpUs[is]!;
}

function assureTemplate(conns: ConnTable, id: ConnId): void {
  const template = conns.control[id]!;
  if (template !== NO_CONN) conns.state[template]! |= TEMPLATE_ASSURED;
}

export function isAvailable(dests: DestTable, dest: number): boolean {
  return (dests.words[dest * DEST_ROW + DEST_FLAGS]! & DEST_AVAILABLE) !== 0;
}

export function countIn(dests: DestTable, dest: number, bytes: number): void {
  if (!isAvailable(dests, dest)) return;
  dests.stats[dest * STATS + STAT_IN_PKTS]!++;
  dests.stats[dest * STATS + STAT_IN_BYTES]! += bytes;
}

export function countOut(dests: DestTable, dest: number, bytes: number): void {
  if (!isAvailable(dests, dest)) return;
  dests.stats[dest * STATS + STAT_OUT_PKTS]!++;
  dests.stats[dest * STATS + STAT_OUT_BYTES]! += bytes;
}
