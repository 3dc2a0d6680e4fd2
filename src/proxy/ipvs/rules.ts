// The iptables rules of kube-proxy's IPVS mode, after writeIptablesRules() of pkg/proxy/ipvs/proxier.go, v1.31: a constant
// number of them, whatever the Services, since they match ipsets, plus one for each load balancer whose source ranges leave the
// Node itself out. Which there are depends only on those, on the configuration and on which sets hold anything.
//
// Deviation: `-m physdev ! --physdev-is-in` is left out of the externalIP rules; the emulated Node has no bridge, so it would
// always match.

import { type IpFamily, widthOf } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';
import type { KubeProxyConfig } from '../config.ts';
import type { IptablesRestoreOp, Match, Rule, Target } from '../either-family.ts';
import { fromElsewhere, type LocalDetector } from '../local-detector.ts';
import { LOOPBACK } from '../node-ports.ts';
import type { VirtualAddress } from './compile.ts';
import { kernelName, SETS, type SetName } from './ipsets.ts';

type Dim = 'src' | 'dst';

const SERVICES = 'KUBE-SERVICES';
const POSTROUTING = 'KUBE-POSTROUTING';
const NODE_PORT = 'KUBE-NODE-PORT';
const LOAD_BALANCER = 'KUBE-LOAD-BALANCER';
const MARK_MASQ = 'KUBE-MARK-MASQ';
const FORWARD = 'KUBE-FORWARD';
const PROXY_FIREWALL = 'KUBE-PROXY-FIREWALL';
const SOURCE_RANGES = 'KUBE-SOURCE-RANGES-FIREWALL';
const IPVS_FILTER = 'KUBE-IPVS-FILTER';
const IPVS_OUT_FILTER = 'KUBE-IPVS-OUT-FILTER';

export const CHAINS: Readonly<Record<'nat' | 'filter', readonly string[]>> = {
  nat: [SERVICES, POSTROUTING, NODE_PORT, LOAD_BALANCER, MARK_MASQ],
  filter: [FORWARD, NODE_PORT, PROXY_FIREWALL, SOURCE_RANGES, IPVS_FILTER, IPVS_OUT_FILTER],
};

/** Jumps from built-in chains, in the order they are put first. */
export const JUMPS: Readonly<Record<'nat' | 'filter', readonly { readonly chain: string; readonly rule: Rule }[]>> = {
  nat: [
    jumpFrom('OUTPUT', SERVICES, 'kubernetes service portals'),
    jumpFrom('PREROUTING', SERVICES, 'kubernetes service portals'),
    jumpFrom('POSTROUTING', POSTROUTING, 'kubernetes postrouting rules'),
  ],
  filter: [
    jumpFrom('FORWARD', FORWARD, 'kubernetes forwarding rules'),
    jumpFrom('INPUT', NODE_PORT, 'kubernetes health check rules'),
    jumpFrom('INPUT', PROXY_FIREWALL, 'kube-proxy firewall rules'),
    jumpFrom('FORWARD', PROXY_FIREWALL, 'kube-proxy firewall rules'),
    jumpFrom('INPUT', IPVS_FILTER, 'kubernetes ipvs access filter'),
    jumpFrom('OUTPUT', IPVS_OUT_FILTER, 'kubernetes ipvs access filter'),
  ],
};

/** Rules that match one set, in the order kube-proxy writes them: [table, set, chain, dims, target, protocol]. */
const SET_RULES: readonly (readonly ['nat' | 'filter', SetName, string, readonly Dim[], Target, number?])[] = [
  ['nat', 'KUBE-LOOP-BACK', POSTROUTING, ['dst', 'dst', 'src'], { kind: 'MASQUERADE', randomFully: false }],
  ['nat', 'KUBE-LOAD-BALANCER', SERVICES, ['dst', 'dst'], jump(LOAD_BALANCER)],
  ['nat', 'KUBE-LOAD-BALANCER-LOCAL', LOAD_BALANCER, ['dst', 'dst'], { kind: 'RETURN' }],
  ['nat', 'KUBE-NODE-PORT-LOCAL-TCP', NODE_PORT, ['dst'], { kind: 'RETURN' }, IPPROTO_TCP],
  ['nat', 'KUBE-NODE-PORT-TCP', NODE_PORT, ['dst'], jump(MARK_MASQ), IPPROTO_TCP],
  ['nat', 'KUBE-NODE-PORT-LOCAL-UDP', NODE_PORT, ['dst'], { kind: 'RETURN' }, IPPROTO_UDP],
  ['nat', 'KUBE-NODE-PORT-UDP', NODE_PORT, ['dst'], jump(MARK_MASQ), IPPROTO_UDP],
  ['nat', 'KUBE-NODE-PORT-LOCAL-SCTP-HASH', NODE_PORT, ['dst', 'dst'], { kind: 'RETURN' }, IPPROTO_SCTP],
  ['nat', 'KUBE-NODE-PORT-SCTP-HASH', NODE_PORT, ['dst', 'dst'], jump(MARK_MASQ), IPPROTO_SCTP],
  ['filter', 'KUBE-LOAD-BALANCER-FW', PROXY_FIREWALL, ['dst', 'dst'], jump(SOURCE_RANGES)],
  ['filter', 'KUBE-LOAD-BALANCER-SOURCE-CIDR', SOURCE_RANGES, ['dst', 'dst', 'src'], { kind: 'RETURN' }],
  ['filter', 'KUBE-LOAD-BALANCER-SOURCE-IP', SOURCE_RANGES, ['dst', 'dst', 'src'], { kind: 'RETURN' }],
];

/** The two tables' chains, complete; `isEmpty` tells which sets hold nothing, `closed` which load balancers the Node must not reach. */
export function kubeChains(
  config: Pick<KubeProxyConfig, 'masqueradeAll' | 'masqueradeBit'>,
  local: LocalDetector | undefined,
  family: IpFamily,
  isEmpty: (set: SetName) => boolean,
  closed: readonly VirtualAddress[],
): readonly IptablesRestoreOp[] {
  const mark = 2 ** config.masqueradeBit;
  const tables = { nat: emptyChains('nat'), filter: emptyChains('filter') };
  const add = (table: 'nat' | 'filter', chain: string, target: Target, ...matches: Match[]): void => {
    tables[table].get(chain)!.push({ matches, target });
  };

  add('nat', SERVICES, { kind: 'RETURN' }, { kind: 'source', ...LOOPBACK[family] });
  for (const [table, name, chain, dims, target, proto] of SET_RULES) {
    if (isEmpty(name)) continue;
    const protocol: Match[] = proto === undefined ? [] : [{ kind: 'protocol', proto }];
    add(table, chain, target, ...protocol, comment(name), set(name, ...dims));
  }

  if (!isEmpty('KUBE-CLUSTER-IP')) {
    const cluster = comment('KUBE-CLUSTER-IP');
    if (config.masqueradeAll) {
      add('nat', SERVICES, jump(MARK_MASQ), cluster, set('KUBE-CLUSTER-IP', 'dst', 'dst'));
    } else if (local) {
      add('nat', SERVICES, jump(MARK_MASQ), fromElsewhere(local), cluster, set('KUBE-CLUSTER-IP', 'dst', 'dst'));
    } else {
      // The Node's own connections have a Service address as source: the one they are made to.
      add('nat', SERVICES, jump(MARK_MASQ), cluster, set('KUBE-CLUSTER-IP', 'src', 'dst'));
    }
  }
  for (const name of ['KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const) {
    if (isEmpty(name)) continue;
    const external = [comment(name), set(name, 'dst', 'dst')];
    if (name === 'KUBE-EXTERNAL-IP') add('nat', SERVICES, jump(MARK_MASQ), ...external);
    add('nat', SERVICES, { kind: 'ACCEPT' }, ...external, {
      kind: 'addrtype',
      side: 'src',
      type: 'LOCAL',
      invert: true,
    });
    add('nat', SERVICES, { kind: 'ACCEPT' }, ...external, { kind: 'addrtype', side: 'dst', type: 'LOCAL' });
  }
  add('nat', SERVICES, jump(NODE_PORT), { kind: 'addrtype', side: 'dst', type: 'LOCAL' });
  add('nat', LOAD_BALANCER, jump(MARK_MASQ));
  add('filter', SOURCE_RANGES, { kind: 'DROP' });
  // The Node's own connections have the load balancer's address as source too, as it is bound here.
  for (const { proto, addr, port } of closed) {
    const from: Match = { kind: 'source', addr, prefixLen: widthOf(family) };
    add('filter', IPVS_OUT_FILTER, { kind: 'DROP' }, from, { kind: 'ipvs', proto, vaddr: addr, vport: port });
  }
  for (const name of ['KUBE-CLUSTER-IP', 'KUBE-LOAD-BALANCER'] as const) {
    if (!isEmpty(name)) add('nat', SERVICES, { kind: 'ACCEPT' }, set(name, 'dst', 'dst'));
  }

  add('filter', FORWARD, { kind: 'ACCEPT' }, text('kubernetes forwarding rules'), {
    kind: 'mark',
    value: mark,
    mask: mark,
  });
  add('filter', FORWARD, { kind: 'ACCEPT' }, text('kubernetes forwarding conntrack rule'), {
    kind: 'ctstate',
    states: ['RELATED', 'ESTABLISHED'],
  });
  const health = set('KUBE-HEALTH-CHECK-NODE-PORT', 'dst');
  add('filter', NODE_PORT, { kind: 'ACCEPT' }, comment('KUBE-HEALTH-CHECK-NODE-PORT'), health);

  // Host services must not be reachable through Service addresses. ICMP has no port in the sets, so this also refuses a
  // ping to a ClusterIP, as in every kube-proxy since 1.27.
  for (const name of ['KUBE-LOAD-BALANCER', 'KUBE-CLUSTER-IP', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const) {
    add('filter', IPVS_FILTER, { kind: 'RETURN' }, set(name, 'dst', 'dst'));
  }
  add('filter', IPVS_FILTER, { kind: 'RETURN' }, health);
  const rejectWith = family === 6 ? 'icmp6-port-unreachable' : 'icmp-port-unreachable';
  const reject: Target = { kind: 'REJECT', rejectWith };
  add('filter', IPVS_FILTER, reject, { kind: 'ctstate', states: ['NEW'] }, set('KUBE-IPVS-IPS', 'dst'));

  add('nat', POSTROUTING, { kind: 'RETURN' }, { kind: 'mark', value: mark, mask: mark, invert: true });
  add('nat', POSTROUTING, { kind: 'MARK', value: mark, mask: 0 });
  const masquerade: Target = { kind: 'MASQUERADE', randomFully: true };
  add('nat', POSTROUTING, masquerade, text('kubernetes service traffic requiring SNAT'));
  add('nat', MARK_MASQ, { kind: 'MARK', value: mark, mask: mark });

  return (['nat', 'filter'] as const).map((table) => ({
    op: 'iptables-restore',
    table,
    chains: [...tables[table]].map(([name, rules]) => ({ name, rules: rules.map((rule) => inFamily(rule, family)) })),
    ensureFirst: JUMPS[table],
  }));
}

/** With the names that the family's sets have in the kernel. */
function inFamily(rule: Rule, family: IpFamily): Rule {
  if (family === 4) return rule;
  const named = (match: Match): Match =>
    match.kind === 'set' ? { ...match, name: kernelName(match.name as SetName, family) } : match;
  return { ...rule, matches: rule.matches.map(named) };
}

function emptyChains(table: 'nat' | 'filter'): Map<string, Rule[]> {
  return new Map(CHAINS[table].map((name) => [name, []]));
}

function jump(chain: string): Target {
  return { kind: 'jump', chain };
}

function jumpFrom(from: string, to: string, why: string): { chain: string; rule: Rule } {
  return { chain: from, rule: { matches: [text(why)], target: jump(to) } };
}

function text(comment: string): Match {
  return { kind: 'comment', text: comment };
}

function comment(set: SetName): Match {
  return text(SETS[set].comment);
}

function set(name: SetName, ...dims: Dim[]): Match {
  return { kind: 'set', name, dims };
}
