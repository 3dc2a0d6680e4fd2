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

export interface RulesContext {
  readonly config: Pick<KubeProxyConfig, 'masqueradeAll' | 'masqueradeBit'>;
  readonly local: LocalDetector | undefined;
  readonly family: IpFamily;
  /** Which sets hold nothing. */
  readonly isEmpty: (set: SetName) => boolean;
  /** Load balancers that the Node itself must not reach. */
  readonly closed: readonly VirtualAddress[];
}

type Add = (chain: string, target: Target, ...matches: Match[]) => void;

/** The two tables' chains, complete. */
export function kubeChains(ctx: RulesContext): readonly IptablesRestoreOp[] {
  return (['nat', 'filter'] as const).map((table) => {
    const chains = new Map<string, Rule[]>(CHAINS[table].map((name) => [name, []]));
    const add: Add = (chain, target, ...matches) => void chains.get(chain)!.push({ matches, target });
    if (table === 'nat') natRules(ctx, add);
    else filterRules(ctx, add);
    return {
      op: 'iptables-restore',
      table,
      chains: [...chains].map(([name, rules]) => ({ name, rules: rules.map((rule) => inFamily(rule, ctx.family)) })),
      ensureFirst: JUMPS[table],
    };
  });
}

function natRules({ config, local, family, isEmpty }: RulesContext, add: Add): void {
  const mark = 2 ** config.masqueradeBit;
  add(SERVICES, { kind: 'RETURN' }, { kind: 'source', ...LOOPBACK[family] });
  setRules('nat', isEmpty, add);
  if (!isEmpty('KUBE-CLUSTER-IP')) {
    const cluster = comment('KUBE-CLUSTER-IP');
    if (config.masqueradeAll) {
      add(SERVICES, jump(MARK_MASQ), cluster, set('KUBE-CLUSTER-IP', 'dst', 'dst'));
    } else if (local) {
      add(SERVICES, jump(MARK_MASQ), fromElsewhere(local), cluster, set('KUBE-CLUSTER-IP', 'dst', 'dst'));
    } else {
      // The Node's own connections have a Service address as source: the one they are made to.
      add(SERVICES, jump(MARK_MASQ), cluster, set('KUBE-CLUSTER-IP', 'src', 'dst'));
    }
  }
  const toLocal: Match = { kind: 'addrtype', side: 'dst', type: 'LOCAL' };
  for (const name of ['KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const) {
    if (isEmpty(name)) continue;
    const external = [comment(name), set(name, 'dst', 'dst')];
    if (name === 'KUBE-EXTERNAL-IP') add(SERVICES, jump(MARK_MASQ), ...external);
    add(SERVICES, { kind: 'ACCEPT' }, ...external, { kind: 'addrtype', side: 'src', type: 'LOCAL', invert: true });
    add(SERVICES, { kind: 'ACCEPT' }, ...external, toLocal);
  }
  add(SERVICES, jump(NODE_PORT), toLocal);
  add(LOAD_BALANCER, jump(MARK_MASQ));
  for (const name of ['KUBE-CLUSTER-IP', 'KUBE-LOAD-BALANCER'] as const) {
    if (!isEmpty(name)) add(SERVICES, { kind: 'ACCEPT' }, set(name, 'dst', 'dst'));
  }

  add(POSTROUTING, { kind: 'RETURN' }, { kind: 'mark', value: mark, mask: mark, invert: true });
  add(POSTROUTING, { kind: 'MARK', value: mark, mask: 0 });
  const masquerade: Target = { kind: 'MASQUERADE', randomFully: true };
  add(POSTROUTING, masquerade, text('kubernetes service traffic requiring SNAT'));
  add(MARK_MASQ, { kind: 'MARK', value: mark, mask: mark });
}

function filterRules({ config, family, isEmpty, closed }: RulesContext, add: Add): void {
  const mark = 2 ** config.masqueradeBit;
  setRules('filter', isEmpty, add);
  add(SOURCE_RANGES, { kind: 'DROP' });
  // The Node's own connections have the load balancer's address as source too, as it is bound here.
  for (const { proto, addr, port } of closed) {
    const from: Match = { kind: 'source', addr, prefixLen: widthOf(family) };
    add(IPVS_OUT_FILTER, { kind: 'DROP' }, from, { kind: 'ipvs', proto, vaddr: addr, vport: port });
  }

  const marked: Match = { kind: 'mark', value: mark, mask: mark };
  const known: Match = { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] };
  add(FORWARD, { kind: 'ACCEPT' }, text('kubernetes forwarding rules'), marked);
  add(FORWARD, { kind: 'ACCEPT' }, text('kubernetes forwarding conntrack rule'), known);
  const health = set('KUBE-HEALTH-CHECK-NODE-PORT', 'dst');
  add(NODE_PORT, { kind: 'ACCEPT' }, comment('KUBE-HEALTH-CHECK-NODE-PORT'), health);

  // Host services must not be reachable through Service addresses. ICMP has no port in the sets, so this also refuses a
  // ping to a ClusterIP, as in every kube-proxy since 1.26 (kubernetes PR 108460).
  for (const name of ['KUBE-LOAD-BALANCER', 'KUBE-CLUSTER-IP', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const) {
    add(IPVS_FILTER, { kind: 'RETURN' }, set(name, 'dst', 'dst'));
  }
  add(IPVS_FILTER, { kind: 'RETURN' }, health);
  const rejectWith = family === 6 ? 'icmp6-port-unreachable' : 'icmp-port-unreachable';
  const reject: Target = { kind: 'REJECT', rejectWith };
  add(IPVS_FILTER, reject, { kind: 'ctstate', states: ['NEW'] }, set('KUBE-IPVS-IPS', 'dst'));
}

/** Those of SET_RULES whose set holds anything. */
function setRules(of: 'nat' | 'filter', isEmpty: RulesContext['isEmpty'], add: Add): void {
  for (const [table, name, chain, dims, target, proto] of SET_RULES) {
    if (table !== of || isEmpty(name)) continue;
    const protocol: Match[] = proto === undefined ? [] : [{ kind: 'protocol', proto }];
    add(chain, target, ...protocol, comment(name), set(name, ...dims));
  }
}

/** With the names that the family's sets have in the kernel. */
function inFamily(rule: Rule, family: IpFamily): Rule {
  if (family === 4) return rule;
  const named = (match: Match): Match =>
    match.kind === 'set' ? { ...match, name: kernelName(match.name as SetName, family) } : match;
  return { ...rule, matches: rule.matches.map(named) };
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
