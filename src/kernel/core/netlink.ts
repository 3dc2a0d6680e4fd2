// Netlink: what a commit's ops do, whatever the address family, and Netlink over the Kernel. Runs between breaths, in the
// kernel's thread.

import type { Kernel } from '../kernel.ts';
import type { ConntrackFilter } from '../netfilter/conntrack/entry.ts';
import type { Timeouts } from '../netfilter/conntrack/timeouts.ts';
import {
  type IpSetEntry,
  type IpSetOp,
  type IpSetType,
  type IptablesRestoreOp,
  type IpvsControl,
  type IpvsOp,
  type LinkOp,
  type Netlink,
  NetlinkError,
  type NetlinkOp,
  type NftOp,
} from '../netlink.ts';
import type { NetDevice } from './device.ts';

/** The parts of a kernel that ops are for. All of them throw NetlinkError. */
export interface NetlinkParts<A> {
  readonly links: {
    addLink(name: string, kind: 'dummy'): void;
    deleteLink(name: string): void;
    addAddress(dev: string, addr: A, prefixLen: number): void;
    deleteAddress(dev: string, addr: A): void;
  };
  readonly iptables: { restore(op: IptablesRestoreOp<A>): void };
  readonly nftables: { apply(op: NftOp<A>): void };
  readonly ipset: {
    create(name: string, options: { readonly type: IpSetType }): void;
    destroy(name: string): void;
    swap(name: string, other: string): void;
    replace(name: string, entries: readonly IpSetEntry<A>[]): void;
    get(name: string): {
      readonly set: { add(entry: IpSetEntry<A>): void; delete(entry: IpSetEntry<A>): void; flush(): void };
    };
  };
  readonly conntrack: { deleteWhere(filter: ConntrackFilter): unknown; readonly timeouts: Partial<Timeouts> };
  /** Null: its ops fail with ENOPROTOOPT, as without the kernel module. */
  readonly ipvs: IpvsControl<A> | null;
}

/** As Netlink.commit. */
export function applyOps<A>(parts: NetlinkParts<A>, ops: readonly NetlinkOp<A>[]): void {
  ops.forEach((op, index) => {
    try {
      apply(parts, op);
    } catch (error) {
      if (error instanceof NetlinkError)
        throw new NetlinkError(error.code, `${op.op}: ${error.what}`, index, { cause: error });
      throw error;
    }
  });
}

/** `ipvs` may be null: then its ops fail with ENOPROTOOPT, as without the kernel module. */
export function createNetlink(kernel: Kernel, ipvs: IpvsControl | null): Netlink {
  const { iptables, nftables, ipset, conntrack } = kernel;
  const parts: NetlinkParts<number> = { links: linksOf(kernel), iptables, nftables, ipset, conntrack, ipvs };
  return {
    commit(ops) {
      kernel.nowUs = kernel.clock.nowUs();
      applyOps(parts, ops);
    },
    links: () => kernel.devices.list().map(({ ifindex, name, kind, up }) => ({ ifindex, name, kind, up })),
    addresses(dev) {
      const device = dev === undefined ? undefined : deviceOf(kernel, dev);
      return kernel.addresses.list(device).map((e) => ({ dev: e.device.name, addr: e.addr, prefixLen: e.prefixLen }));
    },
    chains: (table) => iptables.chains(table),
    iptablesSave: (table, counters) => iptables.save(table, counters),
    ipsets: () => ipset.list().map(({ name, set }) => ({ name, type: set.type, entries: set.entries() })),
    ipsetSave: () => ipset.save(),
    nftList() {
      kernel.nowUs = kernel.clock.nowUs();
      return nftables.list();
    },
    nftNames: (table, kind) => nftables.names(table, kind),
    conntrack(filter) {
      kernel.nowUs = kernel.clock.nowUs();
      return conntrack.list(filter);
    },
    ipvsServices: () => ipvs?.services() ?? [],
    ipvsDests: (key) => ipvs?.dests(key) ?? [],
    ipvsConnections: () => ipvs?.connections() ?? [],
  };
}

function linksOf(kernel: Kernel): NetlinkParts<number>['links'] {
  const { devices, addresses } = kernel;
  return {
    addLink(name, kind) {
      if (devices.byName(name)) throw new NetlinkError('EEXIST', name);
      kernel.addDevice(name, null, { kind });
    },
    deleteLink: (name) => kernel.removeDevice(deviceOf(kernel, name)),
    addAddress(dev, addr, prefixLen) {
      const device = deviceOf(kernel, dev);
      if (addresses.isOn(device.ifindex, addr)) throw new NetlinkError('EEXIST', dev);
      addresses.add(device, addr, prefixLen);
    },
    deleteAddress(dev, addr) {
      if (!addresses.remove(deviceOf(kernel, dev), addr)) throw new NetlinkError('EADDRNOTAVAIL', dev);
    },
  };
}

function apply<A>(parts: NetlinkParts<A>, op: NetlinkOp<A>): void {
  switch (op.op) {
    case 'link-add':
    case 'link-del':
    case 'addr-add':
    case 'addr-del':
      applyLink(parts.links, op);
      return;
    case 'iptables-restore':
      parts.iptables.restore(op);
      return;
    case 'nft':
      parts.nftables.apply(op);
      return;
    case 'ipset-create':
    case 'ipset-add':
    case 'ipset-del':
    case 'ipset-flush':
    case 'ipset-destroy':
    case 'ipset-swap':
    case 'ipset-restore':
      applyIpSet(parts.ipset, op);
      return;
    case 'conntrack-delete':
      parts.conntrack.deleteWhere(op.filter);
      return;
    case 'conntrack-timeouts':
      Object.assign(parts.conntrack.timeouts, op.timeouts);
      return;
    default:
      if (parts.ipvs === null) throw new NetlinkError('ENOPROTOOPT', 'ip_vs is not there');
      applyIpvs(parts.ipvs, op);
  }
}

function applyLink<A>(links: NetlinkParts<A>['links'], op: LinkOp<A>): void {
  switch (op.op) {
    case 'link-add':
      links.addLink(op.name, op.kind);
      return;
    case 'link-del':
      links.deleteLink(op.name);
      return;
    case 'addr-add':
      links.addAddress(op.dev, op.addr, op.prefixLen);
      return;
    case 'addr-del':
      links.deleteAddress(op.dev, op.addr);
  }
}

function applyIpSet<A>(ipset: NetlinkParts<A>['ipset'], op: IpSetOp<A>): void {
  switch (op.op) {
    case 'ipset-create':
      ipset.create(op.name, op);
      return;
    case 'ipset-destroy':
      ipset.destroy(op.name);
      return;
    case 'ipset-swap':
      ipset.swap(op.name, op.with);
      return;
    case 'ipset-flush':
      ipset.get(op.name).set.flush();
      return;
    case 'ipset-add':
      ipset.get(op.name).set.add(op.entry);
      return;
    case 'ipset-del':
      ipset.get(op.name).set.delete(op.entry);
      return;
    case 'ipset-restore':
      ipset.replace(op.name, op.entries);
  }
}

function applyIpvs<A>(ipvs: IpvsControl<A>, op: IpvsOp<A>): void {
  switch (op.op) {
    case 'ipvs-add-service':
      ipvs.addService(op.service);
      return;
    case 'ipvs-update-service':
      ipvs.updateService(op.service);
      return;
    case 'ipvs-del-service':
      ipvs.deleteService(op.service);
      return;
    case 'ipvs-add-dest':
      ipvs.addDest(op.service, op.dest);
      return;
    case 'ipvs-update-dest':
      ipvs.updateDest(op.service, op.dest);
      return;
    case 'ipvs-del-dest':
      ipvs.deleteDest(op.service, op.dest);
      return;
    case 'ipvs-flush':
      ipvs.flush();
      return;
    case 'ipvs-sysctl':
      ipvs.setSysctl(op.name, op.value);
      return;
    case 'ipvs-timeouts':
      ipvs.setTimeouts(op.tcpS, op.tcpFinS, op.udpS);
  }
}

function deviceOf(kernel: Kernel, name: string): NetDevice {
  const device = kernel.devices.byName(name);
  if (!device) throw new NetlinkError('ENODEV', name);
  return device;
}
