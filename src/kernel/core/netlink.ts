// Netlink over the Kernel: what a commit's ops do. Runs between breaths, in the kernel's thread.

import type { Kernel } from '../kernel.ts';
import {
  type IpSetOp,
  type IpvsControl,
  type IpvsOp,
  type LinkOp,
  type Netlink,
  NetlinkError,
  type NetlinkOp,
} from '../netlink.ts';
import type { NetDevice } from './device.ts';

/** `ipvs` may be null: then its ops fail with ENOPROTOOPT, as without the kernel module. */
export function createNetlink(kernel: Kernel, ipvs: IpvsControl | null): Netlink {
  return {
    commit(ops) {
      kernel.nowUs = kernel.clock.nowUs();
      ops.forEach((op, index) => {
        try {
          apply(kernel, ipvs, op);
        } catch (error) {
          if (error instanceof NetlinkError)
            throw new NetlinkError(error.code, `${op.op}: ${error.message}`, index, { cause: error });
          throw error;
        }
      });
    },
    links: () => kernel.devices.list().map(({ ifindex, name, kind, up }) => ({ ifindex, name, kind, up })),
    addresses(dev) {
      const device = dev === undefined ? undefined : deviceOf(kernel, dev);
      return kernel.addresses.list(device).map((e) => ({ dev: e.device.name, addr: e.addr, prefixLen: e.prefixLen }));
    },
    chains: (table) => kernel.iptables.chains(table),
    iptablesSave: (table, counters) => kernel.iptables.save(table, counters),
    ipsets: () => kernel.ipset.list().map(({ name, set }) => ({ name, type: set.type, entries: set.entries() })),
    ipsetSave: () => kernel.ipset.save(),
    nftList() {
      kernel.nowUs = kernel.clock.nowUs();
      return kernel.nftables.list();
    },
    nftNames: (table, kind) => kernel.nftables.names(table, kind),
    conntrack(filter) {
      kernel.nowUs = kernel.clock.nowUs();
      return kernel.conntrack.list(filter);
    },
    ipvsServices: () => ipvs?.services() ?? [],
    ipvsDests: (key) => ipvs?.dests(key) ?? [],
  };
}

function apply(kernel: Kernel, ipvs: IpvsControl | null, op: NetlinkOp): void {
  switch (op.op) {
    case 'link-add':
    case 'link-del':
    case 'addr-add':
    case 'addr-del':
      applyLink(kernel, op);
      return;
    case 'iptables-restore':
      kernel.iptables.restore(op);
      return;
    case 'nft':
      kernel.nftables.apply(op);
      return;
    case 'ipset-create':
    case 'ipset-add':
    case 'ipset-del':
    case 'ipset-flush':
    case 'ipset-destroy':
    case 'ipset-swap':
    case 'ipset-restore':
      applyIpSet(kernel, op);
      return;
    case 'conntrack-delete':
      kernel.conntrack.deleteWhere(op.filter);
      return;
    case 'conntrack-timeouts':
      Object.assign(kernel.conntrack.timeouts, op.timeouts);
      return;
    default:
      if (ipvs === null) throw new NetlinkError('ENOPROTOOPT', 'ip_vs is not there');
      applyIpvs(ipvs, op);
      return;
  }
}

function applyLink(kernel: Kernel, op: LinkOp): void {
  switch (op.op) {
    case 'link-add':
      if (kernel.devices.byName(op.name)) throw new NetlinkError('EEXIST', op.name);
      kernel.addDevice(op.name, null, { kind: op.kind });
      return;
    case 'link-del':
      kernel.removeDevice(deviceOf(kernel, op.name));
      return;
    case 'addr-add': {
      const device = deviceOf(kernel, op.dev);
      if (kernel.addresses.isOn(device.ifindex, op.addr)) throw new NetlinkError('EEXIST', op.dev);
      kernel.addresses.add(device, op.addr, op.prefixLen);
      return;
    }
    case 'addr-del':
      if (!kernel.addresses.remove(deviceOf(kernel, op.dev), op.addr)) throw new NetlinkError('EADDRNOTAVAIL', op.dev);
  }
}

function applyIpSet(kernel: Kernel, op: IpSetOp): void {
  const { ipset } = kernel;
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

function applyIpvs(ipvs: IpvsControl, op: IpvsOp): void {
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
      return;
  }
}

function deviceOf(kernel: Kernel, name: string): NetDevice {
  const device = kernel.devices.byName(name);
  if (!device) throw new NetlinkError('ENODEV', name);
  return device;
}
