// The packet that the what-if engine moves along: only the fields that anything decides by. A port may be unknown (undefined).
import { formatHostPort, formatIpAddress, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_ICMP } from '../../tcpip-ts/wire/ipv4.ts';
import type { CtState } from '../netfilter/iptables/rule.ts';
import { protoName } from '../netfilter/proto-name.ts';

export interface Flow {
  readonly proto: number;
  readonly saddr: IpAddress;
  readonly sport: number | undefined;
  readonly daddr: IpAddress;
  readonly dport: number | undefined;
  readonly mark: number;
  /** Device names, '' while there is none. */
  readonly iif: string;
  readonly oif: string;
  readonly ctState: CtState;
  /** Its connection's destination is rewritten, by this packet or an earlier one (conntrack's state DNAT). */
  readonly ctDnat: boolean;
  /** The virtual server whose real server it goes to, once IPVS has chosen. */
  readonly virtual: { readonly addr: IpAddress; readonly port: number } | undefined;
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
  virtual: undefined,
};

/** `10.244.0.5:40000 > 10.96.0.10:53 udp`; `*` for an unknown port. */
export function formatFlow(flow: Flow): string {
  const { proto, saddr, sport, daddr, dport } = flow;
  if (proto === IPPROTO_ICMP) return `${formatIpAddress(saddr)} > ${formatIpAddress(daddr)} icmp`;
  const name = protoName(proto);
  return `${formatHostPort(saddr, sport ?? '*')} > ${formatHostPort(daddr, dport ?? '*')} ${name}`;
}
