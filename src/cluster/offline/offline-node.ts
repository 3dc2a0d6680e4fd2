// One Node in process, on a virtual clock, programmed from files alone: the Node's addresses and routes, and the proxier of one
// mode, synced once a family. No packet ever passes; it is there to be asked (trace, rules). IPv4 is the emulated kernel's,
// of IPv6 the rules are held (kernel/ip6).
//
//   eth0   the Node's addresses, a /24 (IPv6: /64) each, and the default route
//   cni0   the Node's Pods: its podCIDRs, and every endpoint and Pod that the files say is on it
//
// A source that is neither is somebody beyond eth0.
import type { Node } from '../../api/core-v1.ts';
import { createNetlink } from '../../kernel/core/netlink.ts';
import { Net6 } from '../../kernel/ip6/net.ts';
import { Ipvs } from '../../kernel/ipvs/ipvs.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { Netlink } from '../../kernel/netlink.ts';
import { kernelNet } from '../../kernel/what-if/kernel-net.ts';
import type { TraceAnswer, TraceQuestion } from '../../kernel/what-if/types.ts';
import { explain } from '../../kernel/what-if/what-if.ts';
import { Breath } from '../../lib/breath.ts';
import { VirtualClock } from '../../lib/clock.ts';
import { SeededRng } from '../../lib/rng.ts';
import type { KubeProxyConfig, ProxyMode } from '../../proxy/config.ts';
import { type Endpoint, EndpointSliceCache } from '../../proxy/endpoints.ts';
import { localDetectorOf } from '../../proxy/local-detector.ts';
import { nodeIPOf } from '../../proxy/node-ports.ts';
import { createProxier } from '../../proxy/proxiers.ts';
import { type ServicePort, servicePortsOf } from '../../proxy/service-port.ts';
import { SkbPool } from '../../tcpip-ts/skb.ts';
import {
  familyOf,
  type IpAddress,
  type IpFamily,
  isLinkLocal,
  isLoopback,
  parseIpAddress,
  parseIpPrefixes,
} from '../../tcpip-ts/wire/ip-address.ts';
import type { RulesFormat } from '../node-handle.ts';
import { rulesOf } from '../rules-text.ts';
import { gatewayOf, NODE_PREFIX_LEN } from '../uplink.ts';
import { configOf, DEFAULT_NODE_IP, nodeOf, type OfflineObjects } from './objects.ts';

const ZONE_LABEL = 'topology.kubernetes.io/zone';

export class OfflineNode {
  readonly config: KubeProxyConfig;
  readonly #name: string;
  readonly #kernel: Kernel;
  readonly #ipvs: Ipvs;
  readonly #net6: Net6;
  /** Whether any object is of IPv6. */
  readonly #usesIPv6: boolean;

  /** Throws TypeError on a configuration that cannot be, NetlinkError when the kernel refuses the rules. */
  constructor(objects: OfflineObjects, mode?: ProxyMode) {
    const clock = new VirtualClock();
    const node = nodeOf(objects);
    this.config = configOf(objects, mode);
    this.#name = node.metadata.name!;
    const breath = new Breath((fn) => clock.after(0, fn));
    const pool = new SkbPool(1);
    this.#kernel = new Kernel({ clock, rng: new SeededRng(1), pool, breath, hostname: this.#name, conntrackMax: 64 });
    this.#ipvs = new Ipvs(this.#kernel);
    this.#net6 = new Net6(clock);
    const addresses = addressesOf(node, 4);
    const addresses6 = addressesOf(node, 6);
    this.#interfaces(addresses, node, objects);
    this.#interfaces6(addresses6, node, objects);
    this.#program(4, addresses[0]!, node, objects, createNetlink(this.#kernel, this.#ipvs), clock);
    const services6 = objects.services.some((service) => servicePortsOf(service, 6).size > 0);
    this.#usesIPv6 = services6 || addressesOf(node, 6, []).length > 0;
    this.#program(6, addresses6[0]!, node, objects, this.#net6.netlink(), clock);
  }

  /** Throws TypeError when the question makes no sense. */
  explain(question: TraceQuestion): TraceAnswer {
    const is6 = question.to.includes(':');
    const net = is6 ? this.#net6 : kernelNet(this.#kernel, this.#ipvs);
    return explain({ net, nodeName: this.#name }, question);
  }

  /** Of both families when there is anything of IPv6. */
  rules(format: RulesFormat): string {
    const rules = rulesOf(this.#kernel, this.#ipvs, format);
    if (!this.#usesIPv6) return rules;
    const { iptables, ipset, nftables, balancer } = this.#net6;
    switch (format) {
      case 'iptables-save':
        return rules + iptables.save();
      case 'ipset-save':
        return rules + ipset.save();
      case 'nft':
        return rules + nftables.list();
      case 'ipvsadm-save':
        return rules + balancer.save();
    }
  }

  close(): void {
    this.#ipvs.close();
    this.#net6.balancer.close();
    this.#kernel.close();
  }

  #interfaces(addresses: readonly number[], node: Node, objects: OfflineObjects): void {
    const { addresses: table, fib } = this.#kernel;
    const eth0 = this.#kernel.addDevice('eth0', null, {});
    for (const addr of addresses) table.add(eth0, addr, NODE_PREFIX_LEN[4]);
    fib.add({ network: 0, prefixLen: 0, oif: eth0.ifindex, gateway: gatewayOf(addresses[0]!) });

    const cni0 = this.#kernel.addDevice(podDevice(this.config), null, {});
    const podCIDRs = podCIDRsOf(node);
    const pods = this.#ownPods(objects);
    for (const [network, prefixLen] of podCIDRs) {
      if (typeof network === 'bigint') continue;
      const gateway = network + 1;
      // Files by hand may have given it to a Pod, or name a range twice.
      if (!pods.includes(gateway) && !fib.isLocal(gateway)) table.add(cni0, gateway, 32);
      fib.add({ network, prefixLen, oif: cni0.ifindex });
    }
    for (const addr of pods) {
      if (typeof addr === 'number' && !fib.isLocal(addr)) fib.add({ network: addr, prefixLen: 32, oif: cni0.ifindex });
    }
  }

  #interfaces6(addresses: readonly bigint[], node: Node, objects: OfflineObjects): void {
    const net = this.#net6;
    net.addDevice('eth0');
    for (const addr of addresses) net.addAddress('eth0', addr, NODE_PREFIX_LEN[6]);
    net.addRoute(0n, 0, 'eth0', gatewayOf(addresses[0]!));
    const cni0 = podDevice(this.config);
    net.addDevice(cni0);
    const pods = this.#ownPods(objects);
    for (const [network, prefixLen] of podCIDRsOf(node)) {
      if (typeof network === 'number') continue;
      const gateway = network + 1n;
      if (!pods.includes(gateway) && !net.isLocal(gateway)) net.addAddress(cni0, gateway, 128);
      net.addRoute(network, prefixLen, cni0);
    }
    for (const addr of pods) if (typeof addr === 'bigint' && !net.isLocal(addr)) net.addRoute(addr, 128, cni0);
  }

  /** Addresses of endpoints and Pods that are on this Node. */
  #ownPods({ pods, slices }: OfflineObjects): IpAddress[] {
    const endpoints = slices.flatMap((s) => s.endpoints ?? []).filter((e) => e.nodeName === this.#name);
    const own = pods.filter((p) => p.spec.nodeName === this.#name);
    const texts = [
      ...endpoints.map((e) => e.addresses[0] ?? ''),
      ...own.flatMap(({ status }) => [status?.podIP ?? '', ...(status?.podIPs ?? []).map(({ ip }) => ip)]),
    ];
    return [...new Set(texts)].map(parseIpAddress).filter((addr) => addr !== undefined);
  }

  #program(
    family: IpFamily,
    nodeIP: IpAddress,
    node: Node,
    objects: OfflineObjects,
    netlink: Netlink<IpAddress>,
    clock: VirtualClock,
  ): void {
    const ports = new Map<string, ServicePort>();
    const endpoints = new Map<string, readonly Endpoint[]>();
    const cache = new EndpointSliceCache(this.#name, family);
    for (const slice of objects.slices) cache.update(slice, false);
    for (const service of objects.services) {
      for (const [key, port] of servicePortsOf(service, family)) ports.set(key, port);
      const name = `${service.metadata.namespace}/${service.metadata.name}`;
      for (const [key, value] of cache.endpointsOf(name)) endpoints.set(key, value);
    }
    const proxier = createProxier({ netlink, clock, nodeName: this.#name, family, config: this.config });
    proxier.prepare();
    proxier.sync({
      ports,
      endpoints,
      changed: ports.keys(),
      zone: node.metadata.labels?.[ZONE_LABEL] ?? '',
      nodeIP: nodeIPOf(this.config, family, nodeIP),
      local: localDetectorOf(this.config, podCIDRsOf(node), family),
      serviceCIDRs: parseIpPrefixes(objects.serviceCIDRs).filter(([addr]) => familyOf(addr) === family),
    });
    proxier.close();
  }
}

/** Internal addresses first; `fallback` when it has none of the family. */
function addressesOf(node: Node, family: 4, fallback?: readonly string[]): number[];
function addressesOf(node: Node, family: 6, fallback?: readonly string[]): bigint[];
function addressesOf(
  node: Node,
  family: IpFamily,
  fallback: readonly string[] = [DEFAULT_NODE_IP[family]],
): IpAddress[] {
  const given = node.status?.addresses ?? [];
  const ordered = [...given.filter((a) => a.type === 'InternalIP'), ...given.filter((a) => a.type !== 'InternalIP')];
  const parse = (texts: readonly string[]): IpAddress[] =>
    [...new Set(texts.map(parseIpAddress))].filter((a) => a !== undefined && familyOf(a) === family) as IpAddress[];
  const own = parse(ordered.map(({ address }) => address)).filter((addr) => !isLoopback(addr) && !isLinkLocal(addr));
  return own.length > 0 ? own : parse(fallback);
}

function podCIDRsOf({ spec }: Node): ReturnType<typeof parseIpPrefixes> {
  return parseIpPrefixes(spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []));
}

/** Pods' traffic must come in where the configuration says it does. */
function podDevice({ detectLocalMode, bridgeInterface, interfaceNamePrefix }: KubeProxyConfig): string {
  if (detectLocalMode === 'BridgeInterface' && bridgeInterface) return bridgeInterface;
  return detectLocalMode === 'InterfaceNamePrefix' && interfaceNamePrefix ? `${interfaceNamePrefix}0` : 'cni0';
}
