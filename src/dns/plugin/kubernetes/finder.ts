// From a name to what it stands for (CoreDNS plugin/kubernetes/kubernetes.go Records, findServices, findPods; reverse.go; ns.go).
// The result is either "no such name" (undefined) or a list of items, which may be empty: the name exists without such records.
// Multi-cluster Services are left out.
import { below } from '../../name.ts';
import { addressBytes } from '../../reverse.ts';
import type { PortFacts, ServiceEntry, SliceFacts } from './facts.ts';
import { type NameParts, parseName } from './name-parts.ts';
import type { ObjectIndex } from './objects.ts';

export type PodMode = 'disabled' | 'insecure' | 'verified';

export interface FinderOptions {
  readonly podMode: PodMode;
  /** Only these are served; empty: all. */
  readonly namespaces: ReadonlySet<string>;
  readonly ignoreEmptyService: boolean;
  /** Names that narrow a headless Service to a topology zone are served. */
  readonly zonal: boolean;
  /** Reverse names of endpoints are served only where they have a hostname of their own. */
  readonly ptrHostnameOnly: boolean;
  /** The first forward zone: where reverse lookups point. */
  readonly primaryZone: string;
  /** Canonical text. */
  readonly localAddresses: readonly string[];
}

export interface AddressItem {
  readonly address: Uint8Array;
  readonly port: number;
  /** The name SRV records point at, without the zone: `endpoint.service.namespace.svc`. */
  readonly owner: string;
}

/** An ExternalName Service. */
export interface AliasItem {
  readonly target: string;
}

export type Item = AddressItem | AliasItem;

const NOTHING: readonly Item[] = [];

export class Finder {
  readonly #index: ObjectIndex;
  readonly #options: FinderOptions;

  constructor(index: ObjectIndex, options: FinderOptions) {
    this.#index = index;
    this.#options = options;
  }

  /**
   * The Service whose own name this is, the commonest question, with its addresses ready made; undefined when the question is
   * not of that kind or has another answer, which `items` then gives.
   */
  ownEntry(base: string): ServiceEntry | undefined {
    if (!base.endsWith('.svc')) return undefined;
    const entry = this.#index.services.get(base.slice(0, -4));
    if (entry?.service === undefined || entry.service.kind === 'externalName' || !this.isExposed(entry.namespace))
      return undefined;
    if (entry.service.kind === 'clusterIP') {
      return entry.endpoints === 0 && this.#options.ignoreEmptyService ? undefined : entry;
    }
    return entry.ipv4.length === 0 && entry.ipv6.length === 0 ? undefined : entry;
  }

  /** `base`: the name in lower case without its zone. */
  items(base: string): readonly Item[] | undefined {
    const parts = parseName(base, this.#options.zonal);
    if (parts === 'none') return NOTHING;
    if (parts === undefined || !this.isExposed(parts.namespace)) return undefined;
    if (parts.kind === 'pod') return this.#pods(parts);
    return parts.service === '' ? NOTHING : this.#services(parts);
  }

  /** Whether the name asks for a topology zone. */
  isZonal(base: string): boolean {
    const parts = this.#options.zonal ? parseName(base, true) : undefined;
    return parts !== undefined && parts !== 'none' && parts.zone !== '';
  }

  #pods(parts: NameParts): readonly Item[] | undefined {
    const { podMode } = this.#options;
    if (podMode === 'disabled') return undefined;
    const name = parts.service;
    if (name === '') return NOTHING;
    const isV4 = !name.includes('--') && name.split('-').length === 4;
    const text = name.replaceAll('-', isV4 ? '.' : ':');
    const address = addressBytes(text);
    if (address === undefined) return undefined;
    const item = { address, port: 0, owner: `${name}.${parts.namespace}.pod` };
    if (podMode === 'insecure') return [item];
    return this.#index.podsByAddress.get(text)?.has(parts.namespace) ? [item] : undefined;
  }

  #services(parts: NameParts): readonly Item[] | undefined {
    const entry = this.#index.services.get(parts.key);
    const service = entry?.service;
    if (entry === undefined || service === undefined) return undefined;
    if (service.kind === 'clusterIP' && entry.endpoints === 0 && this.#options.ignoreEmptyService) return undefined;
    if (service.kind === 'externalName') {
      const isOwnName = parts.endpoint === '' && parts.port === '' && parts.protocol === '' && parts.zone === '';
      return isOwnName && service.externalName !== undefined ? [{ target: service.externalName }] : undefined;
    }
    if (parts.zone !== '') return service.kind === 'headless' ? zonalItems(entry, parts) : undefined;
    if (service.kind === 'headless' || parts.endpoint !== '') return endpointItems(entry, parts);
    const ports = service.ports.filter((port) => matchesPort(parts, port));
    if (ports.length === 0) return undefined;
    const owner = `${entry.name}.${entry.namespace}.svc`;
    return ports.flatMap(({ port }) => service.clusterIPs.map(({ address }) => ({ address, port, owner })));
  }

  /** What a PTR record of the address points at: the Service with this ClusterIP, else every endpoint with this address. */
  reverse(address: string): string[] {
    for (const entry of this.#index.servicesByAddress.get(address) ?? []) {
      if (!this.isListed(entry.namespace)) continue;
      return [below(`${entry.name}.${entry.namespace}.svc`, this.#options.primaryZone)];
    }
    const names = new Set<string>();
    for (const slice of this.#index.slicesByAddress.get(address) ?? []) {
      if (!this.isListed(slice.entry.namespace)) continue;
      for (const endpoint of slice.endpoints) {
        if (endpoint.text !== address || (this.#options.ptrHostnameOnly && !endpoint.hasHostname)) continue;
        names.add(
          below(`${endpoint.hostname}.${slice.entry.name}.${slice.entry.namespace}.svc`, this.#options.primaryZone),
        );
      }
    }
    return [...names];
  }

  /** The name servers of the cluster: Services in front of this server, or itself as `ns.dns`. Owners are without the zone. */
  nameServers(): AddressItem[] {
    const found: AddressItem[] = [];
    let isEndpoint = false;
    for (const local of this.#options.localAddresses) {
      for (const slice of this.#index.slicesByAddress.get(local) ?? []) {
        isEndpoint = true;
        found.push(...nameServerItems(slice));
      }
    }
    if (isEndpoint) return found;
    return this.#options.localAddresses.map((text) => ({ address: addressBytes(text)!, port: 0, owner: 'ns.dns' }));
  }

  /**
   * The same for the plugin k8s_external: the external addresses of the Services in front of this server, or its own.
   * `headless`: a headless Service stands for its endpoints.
   */
  externalNameServers(headless: boolean): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (const local of this.#options.localAddresses) {
      for (const { entry, endpoints } of this.#index.slicesByAddress.get(local) ?? []) {
        if (entry.service === undefined) continue;
        const { externalHosts, kind } = entry.service;
        if (headless && kind === 'headless' && externalHosts.length === 0)
          found.push(...endpoints.map(({ address }) => address));
        for (const host of externalHosts) if (typeof host !== 'string') found.push(host);
      }
    }
    return found.length > 0 ? found : this.#options.localAddresses.map((text) => addressBytes(text)!);
  }

  /** Whether its names are served. */
  isExposed(namespace: string): boolean {
    const { namespaces } = this.#options;
    return (namespaces.size === 0 || namespaces.has(namespace)) && this.#index.namespaces.has(namespace);
  }

  /** Reverse lookups look at namespaces only when some are listed. */
  isListed(namespace: string): boolean {
    return this.#options.namespaces.size === 0 || this.isExposed(namespace);
  }
}

function endpointItems(entry: ServiceEntry, parts: NameParts): readonly Item[] | undefined {
  const items: Item[] = [];
  for (const slice of entry.slices.values()) {
    const ports = slice.ports.filter((port) => matchesPort(parts, port));
    if (ports.length === 0) continue;
    for (const endpoint of slice.endpoints) {
      if (parts.endpoint !== '' && endpoint.hostname.toLowerCase() !== parts.endpoint) continue;
      if (parts.zone !== '' && endpoint.zone !== parts.zone) continue;
      const owner = `${endpoint.hostname}.${entry.name}.${entry.namespace}.svc`;
      for (const { port } of ports) items.push({ address: endpoint.address, port, owner });
    }
  }
  return items.length === 0 ? undefined : items;
}

/** The name exists whatever the zone: without endpoints there it has no records. */
function zonalItems(entry: ServiceEntry, parts: NameParts): readonly Item[] {
  return (
    endpointItems(entry, parts) ?? (parts.prefer ? endpointItems(entry, { ...parts, zone: '' }) : undefined) ?? NOTHING
  );
}

function nameServerItems({ entry, endpoints }: SliceFacts): AddressItem[] {
  const { service } = entry;
  if (service === undefined) return [];
  const owner = `${entry.name}.${entry.namespace}.svc`;
  if (service.kind === 'headless')
    return endpoints.map(({ address, hostname }) => ({ address, port: 0, owner: `${hostname}.${owner}` }));
  return service.clusterIPs.map(({ address }) => ({ address, port: 0, owner }));
}

/** Whether a port is one that the name asks for; a part that is left out fits any. */
export function matchesPort(parts: { readonly port: string; readonly protocol: string }, port: PortFacts): boolean {
  return (parts.port === '' || parts.port === port.name) && (parts.protocol === '' || parts.protocol === port.protocol);
}
