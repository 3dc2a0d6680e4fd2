// Walks an iptables chain for a packet that does not exist, over the rules that run, and notes every rule that matches. The
// same semantics as netfilter/iptables/table.ts, on values instead of bytes; nothing is counted, bound or remembered. A
// statistic match takes both ways, so a walk has as many endings as the dice have outcomes.
// A match on a port that is not known does not match.
import { familyOf, type IpAddress, isInPrefix, networkOf } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_ICMP } from '../../tcpip-ts/wire/ipv4.ts';
import {
  NF_IP_PRI_FILTER,
  NF_IP_PRI_MANGLE,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  NF_IP_PRI_RAW,
} from '../netfilter/hooks.ts';
import { BUILTIN, statisticThreshold } from '../netfilter/iptables/compile.ts';
import type * as tree from '../netfilter/iptables/rule.ts';
import { formatRule } from '../netfilter/iptables/save.ts';
import type { Flow } from './flow.ts';
import type { HookChain, HookName, RuleStep, Walk } from './walk.ts';

type Chain = tree.Chain<IpAddress>;
type Match = tree.Match<IpAddress>;
type Rule = tree.Rule<IpAddress>;
type Target = tree.Target<IpAddress>;
type TableName = tree.TableName;

interface IpSet {
  readonly type: string;
  readonly dimensions: number;
  test(ip: IpAddress, proto: number, port: number, ip2: IpAddress): boolean;
}

export interface IptablesNet {
  readonly iptables: {
    chain(table: TableName, name: string): Chain | undefined;
    readonly recent: { check(name: string, addr: IpAddress, seconds: number): boolean };
  };
  readonly ipset: { get(name: string): { readonly set: IpSet } };
  isLocal(addr: IpAddress): boolean;
}

const TABLES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];

/** The built-in chains of `hook` that exist, one a table. */
export function iptablesChains(net: IptablesNet, hook: HookName): readonly HookChain[] {
  return TABLES.filter((table) => BUILTIN[table].some(([name]) => name === hook)).map((table) => ({
    priority: priorityOf(table, hook),
    isNat: table === 'nat',
    walk: (flow) => walkChain(net, table, hook, flow),
  }));
}

function priorityOf(table: TableName, hook: HookName): number {
  switch (table) {
    case 'raw':
      return NF_IP_PRI_RAW;
    case 'mangle':
      return NF_IP_PRI_MANGLE;
    case 'nat':
      return hook === 'PREROUTING' || hook === 'OUTPUT' ? NF_IP_PRI_NAT_DST : NF_IP_PRI_NAT_SRC;
    case 'filter':
      return NF_IP_PRI_FILTER;
  }
}

/** Walks the built-in chain; a table without that chain accepts. */
export function walkChain(net: IptablesNet, table: TableName, chain: string, flow: Flow): readonly Walk[] {
  return new Walker(net, table, chain).walk(flow);
}

/** Where a walk stands: the rules still to come, innermost chain first, and what has happened. */
interface State {
  readonly stack: readonly Frame[];
  readonly flow: Flow;
  readonly steps: readonly RuleStep[];
  readonly probability: number;
}

interface Frame {
  readonly chain: Chain;
  readonly index: number;
}

class Walker {
  readonly #net: IptablesNet;
  readonly #table: TableName;
  readonly #base: Chain | undefined;
  readonly #walks: Walk[] = [];

  constructor(net: IptablesNet, table: TableName, chain: string) {
    this.#net = net;
    this.#table = table;
    this.#base = net.iptables.chain(table, chain);
  }

  walk(flow: Flow): readonly Walk[] {
    const stack = this.#base ? [{ chain: this.#base, index: 0 }] : [];
    // Ways still to be gone; the next one is the last, so that they end in the order of the rules.
    const pending: State[] = [{ stack, flow, steps: [], probability: 1 }];
    for (let state = pending.pop(); state; state = pending.pop()) this.#run(state, pending);
    return this.#walks;
  }

  #run(start: State, pending: State[]): void {
    let { stack, flow, steps, probability } = start;
    for (;;) {
      const frame = stack[0];
      if (!frame) {
        this.#end({ stack, flow, steps, probability }, this.#base?.policy ?? 'ACCEPT', false);
        return;
      }
      const { rules } = frame.chain;
      let { index } = frame;
      let chance = 0;
      while (index < rules.length && (chance = this.#chance(rules[index]!, flow)) === 0) index++;
      const rule = rules[index];
      const rest = stack.slice(1);
      if (!rule) {
        stack = rest;
        continue;
      }
      const next = [{ chain: frame.chain, index: index + 1 }, ...rest];
      if (chance < 1 && chance > 0) pending.push({ stack: next, flow, steps, probability: probability * (1 - chance) });
      if (!rule.target) {
        stack = next;
        continue;
      }
      probability *= chance;
      const { target } = rule;
      steps = [
        ...steps,
        {
          rule: `-t ${this.#table} ${formatRule(frame.chain.name, rule, familyOf(flow.daddr))}`,
          action: actionOf(target, flow, chance),
        },
      ];
      switch (target.kind) {
        case 'jump':
        case 'goto': {
          const chain = this.#net.iptables.chain(this.#table, target.chain)!;
          stack = [{ chain, index: 0 }, ...(target.kind === 'jump' ? next : rest)];
          continue;
        }
        case 'RETURN':
          stack = rest;
          continue;
        case 'MARK':
          flow = { ...flow, mark: marked(flow, target) };
          stack = next;
          continue;
        default:
          this.#end({ stack, flow, steps, probability }, target.kind, true, target);
          return;
      }
    }
  }

  #end(
    state: State,
    outcome: 'ACCEPT' | 'DROP' | 'REJECT' | 'MASQUERADE' | 'DNAT',
    byRule: boolean,
    target?: Target,
  ): void {
    const isFinal = outcome === 'ACCEPT' || outcome === 'DROP' || outcome === 'REJECT';
    this.#walks.push({
      probability: state.probability,
      verdict: isFinal ? outcome : 'ACCEPT',
      flow: state.flow,
      steps: state.steps,
      explicit: byRule && outcome === 'ACCEPT',
      masquerade: target?.kind === 'MASQUERADE' ? { randomFully: target.randomFully } : undefined,
      dnat: target?.kind === 'DNAT' ? { addr: target.addr, port: target.port } : undefined,
    });
  }

  /** How likely the rule matches: 0 or 1, or in between where it rolls dice. */
  #chance(rule: Rule, flow: Flow): number {
    let chance = 1;
    for (const match of rule.matches) {
      if (match.kind === 'statistic') chance *= statisticThreshold(match.probability) / 0x80000000;
      else if (!this.#matches(match, flow)) return 0;
    }
    return chance;
  }

  #matches(match: Exclude<Match, { kind: 'statistic' }>, flow: Flow): boolean {
    switch (match.kind) {
      case 'source':
      case 'destination': {
        const addr = match.kind === 'source' ? flow.saddr : flow.daddr;
        return invertible(match, isInPrefix([networkOf(match.addr, match.prefixLen), match.prefixLen], addr));
      }
      case 'protocol':
        return invertible(match, match.proto === 0 || match.proto === flow.proto);
      case 'sport':
      case 'dport': {
        const port = match.kind === 'sport' ? flow.sport : flow.dport;
        return port !== undefined && invertible(match, port >= match.first && port <= match.last);
      }
      case 'in-interface':
        return invertible(match, isInterface(match.name, flow.iif));
      case 'out-interface':
        return invertible(match, isInterface(match.name, flow.oif));
      case 'addrtype':
        return invertible(match, this.#net.isLocal(match.side === 'src' ? flow.saddr : flow.daddr));
      case 'set':
        return invertible(match, this.#inSet(match, flow));
      case 'mark':
        return invertible(match, (flow.mark & match.mask) >>> 0 === match.value);
      case 'ctstate':
        return invertible(match, match.states.includes(flow.ctState) || (flow.ctDnat && match.states.includes('DNAT')));
      case 'recent':
        return match.op === 'set' || this.#net.iptables.recent.check(match.name, flow.saddr, match.seconds);
      case 'ipvs':
        return flow.proto === match.proto && flow.virtual?.addr === match.vaddr && flow.virtual.port === match.vport;
      case 'transport':
      case 'comment':
        return true;
    }
  }

  #inSet({ name, dims }: Extract<Match, { kind: 'set' }>, flow: Flow): boolean {
    const { set } = this.#net.ipset.get(name);
    const [first = 'dst', second = 'dst', third = 'dst'] = dims;
    const addr = (side: 'src' | 'dst'): IpAddress => (side === 'src' ? flow.saddr : flow.daddr);
    const bySide = (set.type === 'bitmap:port' ? first : second) === 'src' ? flow.sport : flow.dport;
    // An echo request stands in a port's place by its type and code.
    const port = flow.proto === IPPROTO_ICMP ? 0x0800 : bySide;
    const needsPort = set.type === 'bitmap:port' || set.dimensions > 1;
    if (needsPort && port === undefined) return false;
    return set.test(addr(first), flow.proto, port ?? 0, addr(third));
  }
}

function marked(flow: Flow, target: Extract<Target, { kind: 'MARK' }>): number {
  return ((flow.mark & ~target.mask) ^ target.value) >>> 0;
}

function actionOf(target: Target, flow: Flow, chance: number): string {
  const dice = chance < 1 ? ` (probability ${chance.toFixed(10)})` : '';
  switch (target.kind) {
    case 'jump':
      return `jump ${target.chain}${dice}`;
    case 'goto':
      return `goto ${target.chain}${dice}`;
    case 'MARK':
      return `mark 0x${marked(flow, target).toString(16)}`;
    case 'REJECT':
      return `reject with ${target.rejectWith}`;
    case 'RETURN':
      return 'return';
    default:
      return target.kind;
  }
}

function invertible(match: { readonly invert?: boolean }, result: boolean): boolean {
  return result !== (match.invert ?? false);
}

/** A name that ends in `+` stands for all that begin so. */
function isInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
