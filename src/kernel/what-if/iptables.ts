// Walks an iptables chain for a packet that does not exist, over the rules that run, and notes every rule that matches. The
// same semantics as netfilter/iptables/table.ts, on values instead of bytes; nothing is counted or bound.
// A match on a port that is not known does not match.
import { netmask } from '../../tcpip-ts/wire/address.ts';
import { IPPROTO_ICMP } from '../../tcpip-ts/wire/ipv4.ts';
import type { Fib } from '../ip/fib.ts';
import type { IpSets } from '../netfilter/ipset/ipset.ts';
import type { Iptables } from '../netfilter/iptables/iptables.ts';
import type { Match, Rule, TableName, Target } from '../netfilter/iptables/rule.ts';
import { formatRule } from '../netfilter/iptables/save.ts';
import type { Flow } from './flow.ts';

export interface RulesEnv {
  readonly iptables: Iptables;
  readonly ipset: IpSets;
  readonly fib: Fib;
}

/** A rule that matched, as `-t nat -A CHAIN ...`, and what it did. */
export interface RuleStep {
  readonly rule: string;
  readonly action: string;
}

export interface Walk {
  readonly verdict: 'ACCEPT' | 'DROP' | 'REJECT';
  /** The packet afterwards: its mark may differ. */
  readonly flow: Flow;
  readonly steps: readonly RuleStep[];
  /** A rule said ACCEPT, rather than the policy. */
  readonly explicit: boolean;
  readonly masquerade: { readonly randomFully: boolean } | undefined;
  readonly dnat: { readonly addr: number; readonly port: number } | undefined;
}

/** Walks the built-in chain; a table without that chain accepts. */
export function walkChain(env: RulesEnv, table: TableName, chain: string, flow: Flow): Walk {
  const walker = new Walker(env, table, flow);
  const policy = env.iptables.chains(table).find((c) => c.name === chain)?.policy ?? 'ACCEPT';
  return walker.finish(walker.walk(chain), policy);
}

type Outcome = 'ACCEPT' | 'DROP' | 'REJECT' | 'RETURN';

class Walker {
  readonly #env: RulesEnv;
  readonly #table: TableName;
  readonly #steps: RuleStep[] = [];
  #flow: Flow;
  #masquerade: Walk['masquerade'];
  #dnat: Walk['dnat'];

  constructor(env: RulesEnv, table: TableName, flow: Flow) {
    this.#env = env;
    this.#table = table;
    this.#flow = flow;
  }

  /** RETURN when no rule of the chain was final. */
  walk(name: string): Outcome {
    const chain = this.#env.iptables.chains(this.#table).find((c) => c.name === name);
    for (const rule of chain?.rules ?? []) {
      if (!rule.matches.every((match) => this.#matches(match))) continue;
      if (!rule.target) continue;
      this.#steps.push({
        rule: `-t ${this.#table} ${formatRule(name, rule)}`,
        action: this.#actionOf(rule, rule.target),
      });
      const outcome = this.#apply(rule.target);
      if (outcome) return outcome;
    }
    return 'RETURN';
  }

  finish(outcome: Outcome, policy: 'ACCEPT' | 'DROP'): Walk {
    return {
      verdict: outcome === 'RETURN' ? policy : outcome,
      flow: this.#flow,
      steps: this.#steps,
      explicit: outcome === 'ACCEPT',
      masquerade: this.#masquerade,
      dnat: this.#dnat,
    };
  }

  /** Undefined: on to the next rule. */
  #apply(target: Target): Outcome | undefined {
    switch (target.kind) {
      case 'ACCEPT':
      case 'DROP':
      case 'REJECT':
      case 'RETURN':
        return target.kind;
      case 'jump': {
        const outcome = this.walk(target.chain);
        return outcome === 'RETURN' ? undefined : outcome;
      }
      case 'goto':
        return this.walk(target.chain);
      case 'MARK':
        this.#flow = { ...this.#flow, mark: ((this.#flow.mark & ~target.mask) ^ target.value) >>> 0 };
        return undefined;
      case 'MASQUERADE':
        this.#masquerade = { randomFully: target.randomFully };
        return 'ACCEPT';
      case 'DNAT':
        this.#dnat = { addr: target.addr, port: target.port };
        return 'ACCEPT';
    }
  }

  #actionOf(rule: Rule, target: Target): string {
    switch (target.kind) {
      case 'jump':
        return `jump ${target.chain}`;
      case 'goto':
        return `goto ${target.chain}`;
      case 'MARK': {
        const mark = ((this.#flow.mark & ~target.mask) ^ target.value) >>> 0;
        return `mark 0x${mark.toString(16)}`;
      }
      case 'REJECT':
        return `reject with ${target.rejectWith}`;
      case 'RETURN':
        return 'return';
      default:
        return rule.target!.kind;
    }
  }

  #matches(match: Match): boolean {
    const flow = this.#flow;
    switch (match.kind) {
      case 'source':
      case 'destination': {
        const addr = match.kind === 'source' ? flow.saddr : flow.daddr;
        const mask = netmask(match.prefixLen);
        return invertible(match, (addr & mask) >>> 0 === (match.addr & mask) >>> 0);
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
        return invertible(match, this.#env.fib.isLocal(match.side === 'src' ? flow.saddr : flow.daddr));
      case 'set':
        return invertible(match, this.#inSet(match));
      case 'mark':
        return invertible(match, (flow.mark & match.mask) >>> 0 === match.value);
      case 'ctstate':
        return invertible(match, match.states.includes(flow.ctState));
      case 'comment':
        return true;
    }
  }

  #inSet({ name, dims }: Extract<Match, { kind: 'set' }>): boolean {
    const { set } = this.#env.ipset.get(name);
    const flow = this.#flow;
    const [first = 'dst', second = 'dst', third = 'dst'] = dims;
    const addr = (side: 'src' | 'dst'): number => (side === 'src' ? flow.saddr : flow.daddr);
    const bySide = (set.type === 'bitmap:port' ? first : second) === 'src' ? flow.sport : flow.dport;
    // An echo request stands in a port's place by its type and code.
    const port = flow.proto === IPPROTO_ICMP ? 0x0800 : bySide;
    const needsPort = set.type === 'bitmap:port' || set.dimensions > 1;
    if (needsPort && port === undefined) return false;
    return set.test(addr(first), flow.proto, port ?? 0, addr(third));
  }
}

function invertible(match: { readonly invert?: boolean }, result: boolean): boolean {
  return result !== (match.invert ?? false);
}

/** A name that ends in `+` stands for all that begin so. */
function isInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
