// Services on the bench: a Lab's kernel with IPVS and kube-proxy's proxier, fed with Services and EndpointSlices as plain
// objects. `sync()` is what a kube-proxy's turn is.

import type { Service, ServiceSpec } from '../../src/api/core-v1.ts';
import type { EndpointSlice, Endpoint as SliceEndpoint } from '../../src/api/discovery-v1.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import type { Netlink } from '../../src/kernel/netlink.ts';
import { kernelNet } from '../../src/kernel/what-if/kernel-net.ts';
import type { TraceAnswer, TraceQuestion } from '../../src/kernel/what-if/types.ts';
import { explain } from '../../src/kernel/what-if/what-if.ts';
import { type KubeProxyConfig, type ProxyMode, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { type Endpoint, EndpointSliceCache } from '../../src/proxy/endpoints.ts';
import { localDetectorOf } from '../../src/proxy/local-detector.ts';
import type { Proxier } from '../../src/proxy/proxier.ts';
import { createProxier } from '../../src/proxy/proxiers.ts';
import { type ServicePort, servicePortsOf } from '../../src/proxy/service-port.ts';
import { ipv4, parseCIDR } from '../../src/tcpip-ts/wire/address.ts';
import { Lab, NODE_IP } from './kernel.ts';

export const NODE_NAME = 'node-1';

export class ServiceBench {
  readonly lab: Lab;
  readonly ipvs: Ipvs;
  readonly netlink: Netlink;
  readonly config: KubeProxyConfig;
  readonly proxier: Proxier;
  readonly #ports = new Map<string, ServicePort>();
  readonly #endpoints = new Map<string, readonly Endpoint[]>();
  readonly #cache = new EndpointSliceCache(NODE_NAME);
  readonly #changed = new Set<string>();

  constructor(
    config: Record<string, unknown> = { clusterCIDR: '10.244.0.0/16' },
    lab = new Lab(),
    mode: ProxyMode = 'ipvs',
  ) {
    this.lab = lab;
    this.ipvs = new Ipvs(lab.kernel);
    this.netlink = createNetlink(lab.kernel, this.ipvs);
    this.config = parseKubeProxyConfiguration(config, mode);
    this.proxier = createProxier({
      netlink: this.netlink,
      clock: lab.clock,
      nodeName: NODE_NAME,
      config: this.config,
    });
    this.proxier.prepare();
  }

  service(name: string, spec: ServiceSpec, ingress: readonly string[] = []): void {
    this.#put(servicePortsOf(service(name, spec, ingress)));
  }

  deleteService(name: string, spec: ServiceSpec): void {
    for (const key of servicePortsOf(service(name, spec)).keys()) {
      this.#ports.delete(key);
      this.#changed.add(key);
    }
  }

  /** Endpoints of a Service as one slice: `address` or [address, overrides]. */
  slice(name: string, ports: EndpointSlice['ports'], endpoints: readonly SliceEndpoint[]): void {
    this.#cache.update(endpointSlice(name, ports, endpoints), false);
    const now = this.#cache.endpointsOf(`default/${name}`);
    for (const key of this.#endpoints.keys()) {
      if (!key.startsWith(`default/${name}:`) || now.has(key)) continue;
      this.#endpoints.delete(key);
      this.#changed.add(key);
    }
    for (const [key, value] of now) {
      this.#endpoints.set(key, value);
      this.#changed.add(key);
    }
  }

  /** One turn of kube-proxy; returns how many operations it committed. */
  sync(zone = ''): number {
    const changed = [...this.#changed];
    this.#changed.clear();
    return this.proxier.sync({
      ports: this.#ports,
      endpoints: this.#endpoints,
      changed,
      zone,
      nodeIP: ipv4(NODE_IP),
      local: localDetectorOf(this.config, []),
      serviceCIDRs: [parseCIDR('10.96.0.0/12')!],
    });
  }

  explain(question: TraceQuestion): TraceAnswer {
    return explain({ net: kernelNet(this.lab.kernel, this.ipvs), nodeName: NODE_NAME }, question);
  }

  close(): void {
    this.proxier.close();
    this.ipvs.close();
    this.lab.close();
  }

  #put(ports: ReadonlyMap<string, ServicePort>): void {
    for (const [key, port] of ports) {
      this.#ports.set(key, port);
      this.#changed.add(key);
    }
  }
}

export function service(name: string, spec: ServiceSpec, ingress: readonly string[] = []): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name },
    spec,
    ...(ingress.length > 0 ? { status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } } } : {}),
  };
}

export function endpointSlice(
  name: string,
  ports: EndpointSlice['ports'],
  endpoints: readonly SliceEndpoint[],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'default', name: `${name}-abcde`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [...endpoints],
    ports,
  };
}

/** A ready endpoint, on this Node unless another is named. */
export function ready(address: string, nodeName = NODE_NAME): SliceEndpoint {
  return { addresses: [address], conditions: { ready: true }, nodeName };
}
