// The ipsets of kube-proxy's IPVS mode: names, types and comments as in pkg/proxy/ipvs/ipset.go, v1.31.

import type { IpSetType } from '../../kernel/netlink.ts';
import type { IpFamily } from '../../tcpip-ts/wire/ip-address.ts';
import type { IpSetEntry } from '../either-family.ts';

export interface SetInfo {
  readonly type: IpSetType;
  /** Used as the comment of the rules that match the set. */
  readonly comment: string;
}

const masq = 'for masquerade purpose';

export const SETS = {
  'KUBE-LOOP-BACK': {
    type: 'hash:ip,port,ip',
    comment: 'Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose',
  },
  'KUBE-CLUSTER-IP': { type: 'hash:ip,port', comment: `Kubernetes service cluster ip + port ${masq}` },
  'KUBE-EXTERNAL-IP': {
    type: 'hash:ip,port',
    comment: 'Kubernetes service external ip + port for masquerade and filter purpose',
  },
  'KUBE-EXTERNAL-IP-LOCAL': {
    type: 'hash:ip,port',
    comment: 'Kubernetes service external ip + port with externalTrafficPolicy=local',
  },
  'KUBE-LOAD-BALANCER': { type: 'hash:ip,port', comment: 'Kubernetes service lb portal' },
  'KUBE-LOAD-BALANCER-FW': {
    type: 'hash:ip,port',
    comment: 'Kubernetes service load balancer ip + port for load balancer with sourceRange',
  },
  'KUBE-LOAD-BALANCER-LOCAL': {
    type: 'hash:ip,port',
    comment: 'Kubernetes service load balancer ip + port with externalTrafficPolicy=local',
  },
  'KUBE-LOAD-BALANCER-SOURCE-IP': {
    type: 'hash:ip,port,ip',
    comment: 'Kubernetes service load balancer ip + port + source IP for packet filter purpose',
  },
  'KUBE-LOAD-BALANCER-SOURCE-CIDR': {
    type: 'hash:ip,port,net',
    comment: 'Kubernetes service load balancer ip + port + source cidr for packet filter purpose',
  },
  'KUBE-NODE-PORT-TCP': { type: 'bitmap:port', comment: `Kubernetes nodeport TCP port ${masq}` },
  'KUBE-NODE-PORT-LOCAL-TCP': {
    type: 'bitmap:port',
    comment: 'Kubernetes nodeport TCP port with externalTrafficPolicy=local',
  },
  'KUBE-NODE-PORT-UDP': { type: 'bitmap:port', comment: `Kubernetes nodeport UDP port ${masq}` },
  'KUBE-NODE-PORT-LOCAL-UDP': {
    type: 'bitmap:port',
    comment: 'Kubernetes nodeport UDP port with externalTrafficPolicy=local',
  },
  'KUBE-NODE-PORT-SCTP-HASH': {
    type: 'hash:ip,port',
    comment: `Kubernetes nodeport SCTP port ${masq} with type 'hash ip:port'`,
  },
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH': {
    type: 'hash:ip,port',
    comment: "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
  },
  'KUBE-HEALTH-CHECK-NODE-PORT': { type: 'bitmap:port', comment: 'Kubernetes health check node port' },
  'KUBE-IPVS-IPS': { type: 'hash:ip', comment: 'Addresses on the ipvs interface' },
} as const satisfies Record<string, SetInfo>;

export type SetName = keyof typeof SETS;

export const SET_NAMES = Object.keys(SETS) as SetName[];

/** What the kernel knows the set by: in IPv6 `KUBE-6-` for `KUBE-`, cut at the 31 characters that a set's name may have. */
export function kernelName(name: SetName, family: IpFamily): string {
  return family === 4 ? name : name.replace('KUBE-', 'KUBE-6-').slice(0, 31);
}

/** One text for one entry of a set of any type. */
export function entryKey(entry: IpSetEntry): string {
  return `${entry.ip ?? ''},${entry.proto ?? ''}:${entry.port ?? ''},${entry.ip2 ?? ''}/${entry.prefixLen ?? ''}`;
}
