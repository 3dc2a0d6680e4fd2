// The emulated kernel as the what-if engine asks it: the structures that run, of IPv4.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { NO_ROUTE, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from '../ip/fib.ts';
import type { Ipvs } from '../ipvs/ipvs.ts';
import type { Kernel } from '../kernel.ts';
import { ipvsBalancer } from './ipvs.ts';
import type { Routed, WhatIfNet } from './net.ts';

type Asked = Pick<Kernel, 'fib' | 'devices' | 'addresses' | 'iptables' | 'ipset' | 'nftables' | 'clock' | 'nowUs'>;

/** An address of the other family is on no device and has no route. */
export function kernelNet(kernel: Asked, ipvs: Ipvs | null): WhatIfNet {
  kernel.nowUs = kernel.clock.nowUs(); // what has run out since the last packet has run out
  const { fib, devices, addresses, iptables, ipset, nftables } = kernel;
  const indexOf = (device: string): number => devices.byName(device)?.ifindex ?? 0;
  return {
    iptables,
    ipset,
    nftables,
    balancer: ipvs && ipvsBalancer(ipvs),
    isLocal: (addr) => typeof addr === 'number' && fib.isLocal(addr),
    isOn: (device, addr) => typeof addr === 'number' && addresses.isOn(indexOf(device), addr),
    sourceFor: (device, daddr) => (indexOf(device) > 0 ? addresses.select(indexOf(device), Number(daddr)) : 0),
    route: (daddr) => route(kernel, daddr),
  };
}

function route({ fib, devices }: Asked, daddr: IpAddress): Routed {
  const id = typeof daddr === 'number' ? fib.lookup(daddr) : NO_ROUTE;
  if (id === NO_ROUTE) return { kind: 'unreachable', text: '', device: '', nexthop: daddr };
  const { type, oif, gateway, network, prefixLen } = fib.routeOf(id);
  const device = devices.byIndex(oif)?.name ?? '';
  const prefix = prefixLen === 0 ? 'default' : `${formatIPv4(network)}${prefixLen === 32 ? '' : `/${prefixLen}`}`;
  const kinds: Partial<Record<number, string>> = {
    [RTN_LOCAL]: 'local ',
    [RTN_BROADCAST]: 'broadcast ',
    [RTN_BLACKHOLE]: 'blackhole ',
  };
  const via = gateway === 0 ? '' : ` via ${formatIPv4(gateway)}`;
  const scope = type === RTN_LOCAL ? ' table local' : type === RTN_UNICAST && gateway === 0 ? ' scope link' : '';
  const text = `${kinds[type] ?? ''}${prefix}${via}${device ? ` dev ${device}` : ''}${scope}`;
  const kind = type === RTN_LOCAL ? 'local' : type === RTN_UNICAST ? 'forward' : 'unreachable';
  return { kind, text, device, nexthop: gateway === 0 ? daddr : gateway };
}
