// One iptables table while it runs, after net/ipv4/netfilter/ip_tables.c (v6.6): chains as data, each with the program compiled from
// it, and the walk: rule after rule, jumping into chains and back, until a rule decides. Cost is linear in the rules passed, as in
// the real one. Chains are changed one by one, by transaction.ts, between breaths. Counters are kept a rule, and survive commits
// that leave a chain alone.
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { get16, word } from '../../../tcpip-ts/wire/bytes.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import type { Devices } from '../../core/device.ts';
import type { LazyText, TracePoints } from '../../core/trace.ts';
import {
  type HookNumber,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  STAGES,
  type Verdict,
} from '../hooks.ts';
import { InterfaceNames } from '../interface-names.ts';
import {
  ARG,
  ARG2,
  BUILTIN,
  DADDR,
  DMASK,
  DPORTS,
  F_DPORTS,
  F_HEADER,
  F_INVERT_DADDR,
  F_INVERT_DPORTS,
  F_INVERT_IIF,
  F_INVERT_OIF,
  F_INVERT_PROTO,
  F_INVERT_SADDR,
  F_INVERT_SPORTS,
  F_PORTS,
  F_SPORTS,
  FLAGS,
  IIF,
  MATCH_FROM,
  MATCH_TO,
  OIF,
  PROTO,
  type Program,
  SADDR,
  SMASK,
  SPORTS,
  STRIDE,
  T_ACCEPT,
  T_CONTINUE,
  T_DNAT,
  T_DROP,
  T_GOTO,
  T_JUMP,
  T_MARK,
  T_MASQUERADE,
  T_REJECT,
  T_RETURN,
  TARGET,
} from './compile.ts';
import type { Chain, TableName } from './rule.ts';
import { formatRule } from './save.ts';

/** Nesting of jumps: deeper than any real ruleset; compile() refuses loops, so it bounds only long chains of chains. */
const MAX_DEPTH = 256;

/** Targets that reach outside the table. Each returns the verdict. */
export interface TargetActions {
  reject(skb: Skb, hook: HookNumber, withReset: boolean): Verdict;
  masquerade(skb: Skb, randomFully: boolean): Verdict;
  dnat(skb: Skb, addr: number, port: number): Verdict;
}

/** A chain as it runs. */
export class ChainState {
  /** Its place in IptablesTable.states: what jumps name. */
  readonly id: number;
  chain: Chain;
  program: Program;
  packets: Float64Array;
  bytes: Float64Array;
  /** Rules that jump or go to it. */
  references = 0;

  constructor(id: number, chain: Chain) {
    this.id = id;
    this.chain = chain;
    this.program = EMPTY;
    this.packets = NO_COUNTERS;
    this.bytes = NO_COUNTERS;
  }
}

const EMPTY: Program = { words: new Int32Array(0), matches: [], sets: [], recent: [] };
const NO_COUNTERS = new Float64Array(0);

export class IptablesTable {
  readonly name: TableName;
  readonly byName = new Map<string, ChainState>();
  /** By number; a number is given again when its chain is gone. */
  readonly states: ChainState[] = [];
  /** Built-in chains by hook. */
  readonly entries: (ChainState | null)[] = [null, null, null, null, null];
  readonly #actions: TargetActions;
  readonly interfaces: InterfaceNames;
  readonly #trace: TracePoints;
  readonly #stackChain: ChainState[];
  readonly #stackPc = new Int32Array(MAX_DEPTH);
  readonly #free: number[] = [];
  #next = 0;
  #list: readonly Chain[] | null = null;

  constructor(name: TableName, actions: TargetActions, devices: Devices, trace: TracePoints) {
    this.name = name;
    this.#actions = actions;
    this.interfaces = new InterfaceNames(devices, '+');
    this.#trace = trace;
    this.#stackChain = new Array<ChainState>(MAX_DEPTH).fill(new ChainState(-1, { name: '', rules: [] }));
  }

  /** Built-in chains in hook order, then the others by name. A new array after each commit; O(chains log chains) then. */
  get chains(): readonly Chain[] {
    this.#list ??= inOrder(this.name, this.byName);
    return this.#list;
  }

  /** Nothing in it, and everything accepted. */
  get isEmpty(): boolean {
    return this.byName.size === BUILTIN[this.name].length && this.entries.every((e) => e === null || !isActive(e));
  }

  /** Whether a packet has anything to do at the hook. */
  isActive(hook: HookNumber): boolean {
    const entry = this.entries[hook]!;
    return entry !== null && isActive(entry);
  }

  // For transactions.

  allocate(): number {
    return this.#free.pop() ?? this.#next++;
  }

  release(id: number): void {
    this.#free.push(id);
  }

  insert(state: ChainState): void {
    this.byName.set(state.chain.name, state);
    this.states[state.id] = state;
    const builtin = BUILTIN[this.name].find(([name]) => name === state.chain.name);
    if (builtin) this.entries[builtin[1]] = state;
  }

  remove(state: ChainState): void {
    this.byName.delete(state.chain.name);
    this.#free.push(state.id);
  }

  changed(): void {
    this.#list = null;
  }

  /** Walks the built-in chain of `hook`. */
  run(skb: Skb, hook: HookNumber): Verdict {
    const base = this.entries[hook]!;
    if (base === null) return NF_ACCEPT;
    let chain = base;
    let w = chain.program.words;
    let pc = 0;
    const { bytes: b, nh } = skb;
    const saddr = word(b, nh + 12);
    const daddr = word(b, nh + 16);
    const proto = b[nh + 9]!;
    const hasPorts =
      (proto === IPPROTO_TCP || proto === IPPROTO_UDP || proto === IPPROTO_SCTP) && skb.th + 4 <= skb.tail;
    const sport = hasPorts ? get16(b, skb.th) : 0;
    const dport = hasPorts ? get16(b, skb.th + 2) : 0;
    // A packet being sent has no interface it came in by, one being received none it leaves by.
    const iif = hook === NF_INET_LOCAL_OUT || hook === NF_INET_POST_ROUTING ? 0 : skb.iif;
    const oif = hook === NF_INET_PRE_ROUTING || hook === NF_INET_LOCAL_IN ? 0 : skb.oif;
    let depth = 0;
    for (;;) {
      const o = pc * STRIDE;
      const flags = w[o + FLAGS]!;
      if (
        (flags & F_HEADER) !== 0 &&
        (((saddr & w[o + SMASK]!) === w[o + SADDR]!) === ((flags & F_INVERT_SADDR) !== 0) ||
          ((daddr & w[o + DMASK]!) === w[o + DADDR]!) === ((flags & F_INVERT_DADDR) !== 0) ||
          (w[o + PROTO] !== 0 && (w[o + PROTO] === proto) === ((flags & F_INVERT_PROTO) !== 0)) ||
          ((flags & F_PORTS) !== 0 && !(hasPorts && arePortsIn(w, o, flags, sport, dport))) ||
          (w[o + IIF] !== 0 && this.interfaces.matches(w[o + IIF]! - 1, iif) === ((flags & F_INVERT_IIF) !== 0)) ||
          (w[o + OIF] !== 0 && this.interfaces.matches(w[o + OIF]! - 1, oif) === ((flags & F_INVERT_OIF) !== 0)))
      ) {
        pc++;
        continue;
      }
      if (w[o + MATCH_FROM] !== w[o + MATCH_TO] && !doMatch(chain.program, w[o + MATCH_FROM]!, w[o + MATCH_TO]!, skb)) {
        pc++;
        continue;
      }
      chain.packets[pc]!++;
      chain.bytes[pc]! += skb.tail - nh;
      const target = w[o + TARGET]!;
      switch (target) {
        case T_CONTINUE:
          pc++;
          continue;
        case T_MARK:
          skb.mark = ((skb.mark & ~w[o + ARG2]!) ^ w[o + ARG]!) >>> 0;
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, chain.chain, pc);
          pc++;
          continue;
        case T_JUMP:
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, chain.chain, pc);
          if (depth === MAX_DEPTH) return NF_DROP;
          this.#stackChain[depth] = chain;
          this.#stackPc[depth++] = pc + 1;
          chain = this.states[w[o + ARG]!]!;
          w = chain.program.words;
          pc = 0;
          continue;
        case T_GOTO:
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, chain.chain, pc);
          chain = this.states[w[o + ARG]!]!;
          w = chain.program.words;
          pc = 0;
          continue;
        case T_RETURN:
          if (depth > 0) {
            chain = this.#stackChain[--depth]!;
            pc = this.#stackPc[depth]!;
          } else {
            // From a built-in chain (by a rule, or at the end of one that was gone to): its policy.
            chain = base;
            pc = chain.chain.rules.length;
          }
          w = chain.program.words;
          continue;
      }
      const verdict = this.#decide(skb, hook, target, w[o + ARG]!, w[o + ARG2]!);
      if (this.#trace.sink !== null && verdict === NF_ACCEPT) this.#traceRule(skb, hook, chain.chain, pc);
      return verdict;
    }
  }

  /** `[packets:bytes]` of a rule, or of the policy with index = number of rules. */
  counters(chain: Chain, index: number): string {
    const { packets, bytes } = this.byName.get(chain.name)!;
    return `[${packets[index]}:${bytes[index]}]`;
  }

  #decide(skb: Skb, hook: HookNumber, target: number, arg: number, arg2: number): Verdict {
    switch (target) {
      case T_ACCEPT:
        return NF_ACCEPT;
      case T_DROP:
        return NF_DROP;
      case T_REJECT:
        return this.#actions.reject(skb, hook, arg === 1);
      case T_MASQUERADE:
        return this.#actions.masquerade(skb, arg === 1);
      case T_DNAT:
        return this.#actions.dnat(skb, arg >>> 0, arg2);
      default:
        return NF_DROP;
    }
  }

  #traceRule(skb: Skb, hook: HookNumber, chain: Chain, index: number): void {
    if (chain.rules.length === 0) return; // the policy of a chain that nobody wrote
    const rule = new TracedRule(this.name, chain, index);
    this.#trace.sink?.action(skb, STAGES[hook], rule, rule.action);
  }
}

function isActive({ chain }: ChainState): boolean {
  return chain.rules.length > 0 || chain.policy !== 'ACCEPT';
}

function inOrder(table: TableName, states: ReadonlyMap<string, ChainState>): readonly Chain[] {
  const builtin = BUILTIN[table].map(([name]) => states.get(name)!.chain);
  const others = Array.from(states.values(), ({ chain }) => chain).filter((c) => c.policy === undefined);
  return [...builtin, ...others.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))];
}

function doMatch({ matches }: Program, from: number, to: number, skb: Skb): boolean {
  for (let i = from; i < to; i++) if (!matches[i]!(skb)) return false;
  return true;
}

function arePortsIn(w: Int32Array, o: number, flags: number, sport: number, dport: number): boolean {
  if ((flags & F_SPORTS) !== 0) {
    const isIn = sport >= w[o + SPORTS]! >>> 16 && sport <= (w[o + SPORTS]! & 0xffff);
    if (isIn === ((flags & F_INVERT_SPORTS) !== 0)) return false;
  }
  if ((flags & F_DPORTS) !== 0) {
    const isIn = dport >= w[o + DPORTS]! >>> 16 && dport <= (w[o + DPORTS]! & 0xffff);
    if (isIn === ((flags & F_INVERT_DPORTS) !== 0)) return false;
  }
  return true;
}

/** A matched rule for the trace, put into words only when printed. */
class TracedRule implements LazyText {
  readonly #table: TableName;
  readonly #chain: Chain;
  readonly #index: number;

  constructor(table: TableName, chain: Chain, index: number) {
    this.#table = table;
    this.#chain = chain;
    this.#index = index;
  }

  text(): string {
    const { name, policy, rules } = this.#chain;
    const rule = rules[this.#index];
    return `-t ${this.#table} ${rule ? formatRule(name, rule) : `-P ${name} ${policy ?? 'RETURN'}`}`;
  }

  get action(): LazyText {
    return {
      text: () => {
        const target = this.#chain.rules[this.#index]?.target;
        if (!target) return this.#chain.policy ?? 'RETURN';
        return target.kind === 'jump' || target.kind === 'goto' ? `${target.kind} ${target.chain}` : target.kind;
      },
    };
  }
}
