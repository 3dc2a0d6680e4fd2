// Forwarding information base, after Linux net/ipv4/fib_trie.c and the two tables every host has: `local` is asked first
// (addresses of this host, broadcasts), then `main` (everything else); within a table the longest prefix wins.
// Each table keeps one open-addressing hash over all its prefixes, probed once for each prefix length in use, longest first:
// a hundred thousand local /32s (ClusterIPs) cost what one costs. In front of both stands a cache of answers by destination
// (a packet through IPVS asks five times, and its answer again), which every change of a route makes void.
// Leaves out: policy rules, metrics, TOS, multipath.
import { netmask } from '../../tcpip-ts/wire/address.ts';

// rtnetlink.h RTN_*
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export type RouteType = 1 | 2 | 3 | 6 | 7;

export interface Route {
  readonly network: number;
  readonly prefixLen: number;
  /** RTN_UNICAST when left out. LOCAL and BROADCAST routes live in the local table, others in main. */
  readonly type?: RouteType;
  /** ifindex of the device; 0 for blackhole and unreachable. */
  readonly oif: number;
  /** 0: on link. */
  readonly gateway?: number;
  /** Source for packets made here; 0: the device's first address. */
  readonly prefsrc?: number;
}

/** Index of a route, valid until the next add or remove; negative: none. */
export type RouteId = number;
export const NO_ROUTE: RouteId = -1;

const EMPTY = -1;
/** Answers that the cache holds; a power of two. */
const CACHE_SIZE = 4096;

export class Fib {
  // Columns of routes, shared by both tables.
  #network = new Uint32Array(64);
  #prefixLen = new Uint8Array(64);
  #type = new Uint8Array(64);
  #oif = new Int32Array(64);
  #gateway = new Uint32Array(64);
  #prefsrc = new Uint32Array(64);
  #used = 0;
  readonly #free: number[] = [];
  readonly #local = new PrefixTable();
  readonly #main = new PrefixTable();
  /** The cache, direct-mapped: an answer holds while its generation is the current one. */
  readonly #cachedAddr = new Int32Array(CACHE_SIZE);
  readonly #cachedId = new Int32Array(CACHE_SIZE);
  readonly #cachedAt = new Int32Array(CACHE_SIZE);
  #generation = 1;

  /** Adds a route, in place of one with the same prefix in the same table. */
  add(route: Route): void {
    const type = route.type ?? RTN_UNICAST;
    const network = (route.network & netmask(route.prefixLen)) >>> 0;
    const table = this.#tableOf(type);
    this.#changed();
    let id = table.get(network, route.prefixLen);
    if (id === EMPTY) {
      id = this.#free.pop() ?? this.#extend();
      table.set(network, route.prefixLen, id);
    }
    this.#network[id] = network;
    this.#prefixLen[id] = route.prefixLen;
    this.#type[id] = type;
    this.#oif[id] = route.oif;
    this.#gateway[id] = route.gateway ?? 0;
    this.#prefsrc[id] = route.prefsrc ?? 0;
  }

  /** Whether there was such a route; `type` says which table. */
  remove(network: number, prefixLen: number, type: RouteType = RTN_UNICAST): boolean {
    const masked = (network & netmask(prefixLen)) >>> 0;
    const id = this.#tableOf(type).delete(masked, prefixLen);
    if (id === EMPTY) return false;
    this.#changed();
    this.#type[id] = 0;
    this.#free.push(id);
    return true;
  }

  /** Takes out every main-table route through a device that goes away. O(routes). */
  removeDevice(ifindex: number): void {
    for (let id = 0; id < this.#used; id++) {
      if (
        this.#oif[id] === ifindex &&
        this.#type[id]! !== 0 &&
        this.#tableOf(this.#type[id] as RouteType) === this.#main
      ) {
        this.remove(this.#network[id]!, this.#prefixLen[id]!, this.#type[id] as RouteType);
      }
    }
  }

  /** The route to `daddr`, or NO_ROUTE. Signed, so that no argument needs a heap number. */
  lookup(daddr: number): RouteId {
    daddr |= 0;
    const slot = (Math.imul(daddr, 0x9e3779b1) >>> 16) & (CACHE_SIZE - 1);
    if (this.#cachedAddr[slot] === daddr && this.#cachedAt[slot] === this.#generation) return this.#cachedId[slot]!;
    return this.#find(daddr, slot);
  }

  /** Whether `addr` is one of this host's own: what `-m addrtype LOCAL` and the trap ask. */
  isLocal(addr: number): boolean {
    const id = this.lookup(addr); // only the local table, which is asked first, has routes of this type
    return id !== EMPTY && this.#type[id] === RTN_LOCAL;
  }

  typeOf(id: RouteId): RouteType {
    return this.#type[id] as RouteType;
  }

  oifOf(id: RouteId): number {
    return this.#oif[id]!;
  }

  gatewayOf(id: RouteId): number {
    return this.#gateway[id]!;
  }

  prefsrcOf(id: RouteId): number {
    return this.#prefsrc[id]!;
  }

  routeOf(id: RouteId): Required<Route> {
    return {
      network: this.#network[id]!,
      prefixLen: this.#prefixLen[id]!,
      type: this.#type[id] as RouteType,
      oif: this.#oif[id]!,
      gateway: this.#gateway[id]!,
      prefsrc: this.#prefsrc[id]!,
    };
  }

  /** All routes of one table, as `ip route show table …`. */
  list(table: 'local' | 'main' = 'main'): Required<Route>[] {
    const wanted = table === 'local' ? this.#local : this.#main;
    const routes: Required<Route>[] = [];
    for (let id = 0; id < this.#used; id++) {
      if (this.#type[id] !== 0 && this.#tableOf(this.#type[id] as RouteType) === wanted) routes.push(this.routeOf(id));
    }
    return routes.sort((a, b) => a.network - b.network || a.prefixLen - b.prefixLen);
  }

  #find(daddr: number, slot: number): RouteId {
    let id = this.#local.lookup(daddr);
    if (id === EMPTY) id = this.#main.lookup(daddr);
    this.#cachedAddr[slot] = daddr;
    this.#cachedId[slot] = id;
    this.#cachedAt[slot] = this.#generation;
    return id;
  }

  #changed(): void {
    this.#generation = (this.#generation + 1) | 0;
    if (this.#generation === 0) this.#generation = 1; // 0 is what an unused place of the cache says
  }

  #tableOf(type: RouteType): PrefixTable {
    return type === RTN_LOCAL || type === RTN_BROADCAST ? this.#local : this.#main;
  }

  #extend(): number {
    if (this.#used === this.#network.length) {
      const size = this.#used * 2;
      this.#network = grown(this.#network, new Uint32Array(size));
      this.#prefixLen = grown(this.#prefixLen, new Uint8Array(size));
      this.#type = grown(this.#type, new Uint8Array(size));
      this.#oif = grown(this.#oif, new Int32Array(size));
      this.#gateway = grown(this.#gateway, new Uint32Array(size));
      this.#prefsrc = grown(this.#prefsrc, new Uint32Array(size));
    }
    return this.#used++;
  }
}

/** Prefixes to ids: linear probing, backward-shift deletion, at most half full. */
class PrefixTable {
  #networks = new Uint32Array(64);
  #lens = new Uint8Array(64);
  #ids = new Int32Array(64).fill(EMPTY);
  #mask = 63;
  #count = 0;
  readonly #perLen = new Uint32Array(33);
  /** Prefix lengths in use, longest first, and their masks. */
  #lengths = new Uint8Array(0);
  #masks = new Uint32Array(0);

  lookup(addr: number): number {
    const lengths = this.#lengths;
    for (let i = 0; i < lengths.length; i++) {
      const id = this.get((addr & this.#masks[i]!) >>> 0, lengths[i]!);
      if (id !== EMPTY) return id;
    }
    return EMPTY;
  }

  get(network: number, len: number): number {
    const ids = this.#ids;
    for (let i = hash(network, len) & this.#mask; ids[i] !== EMPTY; i = (i + 1) & this.#mask) {
      if (this.#networks[i] === network && this.#lens[i] === len) return ids[i]!;
    }
    return EMPTY;
  }

  /** The prefix must not be there yet. */
  set(network: number, len: number, id: number): void {
    if ((this.#count + 1) * 2 > this.#ids.length) this.#grow();
    this.#insert(network, len, id);
    this.#count++;
    if (this.#perLen[len]!++ === 0) this.#listLengths();
  }

  delete(network: number, len: number): number {
    const mask = this.#mask;
    let i = hash(network, len) & mask;
    while (this.#ids[i] !== EMPTY && (this.#networks[i] !== network || this.#lens[i] !== len)) i = (i + 1) & mask;
    const id = this.#ids[i]!;
    if (id === EMPTY) return EMPTY;
    let hole = i;
    for (let j = (i + 1) & mask; this.#ids[j] !== EMPTY; j = (j + 1) & mask) {
      const home = hash(this.#networks[j]!, this.#lens[j]!) & mask;
      if (((j - home) & mask) >= ((j - hole) & mask)) {
        this.#networks[hole] = this.#networks[j]!;
        this.#lens[hole] = this.#lens[j]!;
        this.#ids[hole] = this.#ids[j]!;
        hole = j;
      }
    }
    this.#ids[hole] = EMPTY;
    this.#count--;
    if (--this.#perLen[len]! === 0) this.#listLengths();
    return id;
  }

  #insert(network: number, len: number, id: number): void {
    let i = hash(network, len) & this.#mask;
    while (this.#ids[i] !== EMPTY) i = (i + 1) & this.#mask;
    this.#networks[i] = network;
    this.#lens[i] = len;
    this.#ids[i] = id;
  }

  #grow(): void {
    const [networks, lens, ids] = [this.#networks, this.#lens, this.#ids];
    const size = ids.length * 2;
    this.#networks = new Uint32Array(size);
    this.#lens = new Uint8Array(size);
    this.#ids = new Int32Array(size).fill(EMPTY);
    this.#mask = size - 1;
    for (let i = 0; i < ids.length; i++) if (ids[i] !== EMPTY) this.#insert(networks[i]!, lens[i]!, ids[i]!);
  }

  #listLengths(): void {
    const lengths: number[] = [];
    for (let len = 32; len >= 0; len--) if (this.#perLen[len]! > 0) lengths.push(len);
    this.#lengths = Uint8Array.from(lengths);
    this.#masks = Uint32Array.from(lengths, netmask);
  }
}

/**
 * Murmur3's finalizer. A single multiplication is not enough: ClusterIPs are neighbours, and with it a thousand of them stood in
 * runs that a lookup of another address had to walk to the end: twice the cost of the whole path.
 */
function hash(network: number, len: number): number {
  let h = network ^ (len << 26);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function grown<T extends Uint32Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
