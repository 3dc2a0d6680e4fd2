// The IPv6 half of the emulated Node, as far as it is there: devices' addresses, routes, and the rules, sets and virtual servers
// that kube-proxy writes, held to be shown and to be asked (what-if). The counterpart of kernel.ts and ip/fib.ts.
// Deviation: it forwards no packet; the emulated kernel's packet path is IPv4's.
import type { Clock } from '../../lib/clock.ts';
import {
  formatIpAddress,
  formatIpPrefix,
  type IpAddress,
  isInPrefix,
  networkOf,
} from '../../tcpip-ts/wire/ip-address.ts';
import { applyOps, type NetlinkParts } from '../core/netlink.ts';
import { type AddressInfo, type Netlink, NetlinkError } from '../netlink.ts';
import type { Routed, WhatIfNet } from '../what-if/net.ts';
import { Ip6tables } from './ip6tables.ts';
import { IpSets6 } from './ipsets.ts';
import { Ipvs6 } from './ipvs.ts';
import { Nftables6 } from './nftables.ts';

interface Route {
  readonly network: IpAddress;
  readonly prefixLen: number;
  readonly device: string;
  readonly kind: 'local' | 'unicast';
  readonly gateway?: IpAddress;
}

export class Net6 implements WhatIfNet {
  readonly iptables = new Ip6tables();
  readonly nftables = new Nftables6();
  readonly ipset = new IpSets6();
  readonly balancer: Ipvs6;
  readonly #devices: string[] = [];
  readonly #addresses: AddressInfo<IpAddress>[] = [];
  readonly #routes: Route[] = [];

  constructor(clock: Clock) {
    this.balancer = new Ipvs6(clock);
    this.addDevice('lo');
    this.addAddress('lo', 1n, 128);
  }

  addDevice(name: string): void {
    if (this.#devices.includes(name)) throw new NetlinkError('EEXIST', name);
    this.#devices.push(name);
  }

  /** The address, local, and the network it names, on the link. */
  addAddress(dev: string, addr: IpAddress, prefixLen: number): void {
    if (this.isOn(dev, addr)) throw new NetlinkError('EEXIST', dev);
    this.#addresses.push({ dev, addr, prefixLen });
    if (prefixLen < 128) this.addRoute(networkOf(addr, prefixLen), prefixLen, dev);
  }

  addRoute(network: IpAddress, prefixLen: number, device: string, gateway?: IpAddress): void {
    this.#routes.push({ network, prefixLen, device, kind: 'unicast', ...(gateway === undefined ? {} : { gateway }) });
  }

  // As what-if asks.

  isLocal(addr: IpAddress): boolean {
    return this.#addresses.some((a) => a.addr === addr);
  }

  isOn(device: string, addr: IpAddress): boolean {
    return this.#addresses.some((a) => a.dev === device && a.addr === addr);
  }

  route(daddr: IpAddress): Routed {
    const own = this.#addresses.find((a) => a.addr === daddr);
    if (own) {
      const text = `local ${formatIpAddress(daddr)} dev ${own.dev} table local`;
      return { kind: 'local', text, device: own.dev, nexthop: daddr };
    }
    const fitting = this.#routes.filter(({ network, prefixLen }) => isInPrefix([network, prefixLen], daddr));
    const best = fitting.reduce<Route | undefined>((a, b) => (a && a.prefixLen >= b.prefixLen ? a : b), undefined);
    if (!best) return { kind: 'unreachable', text: '', device: '', nexthop: daddr };
    const { network, prefixLen, device, gateway } = best;
    const prefix = prefixLen === 0 ? 'default' : formatIpPrefix([network, prefixLen]);
    const via = gateway === undefined ? '' : ` via ${formatIpAddress(gateway)}`;
    return { kind: 'forward', text: `${prefix}${via} dev ${device}`, device, nexthop: gateway ?? daddr };
  }

  /** The device's first address, else the first of any but lo and kube-ipvs0. */
  sourceFor(device: string, _daddr: IpAddress): IpAddress {
    const onDevice = this.#addresses.find(({ dev }) => dev === device);
    const any = this.#addresses.find(({ dev }) => dev !== 'lo' && dev !== 'kube-ipvs0');
    return (onDevice ?? any)?.addr ?? 0n;
  }

  // As a proxier writes.

  netlink(): Netlink<IpAddress> {
    const { iptables, nftables, ipset, balancer: ipvs } = this;
    // No packet is tracked.
    const conntrack = { deleteWhere: () => 0, timeouts: {} };
    const parts: NetlinkParts<IpAddress> = { links: this.#links(), iptables, nftables, ipset, conntrack, ipvs };
    return {
      commit: (ops) => applyOps(parts, ops),
      links: () => this.#devices.map((name, i) => ({ ifindex: i + 1, name, kind: 'dummy', up: true })),
      addresses: (dev) => this.#addresses.filter((a) => dev === undefined || a.dev === dev),
      chains: (table) => iptables.chains(table),
      iptablesSave: () => iptables.save(),
      ipsets: () => ipset.list(),
      ipsetSave: () => ipset.save(),
      nftList: () => nftables.list(),
      nftNames: (table, kind) => nftables.names(table, kind),
      conntrack: () => [],
      ipvsServices: () => ipvs.services(),
      ipvsDests: (key) => ipvs.dests(key),
      ipvsConnections: () => ipvs.connections(),
    };
  }

  #links(): NetlinkParts<IpAddress>['links'] {
    return {
      addLink: (name) => this.addDevice(name),
      deleteLink: (name) => void this.#devices.splice(this.#indexOf(name), 1),
      addAddress: (dev, addr, prefixLen) => {
        this.#indexOf(dev);
        this.addAddress(dev, addr, prefixLen);
      },
      deleteAddress: (dev, addr) => {
        const at = this.#addresses.findIndex((a) => a.dev === dev && a.addr === addr);
        if (at < 0) throw new NetlinkError('EADDRNOTAVAIL', dev);
        this.#addresses.splice(at, 1);
      },
    };
  }

  #indexOf(device: string): number {
    const at = this.#devices.indexOf(device);
    if (at < 0) throw new NetlinkError('ENODEV', device);
    return at;
  }
}
