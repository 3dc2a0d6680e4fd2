// One Node in process, on a virtual clock, programmed from files alone: a Kernel with the Node's addresses and routes, and the
// proxier of one mode, synced once. No packet ever passes; it is there to be asked (trace, rules).
//
//   eth0   the Node's addresses, a /24 each, and the default route
//   cni0   the Node's Pods: its podCIDR, and every endpoint and Pod that the files say is on it
//
// A source that is neither is somebody beyond eth0.
import type { Node } from '../../api/core-v1.ts';
import { createNetlink } from '../../kernel/core/netlink.ts';
import { Ipvs } from '../../kernel/ipvs/ipvs.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { Netlink } from '../../kernel/netlink.ts';
import type { TraceAnswer, TraceQuestion } from '../../kernel/what-if/types.ts';
import { explain } from '../../kernel/what-if/what-if.ts';
import { Breath } from '../../lib/breath.ts';
import { VirtualClock } from '../../lib/clock.ts';
import { SeededRng } from '../../lib/rng.ts';
import type { KubeProxyConfig, ProxyMode } from '../../proxy/config.ts';
import { type Endpoint, EndpointSliceCache } from '../../proxy/endpoints.ts';
import { localDetectorOf } from '../../proxy/local-detector.ts';
import { createProxier } from '../../proxy/proxiers.ts';
import { type ServicePort, servicePortsOf } from '../../proxy/service-port.ts';
import { SkbPool } from '../../tcpip-ts/skb.ts';
import { parseCIDR, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { RulesFormat } from '../node-handle.ts';
import { rulesOf } from '../rules-text.ts';
import { configOf, nodeOf, type OfflineObjects } from './objects.ts';

const ZONE_LABEL = 'topology.kubernetes.io/zone';
const NODE_PREFIX = 24;
const DEFAULT_NODE_IP = '192.168.49.2';

export class OfflineNode {
  readonly config: KubeProxyConfig;
  readonly #name: string;
  readonly #kernel: Kernel;
  readonly #ipvs: Ipvs;
  readonly #netlink: Netlink;

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
    this.#netlink = createNetlink(this.#kernel, this.#ipvs);
    const addresses = addressesOf(node);
    this.#interfaces(addresses, node, objects);
    this.#program(addresses[0]!, node, objects, clock);
  }

  /** Throws TypeError when the question makes no sense. */
  explain(question: TraceQuestion): TraceAnswer {
    return explain({ net: this.#kernel, ipvs: this.#ipvs, nodeName: this.#name }, question);
  }

  rules(format: RulesFormat): string {
    return rulesOf(this.#kernel, this.#ipvs, format);
  }

  close(): void {
    this.#ipvs.close();
    this.#kernel.close();
  }

  #interfaces(addresses: readonly number[], node: Node, { pods, slices }: OfflineObjects): void {
    const { addresses: table, fib } = this.#kernel;
    const eth0 = this.#kernel.addDevice('eth0', null, {});
    for (const addr of addresses) table.add(eth0, addr, NODE_PREFIX);
    const network = (addresses[0]! & 0xffffff00) >>> 0;
    const gateway = addresses[0] === network + 1 ? network + 254 : network + 1;
    fib.add({ network: 0, prefixLen: 0, oif: eth0.ifindex, gateway });

    const cni0 = this.#kernel.addDevice(podDevice(this.config), null, {});
    const podCIDR = podCIDROf(node);
    if (podCIDR) {
      table.add(cni0, podCIDR[0] + 1, 32);
      fib.add({ network: podCIDR[0], prefixLen: podCIDR[1], oif: cni0.ifindex });
    }
    const endpoints = slices.flatMap((s) => s.endpoints ?? []).filter((e) => e.nodeName === this.#name);
    const own = pods.filter((p) => p.spec.nodeName === this.#name).map((p) => p.status?.podIP ?? '');
    for (const text of new Set([...endpoints.map((e) => e.addresses[0] ?? ''), ...own])) {
      const addr = parseIPv4(text);
      if (addr !== undefined && !fib.isLocal(addr)) fib.add({ network: addr, prefixLen: 32, oif: cni0.ifindex });
    }
  }

  #program(nodeIP: number, node: Node, objects: OfflineObjects, clock: VirtualClock): void {
    const ports = new Map<string, ServicePort>();
    const endpoints = new Map<string, readonly Endpoint[]>();
    const cache = new EndpointSliceCache(this.#name);
    for (const slice of objects.slices) cache.update(slice, false);
    for (const service of objects.services) {
      for (const [key, port] of servicePortsOf(service)) ports.set(key, port);
      const name = `${service.metadata.namespace}/${service.metadata.name}`;
      for (const [key, value] of cache.endpointsOf(name)) endpoints.set(key, value);
    }
    const proxier = createProxier({ netlink: this.#netlink, clock, nodeName: this.#name, config: this.config });
    proxier.prepare();
    proxier.sync({
      ports,
      endpoints,
      changed: ports.keys(),
      zone: node.metadata.labels?.[ZONE_LABEL] ?? '',
      nodeIP,
      local: localDetectorOf(this.config, podCIDROf(node)),
      serviceCIDRs: objects.serviceCIDRs.flatMap((text) => {
        const cidr = parseCIDR(text);
        return cidr ? [cidr] : [];
      }),
    });
    proxier.close();
  }
}

/** Internal addresses first; what is not IPv4 is left out. */
function addressesOf(node: Node): number[] {
  const given = node.status?.addresses ?? [];
  const ordered = [...given.filter((a) => a.type === 'InternalIP'), ...given.filter((a) => a.type !== 'InternalIP')];
  const own = [...new Set(ordered.flatMap(({ address }) => parseIPv4(address) ?? []))].filter((a) => a >>> 24 !== 127);
  return own.length > 0 ? own : [parseIPv4(DEFAULT_NODE_IP)!];
}

function podCIDROf(node: Node): [number, number] | undefined {
  const cidrs = node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : []);
  return cidrs.map(parseCIDR).find((cidr) => cidr !== undefined);
}

/** Pods' traffic must come in where the configuration says it does. */
function podDevice({ detectLocalMode, bridgeInterface, interfaceNamePrefix }: KubeProxyConfig): string {
  if (detectLocalMode === 'BridgeInterface' && bridgeInterface) return bridgeInterface;
  return detectLocalMode === 'InterfaceNamePrefix' && interfaceNamePrefix ? `${interfaceNamePrefix}0` : 'cni0';
}
