// One nftables table: its chains, sets and maps by name, who refers to whom, and the commands that change them. Every change
// leaves its undoing with the transaction, so a batch that fails at any line leaves no trace (nft's all or nothing).
//
// A chain is referred to by rules (jump, goto) and map elements, a set or map by rules; what is referred to cannot be deleted.
import { NetlinkError } from '../../netlink.ts';
import { LookupTable } from './lookup-table.ts';
import {
  type MapElement,
  type MapElementKey,
  type NftChain,
  type NftCommand,
  type NftMap,
  type NftRule,
  type NftSet,
  type NftVerdict,
  portWord,
} from './ruleset.ts';
import { SetTable } from './set-table.ts';

export interface ChainState {
  readonly id: number;
  readonly spec: NftChain;
  rules: NftRule[];
  /** Where each rule begins in the chain's program. */
  starts: Int32Array;
  references: number;
}

export interface SetState {
  readonly id: number;
  readonly spec: NftSet;
  readonly table: SetTable;
  references: number;
}

export interface MapState {
  readonly id: number;
  readonly spec: NftMap;
  readonly table: LookupTable;
  readonly elements: Map<string, MapElement>;
  references: number;
}

/** Numbers for chains, sets and maps, shared by all tables. */
export interface Numbers {
  take(kind: 'chain' | 'set' | 'map'): number;
  give(kind: 'chain' | 'set' | 'map', id: number): void;
}

/** What a batch has touched so far. */
export class Transaction {
  /** Chains to compile. */
  readonly dirty = new Set<ChainState>();
  /** Map elements whose values are to be written. */
  readonly elements = new Map<MapElement, MapState>();
  /** Chains that have a new rule, or that a new element of a map leads to: a new loop goes through one of them. */
  readonly suspects = new Set<ChainState>();
  readonly added = new Set<ChainState | SetState | MapState>();
  readonly deleted = new Set<ChainState | SetState | MapState>();
  readonly #undo: (() => void)[] = [];

  undo(step: () => void): void {
    this.#undo.push(step);
  }

  rollBack(): void {
    for (const step of this.#undo.reverse()) step();
  }
}

export class NftTable {
  readonly family = 'ip';
  readonly name: string;
  comment: string | undefined;
  readonly chains = new Map<string, ChainState>();
  readonly sets = new Map<string, SetState>();
  readonly maps = new Map<string, MapState>();
  /** Sets and maps in the order they were made. */
  readonly containers: (SetState | MapState)[] = [];
  readonly #numbers: Numbers;

  constructor(name: string, numbers: Numbers) {
    this.name = name;
    this.#numbers = numbers;
  }

  chain(name: string): ChainState {
    return this.chains.get(name) ?? this.#missing('chain', name);
  }

  set(name: string): SetState {
    return this.sets.get(name) ?? this.#missing('set', name);
  }

  map(name: string): MapState {
    return this.maps.get(name) ?? this.#missing('map', name);
  }

  /** Any command but those on the table itself. Throws NetlinkError; then roll the transaction back. */
  apply(c: NftCommand, tx: Transaction): void {
    switch (c.command) {
      case 'add-chain':
        this.#addChain(c.chain, tx);
        return;
      case 'flush-chain':
        this.#flushChain(this.chain(c.name), tx);
        return;
      case 'delete-chain':
        this.deleteChain(this.chain(c.name), tx);
        return;
      case 'add-rule':
        this.#addRule(this.chain(c.chain), c.rule, tx);
        return;
      case 'add-set':
        this.#addSet(c.set, tx);
        return;
      case 'add-map':
        this.#addMap(c.map, tx);
        return;
      case 'flush-set':
        this.#flushContainer(this.#container(c.name), tx);
        return;
      case 'delete-set':
        this.#deleteContainer(this.#container(c.name), tx);
        return;
      case 'add-set-element':
        this.#changeSet(c.set, c.addr, true, tx);
        return;
      case 'delete-set-element':
        this.#changeSet(c.set, c.addr, false, tx);
        return;
      case 'add-map-element':
        this.#addElement(this.map(c.map), c.element, tx);
        return;
      case 'delete-map-element':
        this.#deleteElement(this.map(c.map), c.key, tx);
    }
  }

  /** Empties it and takes it out. */
  deleteChain(chain: ChainState, tx: Transaction): void {
    this.#flushChain(chain, tx);
    if (chain.references > 0) this.#fail('EBUSY', `chain ${chain.spec.name} is referred to`);
    this.chains.delete(chain.spec.name);
    this.#retire(chain, tx);
    tx.undo(() => this.chains.set(chain.spec.name, chain));
  }

  deleteAll(tx: Transaction): void {
    for (const chain of this.chains.values()) this.#flushChain(chain, tx);
    for (const map of this.maps.values()) this.#flushContainer(map, tx);
    for (const chain of [...this.chains.values()]) this.deleteChain(chain, tx);
    for (const container of [...this.containers]) this.#deleteContainer(container, tx);
  }

  /** Chains that `chain` may go on to. */
  *successors(chain: ChainState): Generator<ChainState> {
    for (const rule of chain.rules) {
      for (const e of rule.expressions) {
        if (e.kind === 'verdict') yield* this.#chainsOf([e.verdict]);
        else if (e.kind === 'numgen-vmap') yield* this.#chainsOf(e.verdicts);
        else if (e.kind === 'vmap')
          yield* this.#chainsOf(Array.from(this.map(e.map).elements.values(), (v) => v.verdict));
      }
    }
  }

  #addChain(spec: NftChain, tx: Transaction): void {
    const there = this.chains.get(spec.name);
    if (there) {
      const same = !spec.base || JSON.stringify(spec.base) === JSON.stringify(there.spec.base);
      if (!same) this.#fail('EEXIST', `chain ${spec.name} is there with another hook or priority`);
      return;
    }
    const id = this.#numbers.take('chain');
    const chain: ChainState = { id, spec, rules: [], starts: NO_RULES, references: 0 };
    this.chains.set(spec.name, chain);
    tx.added.add(chain);
    tx.dirty.add(chain);
    tx.undo(() => {
      this.chains.delete(spec.name);
      this.#numbers.give('chain', id);
    });
  }

  #addRule(chain: ChainState, rule: NftRule, tx: Transaction): void {
    const { rules } = chain;
    this.#refer([rule], 1);
    rules.push(rule);
    tx.dirty.add(chain);
    tx.suspects.add(chain);
    tx.undo(() => {
      rules.pop();
      this.#refer([rule], -1);
    });
  }

  #flushChain(chain: ChainState, tx: Transaction): void {
    const { rules } = chain;
    this.#refer(rules, -1);
    chain.rules = [];
    tx.dirty.add(chain);
    tx.undo(() => {
      chain.rules = rules;
      this.#refer(rules, 1);
    });
  }

  /** Counts what rules refer to. What does not exist throws before anything is counted. */
  #refer(rules: readonly NftRule[], by: number): void {
    const referred: { references: number }[] = [];
    for (const rule of rules) {
      for (const e of rule.expressions) {
        if (e.kind === 'vmap') referred.push(this.map(e.map));
        else if (e.kind === 'address-set' || e.kind === 'update') referred.push(this.set(e.set));
        else if (e.kind === 'verdict' || e.kind === 'numgen-vmap') {
          for (const chain of this.#chainsOf(e.kind === 'verdict' ? [e.verdict] : e.verdicts)) referred.push(chain);
        }
      }
    }
    for (const object of referred) object.references += by;
  }

  *#chainsOf(verdicts: readonly NftVerdict[]): Generator<ChainState> {
    for (const v of verdicts) if (v.kind === 'jump' || v.kind === 'goto') yield this.chain(v.chain);
  }

  #addSet(spec: NftSet, tx: Transaction): void {
    const there = this.sets.get(spec.name);
    if (this.maps.has(spec.name) || (there && there.spec.timeoutS !== spec.timeoutS))
      this.#fail('EEXIST', `set ${spec.name} is there with another type`);
    if (there) return;
    const set: SetState = {
      id: this.#numbers.take('set'),
      spec,
      table: new SetTable(spec.timeoutS ?? 0),
      references: 0,
    };
    this.#insert(this.sets, 'set', set, tx);
  }

  #addMap(spec: NftMap, tx: Transaction): void {
    const there = this.maps.get(spec.name);
    if (this.sets.has(spec.name) || (there && there.spec.key !== spec.key))
      this.#fail('EEXIST', `map ${spec.name} is there with another type`);
    if (there) return;
    const id = this.#numbers.take('map');
    const map: MapState = { id, spec, table: new LookupTable(), elements: new Map(), references: 0 };
    this.#insert(this.maps, 'map', map, tx);
  }

  #insert<T extends SetState | MapState>(into: Map<string, T>, kind: 'set' | 'map', object: T, tx: Transaction): void {
    into.set(object.spec.name, object);
    this.containers.push(object);
    tx.added.add(object);
    tx.undo(() => {
      into.delete(object.spec.name);
      this.containers.splice(this.containers.indexOf(object), 1);
      this.#numbers.give(kind, object.id);
    });
  }

  #deleteContainer(object: SetState | MapState, tx: Transaction): void {
    const { name } = object.spec;
    if (object.references > 0) this.#fail('EBUSY', `${name} is referred to`);
    if (isMap(object)) this.#flushContainer(object, tx);
    const into: Map<string, SetState | MapState> = isMap(object) ? this.maps : this.sets;
    const at = this.containers.indexOf(object);
    into.delete(name);
    this.containers.splice(at, 1);
    this.#retire(object, tx);
    tx.undo(() => {
      into.set(name, object);
      this.containers.splice(at, 0, object);
    });
  }

  #retire(object: ChainState | SetState | MapState, tx: Transaction): void {
    tx.deleted.add(object);
    tx.undo(() => tx.deleted.delete(object));
  }

  #container(name: string): SetState | MapState {
    return this.sets.get(name) ?? this.map(name);
  }

  #flushContainer(object: SetState | MapState, tx: Transaction): void {
    if (isMap(object)) for (const element of [...object.elements.values()]) this.#deleteElement(object, element, tx);
    else for (const { addr } of object.table.entries(0)) this.#changeSet(object.spec.name, addr, false, tx);
  }

  #changeSet(name: string, addr: number, isIn: boolean, tx: Transaction): void {
    const { table } = this.set(name);
    const deadlineUs = table.deadlineOf(addr);
    const was = deadlineUs >= 0;
    if (!isIn && !was) this.#fail('ENOENT', `no such element in set ${name}`);
    if (isIn === was) return;
    if (isIn) table.add(addr);
    else table.delete(addr);
    tx.undo(() => void (isIn ? table.delete(addr) : table.add(addr, deadlineUs)));
  }

  #addElement(map: MapState, element: MapElement, tx: Transaction): void {
    const key = elementKey(element);
    const there = map.elements.get(key);
    if (there) {
      if (JSON.stringify(there.verdict) === JSON.stringify(element.verdict)) return;
      this.#fail('EEXIST', `element of map ${map.spec.name} is there with another verdict`);
    }
    this.#count(element, 1);
    map.elements.set(key, element);
    tx.elements.set(element, map);
    for (const chain of this.#chainsOf([element.verdict])) tx.suspects.add(chain);
    tx.undo(() => this.#take(map, element));
  }

  #deleteElement(map: MapState, key: MapElementKey, tx: Transaction): void {
    const element =
      map.elements.get(elementKey(key)) ?? this.#fail('ENOENT', `no such element in map ${map.spec.name}`);
    const verdict = map.table.get(element.addr | 0, portWord(element));
    this.#take(map, element);
    tx.undo(() => {
      this.#count(element, 1);
      map.elements.set(elementKey(element), element);
      map.table.set(element.addr | 0, portWord(element), verdict);
    });
  }

  #take(map: MapState, element: MapElement): void {
    this.#count(element, -1);
    map.elements.delete(elementKey(element));
    map.table.delete(element.addr | 0, portWord(element));
  }

  #count(element: MapElement, by: number): void {
    for (const chain of this.#chainsOf([element.verdict])) chain.references += by;
  }

  #missing(kind: string, name: string): never {
    return this.#fail('ENOENT', `no ${kind} ${name}`);
  }

  #fail(code: string, what: string): never {
    throw new NetlinkError(code, `table ip ${this.name}: ${what}`);
  }
}

export function isMap(object: SetState | MapState): object is MapState {
  return 'elements' in object;
}

export function elementKey(key: MapElementKey): string {
  return `${key.addr} ${portWord(key)}`;
}

const NO_RULES = new Int32Array(0);
