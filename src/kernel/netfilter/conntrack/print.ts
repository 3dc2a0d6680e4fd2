// A connection as a line of `conntrack -L` (conntrack-tools 1.4.7) without counters.
import { formatIPv4 } from '../../../tcpip-ts/wire/address.ts';
import { IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import { IPS_ASSURED, IPS_SEEN_REPLY } from './ctinfo.ts';
import type { ConntrackEntry, ConntrackTuple } from './entry.ts';

export const TCP_STATE_NAMES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
] as const;

const PROTO_NAMES: Readonly<Record<number, string>> = {
  [IPPROTO_ICMP]: 'icmp',
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  [IPPROTO_SCTP]: 'sctp',
};

export function formatConntrack(e: Omit<ConntrackEntry, 'text'>): string {
  const { proto } = e.original;
  const parts = [(PROTO_NAMES[proto] ?? 'unknown').padEnd(8), proto, e.timeoutS];
  if (proto === IPPROTO_TCP) parts.push(TCP_STATE_NAMES[e.state] ?? 'NONE');
  parts.push(formatTuple(e.original));
  if ((e.status & IPS_SEEN_REPLY) === 0) parts.push('[UNREPLIED]');
  parts.push(formatTuple(e.reply));
  if ((e.status & IPS_ASSURED) !== 0) parts.push('[ASSURED]');
  parts.push(`mark=${e.mark}`, 'use=1');
  return parts.join(' ');
}

function formatTuple(t: ConntrackTuple): string {
  const addresses = `src=${formatIPv4(t.saddr)} dst=${formatIPv4(t.daddr)}`;
  if (t.proto === IPPROTO_ICMP) return `${addresses} type=${t.dport >>> 8} code=${t.dport & 255} id=${t.sport}`;
  if (t.proto === IPPROTO_TCP || t.proto === IPPROTO_UDP) return `${addresses} sport=${t.sport} dport=${t.dport}`;
  return addresses;
}
