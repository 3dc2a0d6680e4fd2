// nftables in the emulated kernel: tables of family ip, transactions on them, and their base chains' places on the hooks. A
// filter chain stands on its hook with its priority; a nat chain is asked by NAT, once a connection, as iptables' nat table is.
// A transaction touches what it names and compiles those chains alone: a changed Service costs the same among 10 and 100,000.
// Leaves out: checking that a statement belongs into a chain of that type (dnat in a filter chain), policies but accept.
import type { Skb } from '../../../tcpip-ts/skb.ts';
import type { LazyText, TracePoints } from '../../core/trace.ts';
import { NetlinkError, type NftOp } from '../../netlink.ts';
import {
  type HookNumber,
  type NetfilterHooks,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  STAGES,
} from '../hooks.ts';
import type { Nat } from '../nat/nat.ts';
import { compile, encodeVerdict, link, type Program, type Resolver } from './compile.ts';
import { Evaluator, type EvaluatorEnv, type RuleObserver } from './evaluate.ts';
import { formatAddRule, formatTable } from './list.ts';
import { type ChainHook, type MapElementKey, type NftVerdict, portWord } from './ruleset.ts';
import { type ChainState, elementKey, isMap, type MapState, NftTable, type SetState, Transaction } from './table.ts';

const HOOKS: Readonly<Record<ChainHook, HookNumber>> = {
  prerouting: NF_INET_PRE_ROUTING,
  input: NF_INET_LOCAL_IN,
  forward: NF_INET_FORWARD,
  output: NF_INET_LOCAL_OUT,
  postrouting: NF_INET_POST_ROUTING,
};

export interface NftablesEnv extends EvaluatorEnv {
  readonly hooks: NetfilterHooks;
  readonly nat: Nat;
  readonly trace: TracePoints;
}

/** A base chain as the what-if engine walks it. */
export interface BaseChainInfo {
  readonly table: NftTable;
  readonly chain: ChainState;
}

export class Nftables {
  readonly #env: NftablesEnv;
  readonly #evaluator: Evaluator;
  readonly #tables = new Map<string, NftTable>();
  /** Of base chains. */
  readonly #unhook = new Map<ChainState, () => void>();
  /** By chain number, for the trace. */
  readonly #chains: (BaseChainInfo | undefined)[] = [];
  readonly #free = { chain: [] as number[], set: [] as number[], map: [] as number[] };
  readonly #next = { chain: 0, set: 0, map: 0 };

  constructor(env: NftablesEnv) {
    this.#env = env;
    this.#evaluator = new Evaluator(env);
  }

  /** One transaction, all or nothing; throws NetlinkError. O(what it names). */
  apply(op: NftOp): void {
    const tx = new Transaction();
    try {
      for (const command of op.commands) {
        if (command.command === 'add-table') this.#addTable(op.table, command.comment, tx);
        else if (command.command === 'delete-table') this.#deleteTable(op.table, tx);
        else this.#table(op.table).apply(command, tx);
      }
      const table = this.#tables.get(op.table);
      if (table) {
        refuseLoops(table, tx);
        this.#compile(table, tx);
      }
    } catch (error) {
      tx.rollBack();
      const table = this.#tables.get(op.table);
      if (table) this.#compile(table, tx);
      throw error;
    }
    this.#settle(tx);
  }

  /** As `nft list ruleset`. */
  list(): string {
    return Array.from(this.#tables.values(), (table) => formatTable(table, this.#env.net.nowUs)).join('');
  }

  /** Names of the chains or sets (maps included) of a table; none when there is no table. */
  names(table: string, kind: 'chains' | 'sets'): readonly string[] {
    const found = this.#tables.get(table);
    if (!found) return [];
    return kind === 'chains' ? [...found.chains.keys()] : found.containers.map(({ spec }) => spec.name);
  }

  /** Base chains of a hook, by priority. */
  baseChains(hook: ChainHook): readonly BaseChainInfo[] {
    const found: BaseChainInfo[] = [];
    for (const chain of this.#unhook.keys()) if (chain.spec.base!.hook === hook) found.push(this.#chains[chain.id]!);
    return found.sort((a, b) => a.chain.spec.base!.priority - b.chain.spec.base!.priority);
  }

  /** Whether a packet now would find `addr` in the set. */
  isInSet(table: NftTable, set: string, addr: number): boolean {
    return table.set(set).table.has(addr | 0, this.#env.net);
  }

  verdictOf(table: NftTable, map: string, key: MapElementKey): NftVerdict | undefined {
    return table.map(map).elements.get(elementKey(key))?.verdict;
  }

  #table(name: string): NftTable {
    const table = this.#tables.get(name);
    if (!table) throw new NetlinkError('ENOENT', `no table ip ${name}`);
    return table;
  }

  #addTable(name: string, comment: string | undefined, tx: Transaction): void {
    const there = this.#tables.get(name);
    if (there) return;
    const table = new NftTable(name, {
      take: (kind) => this.#take(kind),
      give: (kind, id) => this.#give(kind, id),
    });
    table.comment = comment;
    this.#tables.set(name, table);
    tx.undo(() => this.#tables.delete(name));
  }

  #deleteTable(name: string, tx: Transaction): void {
    const table = this.#table(name);
    table.deleteAll(tx);
    this.#tables.delete(name);
    tx.undo(() => this.#tables.set(name, table));
  }

  #compile(table: NftTable, tx: Transaction): void {
    const resolve: Resolver = {
      chain: (name) => table.chain(name).id,
      set: (name) => table.set(name).id,
      map: (name) => {
        const map = table.map(name);
        return { id: map.id, hasAddress: map.spec.key === 'addr.proto.port' };
      },
      interface: (name) => this.#evaluator.interfaces.numberOf(name),
    };
    for (const object of tx.added) if (!tx.deleted.has(object)) this.#place(table, object);
    const { programs } = this.#evaluator;
    const written: [ChainState, Program][] = [];
    for (const chain of tx.dirty) {
      if (table.chains.get(chain.spec.name) !== chain) continue;
      const program = compile(chain.rules, resolve);
      programs.reserve(chain.id, program.code.length);
      written.push([chain, program]);
    }
    for (const [chain, program] of written) {
      link(program, programs.offsets);
      programs.write(chain.id, program.code);
      chain.starts = program.starts;
    }
    for (const [element, map] of tx.elements) {
      if (map.elements.get(elementKey(element)) !== element) continue;
      const verdict = encodeVerdict(element.verdict, (name) => programs.offsets[table.chain(name).id]!);
      map.table.set(element.addr | 0, portWord(element), verdict);
    }
  }

  #place(table: NftTable, object: ChainState | SetState | MapState): void {
    const { sets, maps } = this.#evaluator;
    if ('rules' in object) this.#chains[object.id] = { table, chain: object };
    else if (isMap(object)) maps[object.id] = object.table;
    else sets[object.id] = object.table;
  }

  /** After a transaction went through: hooks base chains in and out, and gives numbers of what is gone back. */
  #settle(tx: Transaction): void {
    for (const object of tx.deleted) {
      if ('rules' in object) {
        this.#unhook.get(object)?.();
        this.#unhook.delete(object);
        this.#chains[object.id] = undefined;
        this.#give('chain', object.id);
      } else if (isMap(object)) {
        this.#evaluator.maps[object.id] = undefined;
        this.#give('map', object.id);
      } else {
        this.#evaluator.sets[object.id] = undefined;
        this.#give('set', object.id);
      }
    }
    for (const object of tx.added) if ('rules' in object && !tx.deleted.has(object)) this.#hook(object);
  }

  #hook(chain: ChainState): void {
    const { base } = chain.spec;
    if (!base) return;
    const { id } = chain;
    const evaluator = this.#evaluator;
    const { trace, hooks, nat } = this.#env;
    const observer: RuleObserver = (skb, hook, program, pc) => this.#observe(skb, hook, program, pc);
    const run = (skb: Skb, hook: HookNumber): 0 | 1 | 2 => {
      evaluator.observer = trace.sink === null ? null : observer;
      return evaluator.run(skb, hook, id);
    };
    const hook = HOOKS[base.hook];
    this.#unhook.set(
      chain,
      base.type === 'nat' ? nat.addChain(hook, base.priority, run) : hooks.register(hook, base.priority, run),
    );
  }

  #observe(skb: Skb, hook: HookNumber, program: number, pc: number): void {
    const found = this.#chains[this.#evaluator.programs.chainAt(program)!];
    if (!found) return;
    const { starts, rules, spec } = found.chain;
    const index = starts.findLastIndex((start) => start <= pc);
    const rule = rules[index];
    if (!rule) return;
    const text: LazyText = { text: () => formatAddRule(found.table, spec.name, rule) };
    this.#env.trace.sink?.action(skb, STAGES[hook], text, 'match');
  }

  #take(kind: 'chain' | 'set' | 'map'): number {
    return this.#free[kind].pop() ?? this.#next[kind]++;
  }

  #give(kind: 'chain' | 'set' | 'map', id: number): void {
    if (kind === 'chain') this.#evaluator.programs.release(id);
    this.#free[kind].push(id);
  }
}

/** Depth first from wherever a new loop could go through. */
function refuseLoops(table: NftTable, tx: Transaction): void {
  const done = new Set<ChainState>();
  const path = new Set<ChainState>();
  const visit = (chain: ChainState): void => {
    if (done.has(chain)) return;
    if (path.has(chain))
      throw new NetlinkError('ELOOP', `table ip ${table.name}: chain ${chain.spec.name} leads to itself`);
    path.add(chain);
    for (const next of table.successors(chain)) visit(next);
    path.delete(chain);
    done.add(chain);
  };
  for (const chain of tx.suspects) if (!tx.deleted.has(chain)) visit(chain);
}
