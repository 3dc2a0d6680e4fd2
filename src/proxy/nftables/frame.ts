// The nftables mode's frame: table kube-proxy, its base chains, the chains they jump to, and the maps and sets that Services
// are elements of. After setupNFTables() of pkg/proxy/nftables/proxier.go, v1.34, rule for rule.
//
//   priority -110  filter-prerouting-pre-dnat, filter-output-pre-dnat ─ new ─▶ firewall-check ─ @firewall-ips
//            -100  nat-prerouting, nat-output ─▶ services ─ @service-ips, then @service-nodeports
//               0  filter-input, filter-forward, filter-output ─ new ─▶ nodeport-endpoints-check, service-endpoints-check,
//                                                                       cluster-ips-check
//             100  nat-postrouting ─▶ masquerading

import type { BaseChain, MapKey } from '../../kernel/netfilter/nftables/ruleset.ts';
import type { IpAddress, IpFamily } from '../../tcpip-ts/wire/ip-address.ts';
import type { Cidr } from '../config.ts';
import type { Expression, NftCommand, NftRule } from '../either-family.ts';
import { LOOPBACK } from '../node-ports.ts';

export const TABLE = 'kube-proxy';
export const MARK_MASQ = 'mark-for-masquerade';
export const REJECT = 'reject-chain';

const SERVICES = 'services';
const FIREWALL_CHECK = 'firewall-check';
const SERVICE_CHECK = 'service-endpoints-check';
const NODEPORT_CHECK = 'nodeport-endpoints-check';
const CLUSTER_IPS_CHECK = 'cluster-ips-check';
const MASQUERADING = 'masquerading';
const NODEPORT_IPS = 'nodeport-ips';

const BASE_CHAINS: readonly (readonly [string, BaseChain])[] = [
  ['filter-prerouting-pre-dnat', { type: 'filter', hook: 'prerouting', priority: -110 }],
  ['filter-output-pre-dnat', { type: 'filter', hook: 'output', priority: -110 }],
  ['filter-input', { type: 'filter', hook: 'input', priority: 0 }],
  ['filter-forward', { type: 'filter', hook: 'forward', priority: 0 }],
  ['filter-output', { type: 'filter', hook: 'output', priority: 0 }],
  ['nat-prerouting', { type: 'nat', hook: 'prerouting', priority: -100 }],
  ['nat-output', { type: 'nat', hook: 'output', priority: -100 }],
  ['nat-postrouting', { type: 'nat', hook: 'postrouting', priority: 100 }],
];

/** [to, from, only new connections] */
const JUMPS: readonly (readonly [string, string, boolean])[] = [
  [NODEPORT_CHECK, 'filter-input', true],
  [SERVICE_CHECK, 'filter-input', true],
  [SERVICE_CHECK, 'filter-forward', true],
  [SERVICE_CHECK, 'filter-output', true],
  [FIREWALL_CHECK, 'filter-prerouting-pre-dnat', true],
  [FIREWALL_CHECK, 'filter-output-pre-dnat', true],
  [SERVICES, 'nat-output', false],
  [SERVICES, 'nat-prerouting', false],
  [MASQUERADING, 'nat-postrouting', false],
  [CLUSTER_IPS_CHECK, 'filter-forward', true],
  [CLUSTER_IPS_CHECK, 'filter-output', true],
];

/** What Services are elements of. */
export const CLUSTER_IPS = 'cluster-ips';
export const MAPS = {
  'firewall-ips': {
    key: 'addr.proto.port',
    comment: 'destinations that are subject to LoadBalancerSourceRanges',
  },
  'no-endpoint-nodeports': {
    key: 'proto.port',
    comment: 'vmap to drop or reject packets to service nodeports with no endpoints',
  },
  'no-endpoint-services': {
    key: 'addr.proto.port',
    comment: 'vmap to drop or reject packets to services with no endpoints',
  },
  'service-ips': { key: 'addr.proto.port', comment: 'ClusterIP, ExternalIP and LoadBalancer IP traffic' },
  'service-nodeports': { key: 'proto.port', comment: 'NodePort traffic' },
} as const satisfies Readonly<Record<string, { readonly key: MapKey; readonly comment: string }>>;
export type MapName = keyof typeof MAPS;

export interface FrameOptions {
  /** The masquerade mark. */
  readonly mark: number;
  readonly serviceCIDRs: readonly Cidr[];
  /** Addresses that take NodePorts; null: all of this host but its loopback. */
  readonly nodePortIPs: readonly IpAddress[] | null;
  readonly family: IpFamily;
  /** The first time: base chains that an earlier version left with other priorities are made anew. */
  readonly recreate: boolean;
}

/** Makes the frame, or empties and refills it; sets and maps end up empty, service ports' chains untouched. */
export function frame({ mark, serviceCIDRs, nodePortIPs, family, recreate }: FrameOptions): NftCommand[] {
  const commands: NftCommand[] = [{ command: 'add-table', comment: 'rules for kube-proxy' }];
  const rule = (chain: string, ...expressions: Expression[]): void => {
    commands.push({ command: 'add-rule', chain, rule: { expressions } });
  };
  const commented = (chain: string, comment: string, ...expressions: Expression[]): void => {
    commands.push({ command: 'add-rule', chain, rule: { expressions, comment } satisfies NftRule });
  };
  const empty = (name: string, base?: BaseChain, comment?: string): void => {
    const chain = { name, ...(base ? { base } : {}), ...(comment === undefined ? {} : { comment }) };
    commands.push({ command: 'add-chain', chain }, { command: 'flush-chain', name });
  };

  if (recreate) {
    for (const [name] of BASE_CHAINS)
      commands.push({ command: 'add-chain', chain: { name } }, { command: 'delete-chain', name });
  }
  for (const [name, base] of BASE_CHAINS) empty(name, base);
  for (const name of new Set(JUMPS.map(([to]) => to))) empty(name);
  empty(MARK_MASQ);
  empty(REJECT, undefined, 'helper for @no-endpoint-services / @no-endpoint-nodeports');
  for (const [to, from, onlyNew] of JUMPS) {
    if (onlyNew) rule(from, { kind: 'ct-state-new' }, jump(to));
    else rule(from, jump(to));
  }

  rule(MARK_MASQ, { kind: 'mark-set', operator: 'or', value: mark });
  rule(MASQUERADING, { kind: 'mark', mask: mark, value: 0 }, { kind: 'verdict', verdict: { kind: 'return' } });
  rule(MASQUERADING, { kind: 'mark-set', operator: 'xor', value: mark });
  rule(MASQUERADING, { kind: 'masquerade', fullyRandom: true });
  rule(REJECT, { kind: 'reject' });

  commands.push({ command: 'add-set', set: { name: CLUSTER_IPS, comment: 'Active ClusterIPs' } });
  commented(
    CLUSTER_IPS_CHECK,
    'Reject traffic to invalid ports of ClusterIPs',
    { kind: 'address-set', field: 'daddr', set: CLUSTER_IPS },
    { kind: 'reject' },
  );
  if (serviceCIDRs.length > 0) {
    commented(
      CLUSTER_IPS_CHECK,
      'Drop traffic to unallocated ClusterIPs',
      { kind: 'address-in', field: 'daddr', prefixes: serviceCIDRs },
      { kind: 'verdict', verdict: { kind: 'drop' } },
    );
  }

  // Added before it is deleted: there may be none.
  commands.push({ command: 'add-set', set: { name: NODEPORT_IPS, comment: 'IPs that accept NodePort traffic' } });
  if (nodePortIPs) {
    commands.push({ command: 'flush-set', name: NODEPORT_IPS });
    for (const addr of nodePortIPs) commands.push({ command: 'add-set-element', set: NODEPORT_IPS, addr });
  } else {
    commands.push({ command: 'delete-set', name: NODEPORT_IPS });
  }
  const notLocalhost: Expression = { kind: 'address', field: 'daddr', ...LOOPBACK[family], invert: true };
  const atNodePorts: Expression[] = nodePortIPs
    ? [{ kind: 'address-set', field: 'daddr', set: NODEPORT_IPS }]
    : [notLocalhost];

  for (const [name, { key, comment }] of Object.entries(MAPS))
    commands.push({ command: 'add-map', map: { name, key, comment } });
  rule(SERVICE_CHECK, { kind: 'vmap', map: 'no-endpoint-services' });
  rule(NODEPORT_CHECK, ...atNodePorts, { kind: 'vmap', map: 'no-endpoint-nodeports' });
  rule(FIREWALL_CHECK, { kind: 'vmap', map: 'firewall-ips' });
  rule(SERVICES, { kind: 'vmap', map: 'service-ips' });
  const isLocal: Expression[] = nodePortIPs ? [] : [{ kind: 'fib-local', field: 'daddr' }];
  rule(SERVICES, ...isLocal, ...atNodePorts, { kind: 'vmap', map: 'service-nodeports' });
  for (const name of [CLUSTER_IPS, ...Object.keys(MAPS)]) commands.push({ command: 'flush-set', name });
  return commands;
}

export function jump(chain: string): Expression {
  return { kind: 'verdict', verdict: { kind: 'jump', chain } };
}

export function goTo(chain: string): Expression {
  return { kind: 'verdict', verdict: { kind: 'goto', chain } };
}
