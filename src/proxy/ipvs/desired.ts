// The sum of what all service ports ask for. Several may ask for the same address, ipset entry or virtual server (one
// ClusterIP has many ports; two Services may claim one external IP): addresses and entries are counted, of virtual servers the
// last claim stands. Keeps a note of what was touched since the last drain, so that a sync looks at nothing else.
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { type CompiledPort, type CompiledServer, type SetEntry, serverKey, type VirtualAddress } from './compile.ts';
import { SET_NAMES, type SetName } from './ipsets.ts';

interface Claim {
  readonly owner: string;
  readonly server: CompiledServer;
}

export interface Touched {
  readonly servers: ReadonlySet<string>;
  readonly addresses: ReadonlySet<IpAddress>;
  readonly entries: ReadonlyMap<SetName, ReadonlySet<string>>;
}

export class DesiredState {
  readonly #ports = new Map<string, CompiledPort>();
  readonly #claims = new Map<string, Claim[]>();
  readonly #addresses = new Map<IpAddress, number>();
  readonly #entries = new Map<SetName, Map<string, { entry: SetEntry; count: number }>>(
    SET_NAMES.map((name) => [name, new Map()]),
  );
  readonly #closed = new Map<string, { address: VirtualAddress; count: number }>();
  #touchedServers = new Set<string>();
  #touchedAddresses = new Set<IpAddress>();
  #touchedEntries = new Map<SetName, Set<string>>();

  /** Puts what a service port asks for in place of what it asked before; undefined: nothing any more. */
  set(key: string, compiled: CompiledPort | undefined): void {
    const old = this.#ports.get(key);
    if (old) this.#remove(key, old);
    if (!compiled) {
      this.#ports.delete(key);
      return;
    }
    this.#ports.set(key, compiled);
    for (const server of compiled.servers) {
      const claims = this.#claims.get(server.key) ?? [];
      claims.push({ owner: key, server });
      this.#claims.set(server.key, claims);
      this.#touchedServers.add(server.key);
    }
    for (const addr of compiled.bind) {
      this.#addresses.set(addr, (this.#addresses.get(addr) ?? 0) + 1);
      this.#touchedAddresses.add(addr);
    }
    for (const address of compiled.closed) {
      const held = this.#closed.get(serverKey(address));
      if (held) held.count++;
      else this.#closed.set(serverKey(address), { address, count: 1 });
    }
    for (const entry of compiled.entries) {
      const set = this.#entries.get(entry.set)!;
      const held = set.get(entry.key);
      if (held) held.count++;
      else set.set(entry.key, { entry, count: 1 });
      this.#touchEntry(entry);
    }
  }

  /** Keys of all service ports. */
  ports(): Iterable<string> {
    return this.#ports.keys();
  }

  /** Keys of service ports whose rules depend on the Node's addresses. */
  dependents(): string[] {
    return [...this.#ports].filter(([, port]) => port.dependsOnNode).map(([key]) => key);
  }

  server(key: string): CompiledServer | undefined {
    return this.#claims.get(key)?.at(-1)?.server;
  }

  serverKeys(): Iterable<string> {
    return this.#claims.keys();
  }

  hasAddress(addr: IpAddress): boolean {
    return this.#addresses.has(addr);
  }

  addresses(): Iterable<IpAddress> {
    return this.#addresses.keys();
  }

  entry(set: SetName, key: string): SetEntry | undefined {
    return this.#entries.get(set)!.get(key)?.entry;
  }

  entries(set: SetName): SetEntry[] {
    return Array.from(this.#entries.get(set)!.values(), ({ entry }) => entry);
  }

  /** Load balancers that the Node itself must not reach, in an order that their history has no part in. */
  closed(): VirtualAddress[] {
    return [...this.#closed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { address }]) => address);
  }

  isEmpty(set: SetName): boolean {
    return this.#entries.get(set)!.size === 0;
  }

  drainTouched(): Touched {
    const touched = { servers: this.#touchedServers, addresses: this.#touchedAddresses, entries: this.#touchedEntries };
    this.#touchedServers = new Set();
    this.#touchedAddresses = new Set();
    this.#touchedEntries = new Map();
    return touched;
  }

  #remove(key: string, port: CompiledPort): void {
    for (const server of port.servers) {
      const claims = this.#claims.get(server.key)!.filter((claim) => claim.owner !== key);
      if (claims.length > 0) this.#claims.set(server.key, claims);
      else this.#claims.delete(server.key);
      this.#touchedServers.add(server.key);
    }
    for (const addr of port.bind) {
      const count = this.#addresses.get(addr)! - 1;
      if (count > 0) this.#addresses.set(addr, count);
      else this.#addresses.delete(addr);
      this.#touchedAddresses.add(addr);
    }
    for (const address of port.closed) {
      const held = this.#closed.get(serverKey(address))!;
      if (--held.count === 0) this.#closed.delete(serverKey(address));
    }
    for (const entry of port.entries) {
      const set = this.#entries.get(entry.set)!;
      const held = set.get(entry.key)!;
      if (--held.count === 0) set.delete(entry.key);
      this.#touchEntry(entry);
    }
  }

  #touchEntry({ set, key }: SetEntry): void {
    let keys = this.#touchedEntries.get(set);
    if (!keys) this.#touchedEntries.set(set, (keys = new Set()));
    keys.add(key);
  }
}
