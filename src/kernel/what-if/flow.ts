// The packet that the what-if engine moves along: only the fields that anything decides by. A port may be unknown (undefined).
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { IPPROTO_ICMP } from '../../tcpip-ts/wire/ipv4.ts';
import { protoName } from '../netfilter/ipset/ipset.ts';
import type { CtState } from '../netfilter/iptables/rule.ts';

export interface Flow {
  readonly proto: number;
  readonly saddr: number;
  readonly sport: number | undefined;
  readonly daddr: number;
  readonly dport: number | undefined;
  readonly mark: number;
  /** Device names, '' while there is none. */
  readonly iif: string;
  readonly oif: string;
  readonly ctState: CtState;
  /** Its connection's destination is rewritten, by this packet or an earlier one (conntrack's state DNAT). */
  readonly ctDnat: boolean;
}

export const NO_FLOW: Flow = {
  proto: 0,
  saddr: 0,
  sport: undefined,
  daddr: 0,
  dport: undefined,
  mark: 0,
  iif: '',
  oif: '',
  ctState: 'NEW',
  ctDnat: false,
};

/** `10.244.0.5:40000 > 10.96.0.10:53 udp`; `*` for an unknown port. */
export function formatFlow(flow: Flow): string {
  const { proto, saddr, sport, daddr, dport } = flow;
  if (proto === IPPROTO_ICMP) return `${formatIPv4(saddr)} > ${formatIPv4(daddr)} icmp`;
  const name = protoName(proto);
  return `${formatIPv4(saddr)}:${sport ?? '*'} > ${formatIPv4(daddr)}:${dport ?? '*'} ${name}`;
}
