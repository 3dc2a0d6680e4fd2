// A kube-proxy's turn over whole API objects: a Node's kernel on a bench, a proxier of any mode, Services and EndpointSlices of
// any namespace. What would happen to a packet is asked of the what-if engine; with a Lab given, packets can be sent, too.
import type { Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import type { Netlink } from '../../src/kernel/netlink.ts';
import { kernelNet } from '../../src/kernel/what-if/kernel-net.ts';
import type { TraceAnswer, TraceQuestion } from '../../src/kernel/what-if/types.ts';
import { explain } from '../../src/kernel/what-if/what-if.ts';
import { type ProxyMode, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { type Endpoint, EndpointSliceCache } from '../../src/proxy/endpoints.ts';
import { localDetectorOf } from '../../src/proxy/local-detector.ts';
import type { Proxier } from '../../src/proxy/proxier.ts';
import { createProxier } from '../../src/proxy/proxiers.ts';
import { type ServicePort, servicePortsOf } from '../../src/proxy/service-port.ts';
import { ipv4, parseCIDR } from '../../src/tcpip-ts/wire/address.ts';
import { Lab } from './kernel.ts';

export type Manifest = Service | EndpointSlice;

export interface ObjectBenchOptions {
  readonly mode: ProxyMode;
  readonly nodeName?: string;
  /** The first is the Node's own. */
  readonly nodeIPs?: readonly string[];
  readonly serviceCIDR?: string;
  /** Of the Node. */
  readonly zone?: string;
  /** A Node that has its devices and addresses, for packets to be sent to; else one without neighbours is made. */
  readonly lab?: Lab;
  /** Of KubeProxyConfiguration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export class ObjectBench {
  readonly lab: Lab;
  readonly netlink: Netlink;
  readonly proxier: Proxier;
  readonly #options: ObjectBenchOptions;
  readonly #ipvs: Ipvs;
  readonly #nodeName: string;
  readonly #nodeIP: number;
  readonly #serviceCIDR: string;
  readonly #config: ReturnType<typeof parseKubeProxyConfiguration>;
  readonly #cache: EndpointSliceCache;
  readonly #services = new Map<string, Service>();
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #ports = new Map<string, ServicePort>();
  readonly #endpoints = new Map<string, readonly Endpoint[]>();
  readonly #changed = new Set<string>();

  /** `before`: in the kernel that another one has programmed. */
  constructor(options: ObjectBenchOptions, before?: ObjectBench) {
    const {
      mode,
      nodeName = 'test-node',
      nodeIPs = ['192.168.0.2', '192.168.1.2', '192.168.99.11'],
      serviceCIDR = '172.30.0.0/16',
      config = { clusterCIDR: '10.0.0.0/8' },
    } = options;
    this.#options = options;
    this.lab = before?.lab ?? options.lab ?? new Lab();
    const { kernel } = this.lab;
    if (!before && !options.lab) {
      const eth0 = kernel.addDevice('eth0', null, {});
      for (const ip of nodeIPs) kernel.addresses.add(eth0, ipv4(ip), 24);
      kernel.fib.add({ network: 0, prefixLen: 0, oif: eth0.ifindex, gateway: (ipv4(nodeIPs[0]!) & ~255) + 1 });
    }
    this.#ipvs = before ? before.#ipvs : new Ipvs(kernel);
    this.netlink = createNetlink(kernel, this.#ipvs);
    this.#nodeName = nodeName;
    this.#nodeIP = ipv4(nodeIPs[0]!);
    this.#serviceCIDR = serviceCIDR;
    this.#config = parseKubeProxyConfiguration(config, mode);
    this.#cache = new EndpointSliceCache(nodeName);
    this.proxier = createProxier({ netlink: this.netlink, clock: this.lab.clock, nodeName, config: this.#config });
    this.proxier.prepare();
  }

  /** As if kube-proxy had been restarted: a proxier without memory, over the same kernel and with the same objects. */
  again(): ObjectBench {
    const next = new ObjectBench(this.#options, this);
    next.apply(...this.#services.values(), ...this.#slices.values());
    return next;
  }

  apply(...objects: readonly Manifest[]): void {
    for (const object of objects) {
      if (object.kind === 'Service') {
        this.#forget(this.#services, nameOf(object));
        this.#services.set(nameOf(object), object as Service);
        for (const [key, port] of servicePortsOf(object as Service)) {
          this.#ports.set(key, port);
          this.#changed.add(key);
        }
      } else {
        this.#slices.set(nameOf(object), object as EndpointSlice);
        this.#cacheSlice(object as EndpointSlice, false);
      }
    }
  }

  /** `Service ns/name` or `EndpointSlice ns/name`. */
  delete(what: string): void {
    const [kind, name] = what.split(' ') as [string, string];
    if (kind === 'Service') {
      this.#forget(this.#services, name);
      return;
    }
    const slice = this.#slices.get(name);
    if (!slice) throw new Error(`no EndpointSlice ${name}`);
    this.#slices.delete(name);
    this.#cacheSlice(slice, true);
  }

  sync(): number {
    const changed = [...this.#changed];
    this.#changed.clear();
    return this.proxier.sync({
      ports: this.#ports,
      endpoints: this.#endpoints,
      changed,
      zone: this.#options.zone ?? '',
      nodeIP: this.#nodeIP,
      local: localDetectorOf(this.#config, []),
      serviceCIDRs: [parseCIDR(this.#serviceCIDR)!],
    });
  }

  explain(question: TraceQuestion): TraceAnswer {
    return explain({ net: kernelNet(this.lab.kernel, this.#ipvs), nodeName: this.#nodeName }, question);
  }

  close(): void {
    this.proxier.close();
    this.#ipvs.close();
    this.lab.close();
  }

  #forget(services: Map<string, Service>, name: string): void {
    const old = services.get(name);
    services.delete(name);
    for (const key of old ? servicePortsOf(old).keys() : []) {
      this.#ports.delete(key);
      this.#changed.add(key);
    }
  }

  #cacheSlice(slice: EndpointSlice, deleted: boolean): void {
    const service = this.#cache.update(slice, deleted);
    if (service === undefined) return;
    const now = this.#cache.endpointsOf(service);
    for (const key of this.#endpoints.keys()) {
      if (!key.startsWith(`${service}:`) || now.has(key)) continue;
      this.#endpoints.delete(key);
      this.#changed.add(key);
    }
    for (const [key, value] of now) {
      this.#endpoints.set(key, value);
      this.#changed.add(key);
    }
  }
}

function nameOf({ metadata }: Manifest): string {
  return `${metadata.namespace}/${metadata.name}`;
}
