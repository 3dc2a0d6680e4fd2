// Which addresses of a Node take NodePorts, after NodePortAddresses of pkg/proxy/util (v1.31): ranges are asked a family at a
// time, and a family without any has the mode's default. `primary` stands for the Node's own InternalIP.
import {
  familyOf,
  type IpAddress,
  type IpFamily,
  isInPrefix,
  isLoopback,
  widthOf,
} from '../tcpip-ts/wire/ip-address.ts';
import type { Cidr, KubeProxyConfig } from './config.ts';
import type { Netlink } from './either-family.ts';

const LOCALHOST = 0x7f000001;

/** What is a host's own, in a match of a rule. */
export const LOOPBACK = { 4: { addr: 0x7f000000, prefixLen: 8 }, 6: { addr: 1n, prefixLen: 128 } } as const;

/** What kube-proxy takes for the Node's address of the family, after detectNodeIPs() of cmd/kube-proxy/app/server.go. */
export function nodeIPOf(
  { bindAddress }: KubeProxyConfig,
  family: IpFamily,
  internalIP: IpAddress | undefined,
): IpAddress | undefined {
  return bindAddress !== undefined && familyOf(bindAddress) === family ? bindAddress : internalIP;
}

/** Ranges of the family; empty: the mode's default. */
export function nodePortRanges(
  { nodePortAddresses, nodePortPrimary }: KubeProxyConfig,
  family: IpFamily,
  nodeIP: IpAddress | undefined,
): readonly Cidr[] {
  const ranges = nodePortAddresses.filter(([addr]) => familyOf(addr) === family);
  return nodePortPrimary && nodeIP !== undefined ? [[nodeIP, widthOf(family)]] : ranges;
}

/** Whether one of them is all there is. */
export function isEverything(ranges: readonly Cidr[]): boolean {
  return ranges.some(([, prefixLen]) => prefixLen === 0);
}

/** Whether the IPv4 ranges, or the default, take in any of 127.0.0.0/8 (ContainsIPv4Loopback()). */
export function containsLoopback({ nodePortAddresses, nodePortPrimary }: KubeProxyConfig): boolean {
  const ranges = nodePortAddresses.filter(([addr]) => familyOf(addr) === 4);
  if (ranges.length === 0) return !nodePortPrimary;
  return ranges.some((range) => isLoopback(range[0]) || isInPrefix(range, LOCALHOST));
}

/** The Node's addresses in the ranges; what an IPVS mode has bound for Services is not the Node's. */
export function addressesIn(ranges: readonly Cidr[], netlink: Netlink): IpAddress[] {
  const own = netlink.addresses().filter(({ dev }) => dev !== 'kube-ipvs0');
  const all = new Set(own.map(({ addr }) => addr));
  return [...all].filter((addr) => ranges.some((range) => isInPrefix(range, addr)));
}
