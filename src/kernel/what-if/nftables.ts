// Walks an nftables base chain for a packet that does not exist, over the tables that run: the semantics of
// netfilter/nftables/evaluate.ts on values instead of bytes; nothing is bound or remembered. numgen goes every way it could, so
// a walk has as many endings as the dice have outcomes. What needs a port that is not known does not match.
import { type IpAddress, isInPrefix, networkOf } from '../../tcpip-ts/wire/ip-address.ts';
import { type ChainView, formatAddRule, formatVerdict, type TableView } from '../netfilter/nftables/list.ts';
import { isInRanges, rangesOf } from '../netfilter/nftables/ranges.ts';
import type * as tree from '../netfilter/nftables/ruleset.ts';
import type { Flow } from './flow.ts';
import type { HookChain, HookName, RuleStep, Walk } from './walk.ts';

type Expression = tree.Expression<IpAddress>;
type NftRule = tree.NftRule<IpAddress>;
type NftVerdict = tree.NftVerdict;

interface BaseChainInfo {
  readonly table: TableView;
  readonly chain: ChainView;
}

export interface NftablesNet {
  readonly nftables: {
    baseChains(hook: tree.ChainHook): readonly BaseChainInfo[];
    isInSet(table: TableView, set: string, addr: IpAddress): boolean;
    verdictOf(table: TableView, map: string, key: tree.MapElementKey<IpAddress>): NftVerdict | undefined;
  };
  isLocal(addr: IpAddress): boolean;
}

/** The base chains on `hook`. */
export function nftablesChains(net: NftablesNet, hook: HookName): readonly HookChain[] {
  return net.nftables.baseChains(hook.toLowerCase() as tree.ChainHook).map((base) => ({
    priority: base.chain.spec.base!.priority,
    isNat: base.chain.spec.base!.type === 'nat',
    walk: (flow) => new Walker(net, base).walk(flow),
  }));
}

interface Frame {
  readonly chain: ChainView;
  readonly index: number;
}

/** Where a walk stands: the rules still to come, innermost chain first, and what has happened. */
interface State {
  readonly stack: readonly Frame[];
  readonly flow: Flow;
  readonly steps: readonly RuleStep[];
  readonly probability: number;
}

/** What a rule can come to. `next`: no verdict, on to the next rule. */
interface Outcome {
  readonly verdict: NftVerdict | Extract<Expression, { kind: 'dnat' | 'masquerade' | 'reject' }> | { kind: 'next' };
  readonly chance: number;
}

const NEXT: Outcome = { verdict: { kind: 'next' }, chance: 1 };

class Walker {
  readonly #net: NftablesNet;
  readonly #table: TableView;
  readonly #base: ChainView;
  readonly #walks: Walk[] = [];

  constructor(net: NftablesNet, { table, chain }: BaseChainInfo) {
    this.#net = net;
    this.#table = table;
    this.#base = chain;
  }

  walk(flow: Flow): readonly Walk[] {
    // Ways still to be gone; the next one is the last, so that they end in the order of the choices.
    const pending: State[] = [{ stack: [{ chain: this.#base, index: 0 }], flow, steps: [], probability: 1 }];
    for (let state = pending.pop(); state; state = pending.pop()) this.#step(state, pending);
    return this.#walks;
  }

  #step(state: State, pending: State[]): void {
    const frame = state.stack[0];
    if (!frame) {
      this.#end(state, 'ACCEPT', false);
      return;
    }
    const rest = state.stack.slice(1);
    const rule = frame.chain.rules[frame.index];
    if (!rule) {
      pending.push({ ...state, stack: rest });
      return;
    }
    const next = [{ chain: frame.chain, index: frame.index + 1 }, ...rest];
    const { outcomes, flow } = this.#evaluate(rule, state.flow);
    for (const outcome of outcomes.toReversed()) {
      const noted = outcome.verdict.kind !== 'next' || flow !== state.flow;
      const step = noted ? [this.#stepOf(frame.chain, rule, outcome, flow)] : [];
      const probability = state.probability * outcome.chance;
      const after: State = { stack: next, flow, steps: [...state.steps, ...step], probability };
      this.#follow(after, outcome, rest, pending);
    }
  }

  #follow(after: State, { verdict }: Outcome, rest: readonly Frame[], pending: State[]): void {
    switch (verdict.kind) {
      case 'next':
        pending.push(after);
        return;
      case 'return':
        pending.push({ ...after, stack: rest });
        return;
      case 'jump':
      case 'goto': {
        const into = { chain: this.#table.chain(verdict.chain), index: 0 };
        pending.push({ ...after, stack: [into, ...(verdict.kind === 'jump' ? after.stack : rest)] });
        return;
      }
      case 'accept':
        this.#end(after, 'ACCEPT', true);
        return;
      case 'drop':
        this.#end(after, 'DROP', false);
        return;
      case 'reject':
        this.#end(after, 'REJECT', false);
        return;
      case 'dnat':
        this.#end(after, 'ACCEPT', false, { dnat: { addr: verdict.addr, port: verdict.port } });
        return;
      case 'masquerade':
        this.#end(after, 'ACCEPT', false, { masquerade: { randomFully: verdict.fullyRandom } });
    }
  }

  #end(
    { probability, flow, steps }: State,
    verdict: Walk['verdict'],
    explicit: boolean,
    nat: Partial<Pick<Walk, 'dnat' | 'masquerade'>> = {},
  ): void {
    this.#walks.push({
      probability,
      verdict,
      flow,
      steps,
      explicit,
      dnat: nat.dnat,
      masquerade: nat.masquerade,
    });
  }

  #stepOf(chain: ChainView, rule: NftRule, { verdict, chance }: Outcome, flow: Flow): RuleStep {
    const dice = chance < 1 ? ` (probability ${chance.toFixed(10)})` : '';
    let action: string;
    switch (verdict.kind) {
      case 'next':
        action = `mark 0x${flow.mark.toString(16)}`;
        break;
      case 'reject':
        action = 'reject with icmp port-unreachable';
        break;
      case 'dnat':
      case 'masquerade':
        action = verdict.kind;
        break;
      default:
        action = `${formatVerdict(verdict)}${dice}`;
    }
    return { rule: formatAddRule(this.#table, chain.spec.name, rule), action };
  }

  /** What the rule comes to, and the packet afterwards. */
  #evaluate(rule: NftRule, before: Flow): { outcomes: readonly Outcome[]; flow: Flow } {
    let flow = before;
    for (const e of rule.expressions) {
      switch (e.kind) {
        case 'vmap': {
          const verdict = this.#lookup(e.map, flow);
          return { outcomes: [verdict ? { verdict, chance: 1 } : NEXT], flow };
        }
        case 'numgen-vmap': {
          const chance = 1 / e.verdicts.length;
          return { outcomes: e.verdicts.map((verdict) => ({ verdict, chance })), flow };
        }
        case 'dnat':
        case 'masquerade':
        case 'reject':
          return { outcomes: [{ verdict: e, chance: 1 }], flow };
        case 'verdict':
          return { outcomes: [{ verdict: e.verdict, chance: 1 }], flow };
        case 'mark-set':
          flow = { ...flow, mark: marked(flow.mark, e) };
          break;
        case 'update':
          break; // only remembers
        default:
          if (!this.#matches(e, flow)) return { outcomes: [NEXT], flow };
      }
    }
    return { outcomes: [NEXT], flow };
  }

  #lookup(name: string, flow: Flow): NftVerdict | undefined {
    if (flow.dport === undefined) return undefined;
    const { key } = this.#table.map(name).spec;
    const addr = key === 'addr.proto.port' ? flow.daddr : 0;
    return this.#net.nftables.verdictOf(this.#table, name, { addr, proto: flow.proto, port: flow.dport });
  }

  #matches(
    e: Exclude<
      Expression,
      { kind: 'vmap' | 'numgen-vmap' | 'dnat' | 'masquerade' | 'reject' | 'verdict' | 'mark-set' | 'update' }
    >,
    flow: Flow,
  ): boolean {
    switch (e.kind) {
      case 'address': {
        return invertible(e, isInPrefix([networkOf(e.addr, e.prefixLen), e.prefixLen], addressOf(flow, e.field)));
      }
      case 'address-in':
        return invertible(e, isInRanges(rangesOf(e.prefixes), addressOf(flow, e.field)));
      case 'address-set':
        return invertible(e, this.#net.nftables.isInSet(this.#table, e.set, addressOf(flow, e.field)));
      case 'l4proto':
        return flow.proto === e.proto;
      case 'dport':
        return flow.proto === e.proto && flow.dport === e.port;
      case 'iifname':
        return invertible(e, e.name.endsWith('*') ? flow.iif.startsWith(e.name.slice(0, -1)) : flow.iif === e.name);
      case 'ct-state-new':
        return flow.ctState === 'NEW';
      case 'fib-local':
        return this.#net.isLocal(addressOf(flow, e.field));
      case 'mark':
        return (flow.mark & e.mask) >>> 0 === e.value;
    }
  }
}

function addressOf(flow: Flow, field: tree.AddressField): IpAddress {
  return flow[field];
}

function marked(mark: number, { operator, value }: Extract<Expression, { kind: 'mark-set' }>): number {
  return (operator === 'and' ? mark & value : operator === 'or' ? mark | value : mark ^ value) >>> 0;
}

function invertible(e: { readonly invert?: boolean }, result: boolean): boolean {
  return result !== (e.invert ?? false);
}
