// What lies beyond a Node's eth0: the Nodes' network and its gateway, which knows the way back to the Pods and no way on. It is a
// host of its own, on the same emulated kernel, so that a Node has a default route, as Nodes do: what is for nobody here passes the
// rules on its way out, and whoever sent it hears of "Destination Net Unreachable" at once. No packet leaves this machine.
import { Kernel, type KernelEnv } from '../kernel/kernel.ts';
import { linkPair } from '../tcpip-ts/link-pair.ts';
import { parseCIDR } from '../tcpip-ts/wire/address.ts';
import { type IpAddress, networkOf } from '../tcpip-ts/wire/ip-address.ts';

/** Of the Nodes' network. */
export const NODE_PREFIX_LEN = { 4: 24, 6: 64 } as const;
const NODE_MAC = 0x02_00_00_00_00_01;
const GATEWAY_MAC = 0x02_00_00_00_00_02;
/** It tracks what passes, as any kernel here, and nothing does. */
const CONNTRACK_MAX = 64;

export interface UplinkOptions {
  /** The Node's address. */
  readonly address: number;
  readonly podCIDR: string;
}

/** Gives the Node's kernel its eth0 and default route. Returns what takes the gateway down. */
export function connectUplink(node: Kernel, env: KernelEnv, { address, podCIDR }: UplinkOptions): () => void {
  const gateway = gatewayOf(address);
  const [near, far] = linkPair();
  const eth0 = node.addDevice('eth0', near, { mac: NODE_MAC });
  node.addresses.add(eth0, address, NODE_PREFIX_LEN[4]);
  node.fib.add({ network: 0, prefixLen: 0, oif: eth0.ifindex, gateway });

  const host = new Kernel({ ...env, hostname: 'gateway', conntrackMax: CONNTRACK_MAX, limitsIcmp: false });
  const device = host.addDevice('eth0', far, { mac: GATEWAY_MAC });
  host.addresses.add(device, gateway, NODE_PREFIX_LEN[4]);
  const [network, prefixLen] = parseCIDR(podCIDR)!;
  host.fib.add({ network, prefixLen, oif: device.ifindex, gateway: address });
  return () => host.close();
}

/** Of the network of a Node's address: its first address, or the last where the Node has the first (IPv6: the 254th). */
export function gatewayOf<A extends IpAddress>(address: A): A;
export function gatewayOf(address: IpAddress): IpAddress {
  if (typeof address === 'number') {
    const network = networkOf(address, NODE_PREFIX_LEN[4]);
    return address === network + 1 ? network + 254 : network + 1;
  }
  const network = networkOf(address, NODE_PREFIX_LEN[6]);
  return address === network + 1n ? network + 254n : network + 1n;
}
