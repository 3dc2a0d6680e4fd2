// One iptables-restore on one table: changes are staged by chain, then checked and compiled, and only then put in place, so one
// that is refused leaves no trace, and between two breaths either all of it is there or nothing. What it costs is what it names:
// chains that it leaves alone are not looked at, and of a chain that it writes anew only the rules that are other objects than before
// are counted, compiled and searched for loops (kube-proxy writes KUBE-SERVICES at every sync, with one rule changed).
//
// Deviation: the kernel's legacy tables are replaced whole; the real iptables reads the old one and writes the sum.
import { NetlinkError } from '../../netlink.ts';
import { type CompileEnv, compile, type Program, type Resolver, sharedRules } from './compile.ts';
import type { Chain, Rule } from './rule.ts';
import { formatRuleSpec } from './save.ts';
import { ChainState, type IptablesTable } from './table.ts';

/** XT_EXTENSION_MAXNAMELEN less its terminator. */
const MAX_CHAIN_NAME = 28;

/** What changes about the jumps to a chain. */
interface Jumps {
  /** How many more there are. */
  by: number;
  /** A new rule jumps to it. */
  isNew: boolean;
}

export class Transaction {
  readonly #table: IptablesTable;
  readonly #env: CompileEnv;
  /** Chains as they shall be, null: deleted. */
  readonly #staged = new Map<string, Chain | null>();

  constructor(table: IptablesTable, env: CompileEnv) {
    this.#table = table;
    this.#env = env;
  }

  makeBuiltin(name: string): void {
    this.#staged.set(name, { name, policy: 'ACCEPT', rules: [] });
  }

  /** A chain line and its rules, with --noflush. */
  declare(chain: Chain): void {
    const present = this.#find(chain.name);
    if (present?.policy !== undefined) {
      const rules: readonly Rule[] = chain.rules.length > 0 ? [...present.rules, ...chain.rules] : present.rules;
      this.#staged.set(chain.name, { name: chain.name, policy: chain.policy ?? present.policy, rules });
      return;
    }
    if (chain.policy !== undefined) this.#fail('EINVAL', `${chain.name} is not built in and has no policy`);
    if (!/^[!-~]+$/.test(chain.name) || chain.name.length > MAX_CHAIN_NAME || /^[-!]/.test(chain.name))
      this.#fail('EINVAL', `chain name ${JSON.stringify(chain.name)} (at most ${MAX_CHAIN_NAME} characters)`);
    this.#staged.set(chain.name, { name: chain.name, rules: chain.rules });
  }

  /** `-D`; a rule that is not there is no error. O(rules of the chain). */
  deleteRule(chain: string, rule: Rule): void {
    const present = this.#existing(chain);
    const spec = formatRuleSpec(rule);
    const i = present.rules.findIndex((r) => formatRuleSpec(r) === spec);
    if (i >= 0) this.#staged.set(chain, { ...present, rules: present.rules.toSpliced(i, 1) });
  }

  /** `-C || -I`. O(rules of the chain). */
  ensureFirst(chain: string, rule: Rule): void {
    const present = this.#existing(chain);
    const spec = formatRuleSpec(rule);
    if (!present.rules.some((r) => formatRuleSpec(r) === spec))
      this.#staged.set(chain, { ...present, rules: [rule, ...present.rules] });
  }

  /** `-F` and, when nothing jumps to it in the end, `-X`; a chain that is not there is no error. */
  deleteChain(name: string): void {
    const present = this.#find(name);
    if (present?.policy !== undefined) this.#fail('EINVAL', `${name} is built in`);
    if (this.#table.byName.has(name)) this.#staged.set(name, null);
    else this.#staged.delete(name);
  }

  /** Puts it all in place, or throws NetlinkError and changes nothing. */
  commit(): void {
    const fresh = this.#makeStates();
    try {
      const jumps = this.#countJumps(fresh);
      const programs = this.#compile(fresh);
      for (const [name, chain] of this.#staged) {
        const references = (this.#table.byName.get(name)?.references ?? 0) + (jumps.get(name)?.by ?? 0);
        if (chain === null && references > 0) this.#fail('EBUSY', `chain ${name} is jumped to`);
      }
      this.#refuseLoops(jumps);
      this.#put(fresh, jumps, programs);
    } catch (error) {
      for (const { id } of fresh.values()) this.#table.release(id);
      this.#env.recent.dropUnused();
      throw error;
    }
  }

  #makeStates(): ReadonlyMap<string, ChainState> {
    const fresh = new Map<string, ChainState>();
    for (const [name, chain] of this.#staged) {
      if (chain && !this.#table.byName.has(name)) fresh.set(name, new ChainState(this.#table.allocate(), chain));
    }
    return fresh;
  }

  #countJumps(fresh: ReadonlyMap<string, ChainState>): ReadonlyMap<string, Jumps> {
    const jumps = new Map<string, Jumps>();
    const count = (rules: readonly Rule[], head: number, tail: number, by: 1 | -1): void => {
      for (let i = head; i < rules.length - tail; i++) {
        const to = targetOf(rules[i]!);
        if (to === undefined) continue;
        let change = jumps.get(to);
        if (!change) jumps.set(to, (change = { by: 0, isNew: false }));
        change.by += by;
        if (by > 0) change.isNew = true;
      }
    };
    for (const [name, chain] of this.#staged) {
      const before = fresh.has(name) ? [] : this.#table.byName.get(name)!.chain.rules;
      const after = chain?.rules ?? [];
      const [head, tail] = sharedRules(before, after);
      count(before, head, tail, -1);
      count(after, head, tail, 1);
    }
    return jumps;
  }

  #compile(fresh: ReadonlyMap<string, ChainState>): ReadonlyMap<string, Program> {
    const table = this.#table;
    const resolve: Resolver = {
      chain: (name) => (this.#find(name) ? (table.byName.get(name) ?? fresh.get(name))!.id : undefined),
      interface: (name) => table.interfaces.numberOf(name) + 1,
    };
    const programs = new Map<string, Program>();
    for (const [name, chain] of this.#staged)
      if (chain) programs.set(name, compile(table.name, chain, this.#env, resolve, table.byName.get(name)));
    return programs;
  }

  /** Depth first from every chain that a new rule jumps to: a new loop goes through one of them. */
  #refuseLoops(jumps: ReadonlyMap<string, Jumps>): void {
    const done = new Set<string>();
    const path = new Set<string>();
    const visit = (name: string): void => {
      if (done.has(name)) return;
      if (path.has(name)) throw new NetlinkError('ELOOP', `chain ${name} jumps to itself`);
      path.add(name);
      for (const rule of this.#find(name)?.rules ?? []) {
        const to = targetOf(rule);
        if (to !== undefined) visit(to);
      }
      path.delete(name);
      done.add(name);
    };
    for (const [name, { isNew }] of jumps) if (isNew) visit(name);
  }

  /** Nothing throws from here on. */
  #put(
    fresh: ReadonlyMap<string, ChainState>,
    jumps: ReadonlyMap<string, Jumps>,
    programs: ReadonlyMap<string, Program>,
  ): void {
    const table = this.#table;
    for (const state of fresh.values()) table.insert(state);
    for (const [name, { by }] of jumps) {
      const state = table.byName.get(name);
      if (state) state.references += by;
    }
    const dropped: Program[] = [];
    for (const [name, chain] of this.#staged) {
      const state = table.byName.get(name)!;
      dropped.push(state.program);
      if (chain === null) {
        table.remove(state);
        continue;
      }
      const program = programs.get(name)!;
      for (const set of program.sets) set.references++;
      for (const list of program.recent) this.#env.recent.retain(list);
      const isBuiltIn = chain.policy !== undefined;
      const [head, tail] = isBuiltIn ? sharedRules(state.chain.rules, chain.rules) : [0, 0];
      const isSame = state.chain.rules === chain.rules && state.packets.length === chain.rules.length + 1;
      if (!isSame) {
        state.packets = counters(state.packets, chain.rules.length + 1, head, tail, isBuiltIn);
        state.bytes = counters(state.bytes, chain.rules.length + 1, head, tail, isBuiltIn);
      }
      state.chain = chain;
      state.program = program;
    }
    // Only now: a set or list may be named by what came and by what went.
    for (const { sets, recent } of dropped) {
      for (const set of sets) set.references--;
      for (const list of recent) this.#env.recent.release(list);
    }
    table.changed();
  }

  #find(name: string): Chain | undefined {
    const staged = this.#staged.get(name);
    return staged === undefined ? this.#table.byName.get(name)?.chain : (staged ?? undefined);
  }

  #existing(name: string): Chain {
    return this.#find(name) ?? this.#fail('ENOENT', `no chain ${name}`);
  }

  #fail(code: string, what: string): never {
    throw new NetlinkError(code, `${this.#table.name}: ${what}`);
  }
}

function targetOf({ target }: Rule): string | undefined {
  return target?.kind === 'jump' || target?.kind === 'goto' ? target.chain : undefined;
}

/** Zeros, but for rules of a built-in chain that stay, and its policy: a user-defined chain is emptied before it is filled. */
function counters(before: Float64Array, length: number, head: number, tail: number, isBuiltIn: boolean): Float64Array {
  if (!isBuiltIn && before.length === length) return before.fill(0);
  const after = new Float64Array(length);
  if (!isBuiltIn || before.length === 0) return after;
  after.set(before.subarray(0, head));
  after.set(before.subarray(before.length - 1 - tail), length - 1 - tail);
  return after;
}
