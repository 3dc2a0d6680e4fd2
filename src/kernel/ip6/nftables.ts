// nftables' family ip6 as it is held: tables with their chains, sets and maps, what transactions do to them, and
// `nft list ruleset`'s text.
// Deviation: nothing runs from them, as the emulated kernel has no packet path for IPv6; what-if walks them. References are
// not counted: kube-proxy is the only writer.
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { type ChainView, formatTable, type TableView } from '../netfilter/nftables/list.ts';
import type {
  ChainHook,
  MapElement,
  MapElementKey,
  NftChain,
  NftCommand,
  NftMap,
  NftRule,
  NftSet,
  NftVerdict,
} from '../netfilter/nftables/ruleset.ts';
import { NetlinkError, type NftOp } from '../netlink.ts';

interface ChainState {
  readonly spec: NftChain;
  rules: NftRule<IpAddress>[];
}

interface SetState {
  readonly spec: NftSet;
  readonly table: { readonly addrs: Set<IpAddress>; entries(): { addr: IpAddress; deadlineUs: number }[] };
}

interface MapState {
  readonly spec: NftMap;
  readonly elements: Map<string, MapElement<IpAddress>>;
}

class Table implements TableView {
  readonly family = 'ip6';
  readonly name: string;
  comment: string | undefined;
  readonly chains = new Map<string, ChainState>();
  readonly #containers = new Map<string, SetState | MapState>();

  constructor(name: string) {
    this.name = name;
  }

  get containers(): readonly (SetState | MapState)[] {
    return [...this.#containers.values()];
  }

  chain(name: string): ChainState {
    return this.chains.get(name) ?? fail(`no chain ${name}`);
  }

  map(name: string): MapState {
    const found = this.#containers.get(name);
    return found && 'elements' in found ? found : fail(`no map ${name}`);
  }

  set(name: string): SetState {
    const found = this.#containers.get(name);
    return found && 'table' in found ? found : fail(`no set ${name}`);
  }

  apply(c: Exclude<NftCommand<IpAddress>, { command: 'add-table' | 'delete-table' }>): void {
    switch (c.command) {
      case 'add-chain':
        if (!this.chains.has(c.chain.name)) this.chains.set(c.chain.name, { spec: c.chain, rules: [] });
        return;
      case 'flush-chain':
        this.chain(c.name).rules = [];
        return;
      case 'delete-chain':
        this.chain(c.name);
        this.chains.delete(c.name);
        return;
      case 'add-rule':
        this.chain(c.chain).rules.push(c.rule);
        return;
      case 'add-set':
        if (!this.#containers.has(c.set.name)) this.#containers.set(c.set.name, newSet(c.set));
        return;
      case 'add-map':
        if (!this.#containers.has(c.map.name)) this.#containers.set(c.map.name, { spec: c.map, elements: new Map() });
        return;
      case 'flush-set': {
        const found = this.#containers.get(c.name) ?? fail(`no set ${c.name}`);
        if ('elements' in found) found.elements.clear();
        else found.table.addrs.clear();
        return;
      }
      case 'delete-set':
        if (!this.#containers.delete(c.name)) fail(`no set ${c.name}`);
        return;
      case 'add-set-element':
        this.set(c.set).table.addrs.add(c.addr);
        return;
      case 'delete-set-element':
        this.set(c.set).table.addrs.delete(c.addr);
        return;
      case 'add-map-element':
        this.map(c.map).elements.set(keyOf(c.element), c.element);
        return;
      case 'delete-map-element':
        this.map(c.map).elements.delete(keyOf(c.key));
    }
  }
}

export class Nftables6 {
  readonly #tables = new Map<string, Table>();

  /** Throws NetlinkError. Deviation: what came before the command that fails stays; the next sync writes everything. */
  apply({ table: name, commands }: NftOp<IpAddress>): void {
    for (const c of commands) {
      if (c.command === 'add-table') {
        if (!this.#tables.has(name)) this.#tables.set(name, new Table(name));
        this.#tables.get(name)!.comment ??= c.comment;
      } else if (c.command === 'delete-table') {
        if (!this.#tables.delete(name)) fail(`no table ${name}`);
      } else {
        (this.#tables.get(name) ?? fail(`no table ${name}`)).apply(c);
      }
    }
  }

  list(): string {
    return [...this.#tables.values()].map((table) => formatTable(table, 0)).join('');
  }

  /** Names of the chains or sets (maps included) of a table; none when there is no table. */
  names(table: string, kind: 'chains' | 'sets'): readonly string[] {
    const found = this.#tables.get(table);
    if (!found) return [];
    return kind === 'chains' ? [...found.chains.keys()] : found.containers.map(({ spec }) => spec.name);
  }

  /** Base chains of a hook, by priority. */
  baseChains(hook: ChainHook): readonly { readonly table: TableView; readonly chain: ChainView }[] {
    const found = [...this.#tables.values()].flatMap((table) =>
      [...table.chains.values()].filter(({ spec }) => spec.base?.hook === hook).map((chain) => ({ table, chain })),
    );
    return found.sort((a, b) => a.chain.spec.base!.priority - b.chain.spec.base!.priority);
  }

  isInSet(table: TableView, set: string, addr: IpAddress): boolean {
    return this.#tables.get(table.name)!.set(set).table.addrs.has(addr);
  }

  verdictOf(table: TableView, map: string, key: MapElementKey<IpAddress>): NftVerdict | undefined {
    return this.#tables.get(table.name)!.map(map).elements.get(keyOf(key))?.verdict;
  }
}

function newSet(spec: NftSet): SetState {
  const addrs = new Set<IpAddress>();
  const entries = (): { addr: IpAddress; deadlineUs: number }[] =>
    [...addrs].sort((a, b) => (a < b ? -1 : 1)).map((addr) => ({ addr, deadlineUs: Number.POSITIVE_INFINITY }));
  return { spec, table: { addrs, entries } };
}

function keyOf({ addr, proto, port }: MapElementKey<IpAddress>): string {
  return `${addr} ${proto} ${port}`;
}

function fail(what: string): never {
  throw new NetlinkError('ENOENT', `family ip6: ${what}`);
}
