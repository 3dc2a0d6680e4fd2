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
/** Words of a place in the cache. */
const PLACE = 4;
/** Below the prefix length in a place of a table. */
const ID_BITS = 25;
const ID_MASK = (1 << ID_BITS) - 1;

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
  /** The cache, direct-mapped, [address, answer, generation, -] a place: an answer holds while its generation is the current one. */
  readonly #cache = new Int32Array(CACHE_SIZE * PLACE);
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
    const at = ((Math.imul(daddr, 0x9e3779b1) >>> 16) & (CACHE_SIZE - 1)) * PLACE;
    const cache = this.#cache;
    if (cache[at] === daddr && cache[at + 2] === this.#generation) return cache[at + 1]!;
    return this.#find(daddr, at);
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

  #find(daddr: number, at: number): RouteId {
    let id = this.#local.lookup(daddr);
    if (id === EMPTY) id = this.#main.lookup(daddr);
    this.#cache[at] = daddr;
    this.#cache[at + 1] = id;
    this.#cache[at + 2] = this.#generation;
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

/**
 * Prefixes to ids: linear probing, backward-shift deletion, at most two thirds full. [network, length << ID_BITS | id] a place:
 * a small one, so that the processor's cache holds many.
 */
class PrefixTable {
  #places = emptyPlaces(64);
  #mask = 63;
  #count = 0;
  readonly #perLen = new Uint32Array(33);
  /** Prefix lengths in use, longest first, and their masks. */
  #lengths = new Uint8Array(0);
  #masks = new Int32Array(0);

  lookup(addr: number): number {
    const lengths = this.#lengths;
    for (let i = 0; i < lengths.length; i++) {
      const id = this.get(addr & this.#masks[i]!, lengths[i]!);
      if (id !== EMPTY) return id;
    }
    return EMPTY;
  }

  get(network: number, len: number): number {
    network |= 0;
    const places = this.#places;
    for (let i = hash(network, len) & this.#mask; ; i = (i + 1) & this.#mask) {
      const second = places[i * 2 + 1]!;
      if (second === EMPTY) return EMPTY;
      if (places[i * 2] === network && second >> ID_BITS === len) return second & ID_MASK;
    }
  }

  /** The prefix must not be there yet. */
  set(network: number, len: number, id: number): void {
    if ((this.#count + 1) * 3 > (this.#mask + 1) * 2) this.#grow();
    this.#insert(network, len, id);
    this.#count++;
    if (this.#perLen[len]!++ === 0) this.#listLengths();
  }

  delete(network: number, len: number): number {
    network |= 0;
    const mask = this.#mask;
    const places = this.#places;
    const isEmpty = (i: number): boolean => places[i * 2 + 1] === EMPTY;
    let i = hash(network, len) & mask;
    while (!isEmpty(i) && (places[i * 2] !== network || places[i * 2 + 1]! >> ID_BITS !== len)) i = (i + 1) & mask;
    if (isEmpty(i)) return EMPTY;
    const id = places[i * 2 + 1]! & ID_MASK;
    let hole = i;
    for (let j = (i + 1) & mask; !isEmpty(j); j = (j + 1) & mask) {
      const home = hash(places[j * 2]!, places[j * 2 + 1]! >> ID_BITS) & mask;
      if (((j - home) & mask) >= ((j - hole) & mask)) {
        places.copyWithin(hole * 2, j * 2, (j + 1) * 2);
        hole = j;
      }
    }
    places[hole * 2 + 1] = EMPTY;
    this.#count--;
    if (--this.#perLen[len]! === 0) this.#listLengths();
    return id;
  }

  #insert(network: number, len: number, id: number): void {
    let i = hash(network, len) & this.#mask;
    while (this.#places[i * 2 + 1] !== EMPTY) i = (i + 1) & this.#mask;
    this.#places[i * 2] = network;
    this.#places[i * 2 + 1] = (len << ID_BITS) | id;
  }

  #grow(): void {
    const places = this.#places;
    const size = (this.#mask + 1) * 2;
    this.#places = emptyPlaces(size);
    this.#mask = size - 1;
    for (let at = 0; at < places.length; at += 2) {
      const second = places[at + 1]!;
      if (second !== EMPTY) this.#insert(places[at]!, second >> ID_BITS, second & ID_MASK);
    }
  }

  #listLengths(): void {
    const lengths: number[] = [];
    for (let len = 32; len >= 0; len--) if (this.#perLen[len]! > 0) lengths.push(len);
    this.#lengths = Uint8Array.from(lengths);
    this.#masks = Int32Array.from(lengths, netmask);
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

function emptyPlaces(count: number): Int32Array {
  return new Int32Array(count * 2).fill(EMPTY);
}

function grown<T extends Uint32Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
