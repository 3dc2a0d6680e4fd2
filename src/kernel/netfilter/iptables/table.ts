// One iptables table while it runs, after net/ipv4/netfilter/ip_tables.c (v6.6): chains as data, the program compiled from them,
// and the walk: rule after rule, jumping into chains and back, until a rule decides. Cost is linear in the rules passed, as in
// the real one. Counters are kept a rule, and survive commits that leave a chain alone.
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
  type Verdict,
} from '../hooks.ts';
import {
  ARG,
  ARG2,
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
const STAGES = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const;

/** Targets that reach outside the table. Each returns the verdict. */
export interface TargetActions {
  reject(skb: Skb, hook: HookNumber, withReset: boolean): Verdict;
  masquerade(skb: Skb, randomFully: boolean): Verdict;
  dnat(skb: Skb, addr: number, port: number): Verdict;
}

export class IptablesTable {
  readonly name: TableName;
  readonly chains: readonly Chain[];
  readonly program: Program;
  readonly #words: Int32Array;
  readonly #actions: TargetActions;
  readonly #devices: Devices;
  readonly #trace: TracePoints;
  readonly packets: Float64Array;
  readonly bytes: Float64Array;
  readonly #stack = new Int32Array(MAX_DEPTH);
  /** For each interface match, by ifindex: 1 yes. Rebuilt when devices come or go. */
  #interfaces: Uint8Array[] = [];
  #generation = -1;

  constructor(
    name: TableName,
    chains: readonly Chain[],
    program: Program,
    actions: TargetActions,
    devices: Devices,
    trace: TracePoints,
  ) {
    this.name = name;
    this.chains = chains;
    this.program = program;
    this.#words = program.words;
    this.#actions = actions;
    this.#devices = devices;
    this.#trace = trace;
    this.packets = new Float64Array(program.words.length / STRIDE);
    this.bytes = new Float64Array(program.words.length / STRIDE);
  }

  /** Takes over the counters of chains that are the same objects in `old`; O(rules). */
  inheritCounters(old: IptablesTable): void {
    const before = new Map(old.chains.map((c) => [c.rules, c.name]));
    for (const chain of this.chains) {
      const was = before.get(chain.rules);
      if (was === undefined) continue;
      const from = old.program.starts.get(was)!;
      const to = this.program.starts.get(chain.name)!;
      const n = chain.rules.length + 1;
      this.packets.set(old.packets.subarray(from, from + n), to);
      this.bytes.set(old.bytes.subarray(from, from + n), to);
    }
  }

  /** Walks the built-in chain of `hook`. */
  run(skb: Skb, hook: HookNumber): Verdict {
    const w = this.#words;
    let pc = this.program.entries[hook]!;
    if (pc < 0) return NF_ACCEPT;
    const base = pc;
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
          (w[o + IIF] !== 0 && this.#isInterface(w[o + IIF]!, iif) === ((flags & F_INVERT_IIF) !== 0)) ||
          (w[o + OIF] !== 0 && this.#isInterface(w[o + OIF]!, oif) === ((flags & F_INVERT_OIF) !== 0)))
      ) {
        pc++;
        continue;
      }
      if (w[o + MATCH_FROM] !== w[o + MATCH_TO] && !this.#matches(w[o + MATCH_FROM]!, w[o + MATCH_TO]!, skb)) {
        pc++;
        continue;
      }
      this.packets[pc]!++;
      this.bytes[pc]! += skb.tail - nh;
      const target = w[o + TARGET]!;
      switch (target) {
        case T_CONTINUE:
          pc++;
          continue;
        case T_MARK:
          skb.mark = ((skb.mark & ~w[o + ARG2]!) ^ w[o + ARG]!) >>> 0;
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, pc);
          pc++;
          continue;
        case T_JUMP:
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, pc);
          if (depth === MAX_DEPTH) return NF_DROP;
          this.#stack[depth++] = pc + 1;
          pc = w[o + ARG]!;
          continue;
        case T_GOTO:
          if (this.#trace.sink !== null) this.#traceRule(skb, hook, pc);
          pc = w[o + ARG]!;
          continue;
        case T_RETURN:
          // From a built-in chain (by a rule, or at the end of one that was gone to): its policy.
          pc = depth > 0 ? this.#stack[--depth]! : this.#policyOf(base);
          continue;
      }
      const verdict = this.#decide(skb, hook, target, w[o + ARG]!, w[o + ARG2]!);
      if (this.#trace.sink !== null && verdict === NF_ACCEPT) this.#traceRule(skb, hook, pc);
      return verdict;
    }
  }

  /** `[packets:bytes]` of a rule, or of the policy with index = number of rules. */
  counters(chain: Chain, index: number): string {
    const at = this.program.starts.get(chain.name)! + index;
    return `[${this.packets[at]}:${this.bytes[at]}]`;
  }

  /** Where rule `pc` stands. O(chains). */
  ruleAt(pc: number): { readonly chain: Chain; readonly index: number } | undefined {
    for (const chain of this.chains) {
      const index = pc - this.program.starts.get(chain.name)!;
      if (index >= 0 && index <= chain.rules.length) return { chain, index };
    }
    return undefined;
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

  #matches(from: number, to: number, skb: Skb): boolean {
    const { matches } = this.program;
    for (let i = from; i < to; i++) if (!matches[i]!(skb)) return false;
    return true;
  }

  #isInterface(match: number, ifindex: number): boolean {
    if (this.#generation !== this.#devices.generation) this.#resolveInterfaces();
    return this.#interfaces[match - 1]![ifindex] === 1;
  }

  #resolveInterfaces(): void {
    this.#generation = this.#devices.generation;
    const devices = this.#devices.list();
    const size = devices.reduce((max, d) => Math.max(max, d.ifindex), 0) + 1;
    this.#interfaces = this.program.interfaces.map(({ name, isPrefix }) => {
      const yes = new Uint8Array(size);
      for (const d of devices) if (isPrefix ? d.name.startsWith(name) : d.name === name) yes[d.ifindex] = 1;
      return yes;
    });
  }

  /** The last rule of the built-in chain that starts at `base`. Only a RETURN in it comes here. */
  #policyOf(base: number): number {
    const found = this.ruleAt(base);
    return base + (found ? found.chain.rules.length : 0);
  }

  #traceRule(skb: Skb, hook: HookNumber, pc: number): void {
    const found = this.ruleAt(pc);
    if (!found || found.chain.rules.length === 0) return; // the policy of a chain that nobody wrote
    const rule = new TracedRule(this, pc);
    this.#trace.sink?.action(skb, STAGES[hook], rule, rule.action);
  }
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
  readonly #table: IptablesTable;
  readonly #pc: number;

  constructor(table: IptablesTable, pc: number) {
    this.#table = table;
    this.#pc = pc;
  }

  text(): string {
    const found = this.#table.ruleAt(this.#pc);
    if (!found) return '';
    const { chain, index } = found;
    const rule = chain.rules[index];
    return `-t ${this.#table.name} ${rule ? formatRule(chain.name, rule) : `-P ${chain.name} ${chain.policy ?? 'RETURN'}`}`;
  }

  get action(): LazyText {
    return {
      text: () => {
        const found = this.#table.ruleAt(this.#pc);
        const target = found?.chain.rules[found.index]?.target;
        if (!target) return found?.chain.policy ?? 'RETURN';
        return target.kind === 'jump' || target.kind === 'goto' ? `${target.kind} ${target.chain}` : target.kind;
      },
    };
  }
}
