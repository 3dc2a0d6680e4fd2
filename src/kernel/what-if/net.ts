// What the what-if engine asks of a kernel: its routes, its rules, its balancer. The emulated kernel answers it for IPv4 (kernel-net.ts),
// the rules held for IPv6 for the other family (ip6/net.ts). Nothing is changed by asking.
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import type { Balancer } from './balancer.ts';
import type { IptablesNet } from './iptables.ts';
import type { NftablesNet } from './nftables.ts';

export interface Routed {
  readonly kind: 'local' | 'forward' | 'unreachable';
  /** As `ip route` prints it. */
  readonly text: string;
  readonly device: string;
  readonly nexthop: IpAddress;
}

export interface WhatIfNet extends IptablesNet, NftablesNet {
  route(daddr: IpAddress): Routed;
  /** Whether the device of that name has the address. */
  isOn(device: string, addr: IpAddress): boolean;
  /** The source that masquerading gives what leaves through `device`. */
  sourceFor(device: string, daddr: IpAddress): IpAddress;
  readonly balancer: Balancer | null;
}
