// What the plugin keeps of Services, EndpointSlices, Pods and Namespaces: the few facts DNS needs, indexed by name and by address,
// kept up to date object by object (CoreDNS plugin/kubernetes/controller.go and object/*). Everything a plain query for a
// Service's addresses needs is made when the object changes, not when it is asked for: addresses are kept as record data.
//
// A Service and its slices meet in one entry, whichever comes first; an entry without a Service answers nothing.
// Keys: Services `name.namespace`, addresses in canonical text. Names are in lower case, as the API has them.
import type { Pod, Service } from '../../../api/core-v1.ts';
import { type EndpointSlice, LABEL_SERVICE_NAME } from '../../../api/discovery-v1.ts';
import type { KubeObject } from '../../../api/meta.ts';
import type { Epoch } from '../../answer-memo.ts';
import { addressBytes, addressText, canonicalAddress } from '../../reverse.ts';
import type { EndpointFacts, PortFacts, ServiceEntry, ServiceFacts, SliceFacts } from './facts.ts';
import type { ProgrammingLatency } from './metrics.ts';

const NO_PORTS: readonly PortFacts[] = [{ name: '', protocol: '', port: -1 }];
const NO_ADDRESSES: readonly Uint8Array[] = [];

export class ObjectIndex {
  readonly services = new Map<string, ServiceEntry>();
  readonly namespaces = new Set<string>();
  readonly servicesByAddress = new Map<string, Set<ServiceEntry>>();
  /** By externalIPs and load balancers' addresses. */
  readonly servicesByExternalAddress = new Map<string, Set<ServiceEntry>>();
  readonly slicesByAddress = new Map<string, Set<SliceFacts>>();
  /** Pod addresses, each with the keys of the Pods that have it, by namespace. */
  readonly podsByAddress = new Map<string, Map<string, Set<string>>>();
  /** Raised whenever anything changes at all. */
  readonly epoch: Epoch = { version: 0 };
  readonly #slices = new Map<string, SliceFacts>();
  readonly #podAddresses = new Map<string, string>();
  /** Unix seconds of the last change that DNS shows: the SOA's serial. */
  modifiedS = 0;
  readonly #podNamesForEndpoints: boolean;
  readonly #unixMs: () => number;
  readonly #latency: ProgrammingLatency | undefined;

  /** `podNamesForEndpoints`: the option endpoint_pod_names. */
  constructor(podNamesForEndpoints: boolean, unixMs: () => number, latency?: ProgrammingLatency) {
    this.#latency = latency;
    this.#podNamesForEndpoints = podNamesForEndpoints;
    this.#unixMs = unixMs;
  }

  addNamespace(name: string): void {
    if (this.namespaces.has(name)) return;
    this.namespaces.add(name);
    this.#namespaceChanged(name);
  }

  deleteNamespace(name: string): void {
    if (this.namespaces.delete(name)) this.#namespaceChanged(name);
  }

  #namespaceChanged(name: string): void {
    for (const entry of this.services.values()) if (entry.namespace === name) entry.epoch.version++;
    this.epoch.version++;
  }

  setService(service: Service): void {
    const entry = this.#entry(service.metadata.name!, service.metadata.namespace ?? '');
    this.#unindexService(entry);
    entry.service = serviceFacts(service);
    for (const { text } of entry.service.clusterIPs) addTo(this.servicesByAddress, text, entry);
    for (const host of entry.service.externalHosts)
      if (typeof host !== 'string') addTo(this.servicesByExternalAddress, addressText(host), entry);
    refresh(entry);
    this.#touch();
  }

  deleteService(service: Service): void {
    const entry = this.services.get(`${service.metadata.name}.${service.metadata.namespace ?? ''}`);
    if (entry === undefined) return;
    this.#unindexService(entry);
    entry.service = undefined;
    refresh(entry);
    this.#drop(entry);
    this.#touch();
  }

  setSlice(slice: EndpointSlice): void {
    const key = objectKey(slice);
    const service = slice.metadata.labels?.[LABEL_SERVICE_NAME];
    const before = this.#slices.get(key);
    const entry = service === undefined ? undefined : this.#entry(service, slice.metadata.namespace ?? '');
    if (before !== undefined && before.entry !== entry) this.deleteSlice(slice);
    if (entry === undefined) return;
    const facts = this.#sliceFacts(entry, slice);
    if (before?.entry === entry) {
      if (sameSlice(before, facts)) return;
      this.#unindexSlice(before);
    }
    this.#slices.set(key, facts);
    entry.slices.set(key, facts);
    for (const { text } of facts.endpoints) addTo(this.slicesByAddress, text, facts);
    refresh(entry);
    this.#touch();
    this.#latency?.record(slice, entry.service);
  }

  deleteSlice(slice: EndpointSlice): void {
    const key = objectKey(slice);
    const facts = this.#slices.get(key);
    if (facts === undefined) return;
    this.#slices.delete(key);
    this.#unindexSlice(facts);
    facts.entry.slices.delete(key);
    refresh(facts.entry);
    this.#drop(facts.entry);
    this.#touch();
  }

  /** Pods that are being deleted or have ended have no record (object/pod.go, controller.go's field selector). */
  setPod(pod: Pod): void {
    const phase = pod.status?.phase;
    const ended = phase === 'Succeeded' || phase === 'Failed' || phase === 'Unknown';
    const address = canonicalAddress(pod.status?.podIP ?? pod.status?.podIPs?.[0]?.ip ?? '');
    const key = objectKey(pod);
    if (ended || pod.metadata.deletionTimestamp !== undefined || address === undefined) {
      this.deletePod(pod);
      return;
    }
    if (this.#podAddresses.get(key) === address) return;
    this.deletePod(pod);
    this.#podAddresses.set(key, address);
    const namespace = pod.metadata.namespace ?? '';
    let byNamespace = this.podsByAddress.get(address);
    if (byNamespace === undefined) this.podsByAddress.set(address, (byNamespace = new Map()));
    addTo(byNamespace, namespace, key);
    this.#touch();
  }

  deletePod(pod: Pod): void {
    const key = objectKey(pod);
    const address = this.#podAddresses.get(key);
    if (address === undefined) return;
    this.#podAddresses.delete(key);
    const byNamespace = this.podsByAddress.get(address)!;
    removeFrom(byNamespace, pod.metadata.namespace ?? '', key);
    if (byNamespace.size === 0) this.podsByAddress.delete(address);
    this.#touch();
  }

  #entry(name: string, namespace: string): ServiceEntry {
    const key = `${name}.${namespace}`;
    let entry = this.services.get(key);
    if (entry === undefined) {
      const facts = { epoch: { version: 0 }, name, namespace, service: undefined, slices: new Map(), endpoints: 0 };
      this.services.set(key, (entry = { ...facts, ipv4: NO_ADDRESSES, ipv6: NO_ADDRESSES }));
    }
    return entry;
  }

  #drop(entry: ServiceEntry): void {
    if (entry.service === undefined && entry.slices.size === 0)
      this.services.delete(`${entry.name}.${entry.namespace}`);
  }

  #unindexService(entry: ServiceEntry): void {
    for (const { text } of entry.service?.clusterIPs ?? []) removeFrom(this.servicesByAddress, text, entry);
    for (const host of entry.service?.externalHosts ?? [])
      if (typeof host !== 'string') removeFrom(this.servicesByExternalAddress, addressText(host), entry);
  }

  #unindexSlice(facts: SliceFacts): void {
    for (const { text } of facts.endpoints) removeFrom(this.slicesByAddress, text, facts);
  }

  #sliceFacts(entry: ServiceEntry, slice: EndpointSlice): SliceFacts {
    const endpoints: EndpointFacts[] = [];
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false) continue;
      for (const written of endpoint.addresses) {
        const address = addressBytes(written);
        if (address === undefined) continue;
        const podName = this.#podNamesForEndpoints ? endpoint.targetRef?.name : undefined;
        endpoints.push({
          address,
          text: canonicalAddress(written)!,
          hostname: endpoint.hostname || hostnameOf(podName, written),
          hasHostname: Boolean(endpoint.hostname),
          zone: endpoint.zone ?? '',
        });
      }
    }
    const ports = (slice.ports ?? []).map((p) => portFacts(p.name, p.protocol, p.port ?? -1));
    return { entry, ports: ports.length === 0 ? NO_PORTS : ports, endpoints };
  }

  #touch(): void {
    this.epoch.version++;
    this.modifiedS = Math.floor(this.#unixMs() / 1000);
  }
}

/** The Pod's name where wanted and short enough to be a label, else the address with dashes; a label cannot end in one. */
function hostnameOf(podName: string | undefined, address: string): string {
  if (podName !== undefined && podName !== '' && podName.length < 64) return podName;
  const label = address.replace(/[.:]/g, '-');
  return label.endsWith('-') ? `${label}0` : label;
}

function serviceFacts(service: Service): ServiceFacts {
  const { spec } = service;
  const ports = (spec.ports ?? []).map((p) => portFacts(p.name, p.protocol ?? 'TCP', p.port));
  const common = {
    ports: ports.length === 0 ? NO_PORTS : ports,
    externalName: undefined,
    clusterIPs: [],
    externalHosts: externalHostsOf(service),
  };
  if (spec.type === 'ExternalName') {
    const target = spec.externalName ?? '';
    const usable = target !== '' && addressBytes(target) === undefined;
    return { ...common, kind: 'externalName', externalName: usable ? target : undefined };
  }
  const written =
    spec.clusterIPs !== undefined && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? ''];
  if (written[0] === 'None') return { ...common, kind: 'headless' };
  const clusterIPs = written.flatMap((ip) => {
    const address = addressBytes(ip);
    return address === undefined ? [] : [{ address, text: canonicalAddress(ip)! }];
  });
  return { ...common, kind: 'clusterIP', clusterIPs };
}

function externalHostsOf({ spec, status }: Service): (Uint8Array | string)[] {
  const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '');
  const written = [...(spec.externalIPs ?? []), ...ingress];
  return written.filter((text) => text !== '').map((text) => addressBytes(text) ?? text);
}

function portFacts(name: string | undefined, protocol: string | undefined, port: number): PortFacts {
  return { name: (name ?? '').toLowerCase(), protocol: (protocol ?? '').toLowerCase(), port };
}

/** Brings the ready-made answers of the Service's own name up to date. */
function refresh(entry: ServiceEntry): void {
  entry.epoch.version++;
  entry.endpoints = 0;
  for (const slice of entry.slices.values()) entry.endpoints += slice.endpoints.length;
  const { service } = entry;
  if (service?.kind === 'clusterIP') {
    [entry.ipv4, entry.ipv6] = byFamily(service.clusterIPs);
  } else if (service?.kind === 'headless') {
    [entry.ipv4, entry.ipv6] = byFamily([...entry.slices.values()].flatMap((slice) => slice.endpoints));
  } else {
    entry.ipv4 = NO_ADDRESSES;
    entry.ipv6 = NO_ADDRESSES;
  }
}

function byFamily(addresses: readonly { address: Uint8Array; text: string }[]): [Uint8Array[], Uint8Array[]] {
  const ipv4: Uint8Array[] = [];
  const ipv6: Uint8Array[] = [];
  const seen = new Set<string>();
  for (const { address, text } of addresses) {
    if (seen.has(text)) continue;
    seen.add(text);
    (address.length === 4 ? ipv4 : ipv6).push(address);
  }
  return [ipv4, ipv6];
}

function sameSlice(a: SliceFacts, b: SliceFacts): boolean {
  return (
    a.ports.length === b.ports.length &&
    a.endpoints.length === b.endpoints.length &&
    a.ports.every(
      (p, i) => p.name === b.ports[i]!.name && p.protocol === b.ports[i]!.protocol && p.port === b.ports[i]!.port,
    ) &&
    a.endpoints.every((e, i) => {
      const other = b.endpoints[i]!;
      return e.text === other.text && e.hostname === other.hostname && e.zone === other.zone;
    })
  );
}

function objectKey(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function addTo<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
