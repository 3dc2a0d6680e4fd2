// Where packets to an address go: own addresses, broadcasts, learnt path MTUs, then the longest matching prefix. After
// Linux's fib_lookup() and its next-hop exceptions. A host has a handful of routes: a list sorted by prefix length, searched
// in order, with the last answer remembered. Leaves out metrics, multipath, policy rules.
import type { Clock } from '../../lib/clock.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4 } from '../link.ts';
import { netmask } from '../wire/address.ts';
import type { Interface } from './interface.ts';
import type { RouteInfo } from './transport.ts';

/** Route types, after rtnetlink.h; also left in skb.cb0 of a received packet for the transport. */
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_MULTICAST = 5;

const LOOPBACK_MTU = 65535; // Linux has 65536, of which an IPv4 packet fills one less
/** Smallest path MTU that is believed (Linux route.min_pmtu); below it packets go out without DF instead. */
const MIN_PATH_MTU = 552;
const PATH_MTU_EXPIRES_US = 600e6; // Linux route.mtu_expires
const MAX_PATH_MTUS = 256;

export class Route implements RouteInfo {
  readonly type: number;
  readonly network: number;
  readonly prefixLen: number;
  readonly mask: number;
  /** 0: the destination is on the link itself. */
  readonly gateway: number;
  /** Null: this host itself. */
  readonly iface: Interface | null;
  readonly saddr: number;
  readonly mtu: number;
  readonly features: number;
  /** The path takes less than MIN_PATH_MTU: let routers fragment. */
  readonly noDf: boolean;
  /** Of a learnt path MTU. */
  readonly expiresUs: number;

  constructor(
    type: number,
    network: number,
    prefixLen: number,
    gateway: number,
    iface: Interface | null,
    saddr: number,
    mtu = iface ? iface.link.mtu : LOOPBACK_MTU,
    noDf = false,
    expiresUs = Infinity,
  ) {
    this.type = type;
    this.network = network;
    this.prefixLen = prefixLen;
    this.mask = netmask(prefixLen);
    this.gateway = gateway;
    this.iface = iface;
    this.saddr = saddr;
    this.mtu = mtu;
    this.features = iface ? iface.link.features : LINK_F_CSUM | LINK_F_TSO4 | LINK_F_USO4;
    this.noDf = noDf;
    this.expiresUs = expiresUs;
  }
}

export class RouteTable {
  readonly #clock: Clock;
  /** Own addresses and broadcasts: exact matches, a few. A list, since a Map would box each address above 127.255.255.255. */
  readonly #exact: Route[] = [];
  #exactAddrs = new Uint32Array(0);
  readonly #loopback = new Route(RTN_LOCAL, 0x7f000000, 8, 0, null, 0x7f000001);
  /** Longest prefix first; among equals, the first added. */
  readonly #routes: Route[] = [];
  /** Learnt path MTUs by destination, oldest first. */
  readonly #exceptions = new Map<number, Route>();
  readonly #lastAddr = new Uint32Array(1);
  #last: Route | undefined = undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The route to `daddr`, or undefined. No allocation. */
  lookup(daddr: number): Route | undefined {
    const last = this.#last;
    if (last && this.#lastAddr[0] === daddr) return last;
    const route = this.#find(daddr);
    // What expires is not remembered.
    if (route && route.expiresUs === Infinity) {
      this.#last = route;
      this.#lastAddr[0] = daddr;
    }
    return route;
  }

  /** The longest matching prefix, whatever is known of this one destination. */
  lookupPrefix(daddr: number): Route | undefined {
    const routes = this.#routes;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!;
      if ((daddr & route.mask) >>> 0 === route.network) return route;
    }
    return undefined;
  }

  isLocal(addr: number): boolean {
    if (addr >>> 24 === 127) return true;
    const i = indexOf(this.#exactAddrs, addr);
    return i >= 0 && this.#exact[i]!.type !== RTN_BROADCAST;
  }

  isBroadcast(addr: number): boolean {
    if (addr === 0xffffffff) return true;
    const i = indexOf(this.#exactAddrs, addr);
    return i >= 0 && this.#exact[i]!.type === RTN_BROADCAST;
  }

  /**
   * Makes `addr` one of this host's own. What is sent to it loops back inside, or with `via` goes out there like anything else:
   * the host behind that link does the looping.
   */
  addLocal(addr: number, via: Interface | null): void {
    this.#setExact(new Route(via ? RTN_UNICAST : RTN_LOCAL, addr, 32, 0, via, addr));
  }

  addBroadcast(addr: number, iface: Interface): void {
    if (!this.#exactAddrs.includes(addr)) this.#setExact(new Route(RTN_BROADCAST, addr, 32, 0, iface, iface.addr));
  }

  add(network: number, prefixLen: number, gateway: number, iface: Interface): void {
    const route = new Route(RTN_UNICAST, network, prefixLen, gateway, iface, iface.addr);
    const at = this.#routes.findIndex((r) => r.prefixLen < prefixLen);
    this.#routes.splice(at < 0 ? this.#routes.length : at, 0, route);
    this.#forget();
  }

  /** Takes away the route with this prefix and gateway; false when there is none. */
  remove(network: number, prefixLen: number, gateway: number): boolean {
    const at = this.#routes.findIndex(
      (r) => r.network === network && r.prefixLen === prefixLen && r.gateway === gateway,
    );
    if (at < 0) return false;
    this.#routes.splice(at, 1);
    this.#forget();
    return true;
  }

  /**
   * Takes note that the path to `daddr` carries packets of `mtu` bytes only (RFC 1191). Never raises what is known, never goes
   * below 552. The oldest of 256 destinations gives way.
   */
  learnPathMtu(daddr: number, mtu: number): void {
    const route = this.lookup(daddr);
    if (!route?.iface || route.type !== RTN_UNICAST || mtu >= route.mtu) return;
    const noDf = mtu < MIN_PATH_MTU;
    const believed = Math.min(route.mtu, Math.max(mtu, MIN_PATH_MTU));
    this.#exceptions.delete(daddr);
    if (this.#exceptions.size >= MAX_PATH_MTUS) this.#exceptions.delete(this.#exceptions.keys().next().value!);
    const { network, prefixLen, gateway, iface, saddr } = route;
    const expiresUs = this.#clock.nowUs() + PATH_MTU_EXPIRES_US;
    this.#exceptions.set(
      daddr,
      new Route(RTN_UNICAST, network, prefixLen, gateway, iface, saddr, believed, noDf, expiresUs),
    );
    this.#last = undefined;
  }

  #find(daddr: number): Route | undefined {
    if (daddr >>> 24 === 127) return this.#loopback;
    const i = indexOf(this.#exactAddrs, daddr);
    if (i >= 0) return this.#exact[i];
    if (this.#exceptions.size > 0) {
      const learnt = this.#exceptions.get(daddr);
      if (learnt && learnt.expiresUs > this.#clock.nowUs()) return learnt;
      if (learnt) this.#exceptions.delete(daddr);
    }
    return this.lookupPrefix(daddr);
  }

  #setExact(route: Route): void {
    const at = this.#exactAddrs.indexOf(route.network);
    this.#exact[at < 0 ? this.#exact.length : at] = route;
    this.#exactAddrs = Uint32Array.from(this.#exact, (r) => r.network);
    this.#forget();
  }

  #forget(): void {
    this.#last = undefined;
    this.#exceptions.clear();
  }
}

/** As list.indexOf(value), without boxing the value for the call. */
function indexOf(list: Uint32Array, value: number): number {
  for (let i = 0; i < list.length; i++) if (list[i] === value) return i;
  return -1;
}
