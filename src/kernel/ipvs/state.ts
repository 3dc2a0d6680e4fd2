// States and timeouts of IPVS connections, after ip_vs_proto_tcp.c and ip_vs_proto_udp.c of Linux 6.1 (masquerade: both
// directions are seen). The transition table is flat: direction, flag, state -> state. Left out: the stricter table of
// secure_tcp, input-only tables of direct routing and tunnels, SCTP.
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../tcpip-ts/wire/tcp.ts';

/** @public A state of Linux that only the transition table names. */
export const TCP_S_NONE = 0;
export const TCP_S_ESTABLISHED = 1;
export const TCP_S_SYN_SENT = 2;
export const TCP_S_SYN_RECV = 3;
export const TCP_S_FIN_WAIT = 4;
export const TCP_S_TIME_WAIT = 5;
export const TCP_S_CLOSE = 6;
/** @public A state of Linux that only the transition table names. */
export const TCP_S_CLOSE_WAIT = 7;
/** @public A state of Linux that only the transition table names. */
export const TCP_S_LAST_ACK = 8;
/** @public A state of Linux that only the transition table names. */
export const TCP_S_LISTEN = 9;
export const TCP_S_SYNACK = 10;
const TCP_STATES = 11;

const TCP_STATE_NAMES: readonly string[] = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
];

/** As /proc/net/ip_vs_conn has it. */
export function stateName(proto: number, state: number): string {
  return proto === IPPROTO_TCP ? TCP_STATE_NAMES[state]! : 'UDP';
}

/** From the client (LOCAL_IN side), from the real server. */
export const DIR_INPUT = 0;
export const DIR_OUTPUT = 1;
export type Direction = 0 | 1;

const CODES = ['NO', 'ES', 'SS', 'SR', 'FW', 'TW', 'CL', 'CW', 'LA', 'LI', 'SA'];
// One row a flag, in the order SYN FIN ACK RST; one column a state of CODES.
const TABLE = `
  SR ES ES SR SR SR SR SR SR SR SR
  CL CW SS TW TW TW CL CW LA LI TW
  ES ES SS ES FW TW CL CW CL LI ES
  CL CL CL SR CL CL CL CL LA LI SR

  SS ES SS SR SS SS SS SS SS LI SR
  TW FW SS TW FW TW CL TW LA LI TW
  ES ES SS ES FW TW CL CW LA ES ES
  CL CL SS CL CL TW CL CL CL CL CL`;
const NEXT_STATE = Uint8Array.from(TABLE.trim().split(/\s+/), (code) => CODES.indexOf(code));

/** The state after a segment with `flags` in the given direction. */
export function tcpNextState(state: number, direction: Direction, flags: number): number {
  const row =
    (flags & TCP_RST) !== 0
      ? 3
      : (flags & TCP_SYN) !== 0
        ? 0
        : (flags & TCP_FIN) !== 0
          ? 1
          : (flags & TCP_ACK) !== 0
            ? 2
            : -1;
  if (row < 0) return TCP_S_CLOSE;
  return NEXT_STATE[((direction << 2) + row) * TCP_STATES + state]!;
}

/** Whether a connection in this state counts as active of its dest. */
export function isTcpActive(state: number): boolean {
  return state === TCP_S_ESTABLISHED || state === TCP_S_SYN_SENT || state === TCP_S_SYN_RECV || state === TCP_S_SYNACK;
}

/** Seconds, by state; `set` changes three of them as `ipvsadm --set` does. */
export class Timeouts {
  readonly tcpUs = Float64Array.of(2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120).map((s) => s * 1e6);
  udpUs = 300e6;

  /** Seconds; 0 leaves a value as it is. */
  set(tcpS: number, tcpFinS: number, udpS: number): void {
    if (tcpS > 0) this.tcpUs[TCP_S_ESTABLISHED] = tcpS * 1e6;
    if (tcpFinS > 0) this.tcpUs[TCP_S_FIN_WAIT] = tcpFinS * 1e6;
    if (udpS > 0) this.udpUs = udpS * 1e6;
  }
}
