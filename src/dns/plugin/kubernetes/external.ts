// What the cluster shows to the outside: Services by their external addresses, and headless Services' endpoints where wanted.
// Serves the plugin k8s_external (CoreDNS plugin/kubernetes/external.go). Names are SERVICE.NAMESPACE below any zone, without `svc`.
import { RCODE } from '../../constants.ts';
import type { Finder } from './finder.ts';
import { matchesPort } from './finder.ts';
import { stripUnderscore } from './name-parts.ts';
import type { ObjectIndex } from './objects.ts';

export interface ExternalItem {
  /** An address, or the name of one. */
  readonly host: ExternalHost;
  readonly port: number;
  /** The name SRV records point at, without the zone. */
  readonly owner: string;
}

/** An external address as it is known: the bytes of an IP address, or the host name of a load balancer. */
export type ExternalHost = Uint8Array | string;

export interface ExternalResult {
  /** NOERROR or NXDOMAIN when there are no items. */
  readonly rcode: number;
  readonly items: readonly ExternalItem[];
}

const NONE: ExternalResult = { rcode: RCODE.NXDOMAIN, items: [] };
const EMPTY: ExternalResult = { rcode: RCODE.NOERROR, items: [] };

export class ExternalView {
  readonly #index: ObjectIndex;
  readonly #finder: Finder;
  /** The TTL of the kubernetes plugin, seconds. */
  readonly ttl: number;

  constructor(index: ObjectIndex, finder: Finder, ttl: number) {
    this.#index = index;
    this.#finder = finder;
    this.ttl = ttl;
  }

  /** `base`: a name in lower case without its zone. */
  items(base: string, headless: boolean): ExternalResult {
    const labels = base.split('.');
    const namespace = labels.pop()!;
    if (!this.#finder.isExposed(namespace)) return NONE;
    const service = labels.pop();
    if (service === undefined) return EMPTY;
    if (labels.length > 2) return NONE;
    const endpoint = labels.length === 1 ? stripUnderscore(labels[0]!) : '';
    const port = labels.length === 2 ? stripUnderscore(labels[0]!) : '';
    const protocol = labels.length === 2 ? stripUnderscore(labels[1]!) : '';
    const entry = this.#index.services.get(`${service}.${namespace}`);
    const facts = entry?.service;
    if (entry === undefined || facts === undefined) return NONE;
    const asked = { port, protocol };
    const items: ExternalItem[] = [];
    if (headless && facts.externalHosts.length === 0 && (facts.kind === 'headless' || endpoint !== '')) {
      for (const slice of entry.slices.values()) {
        const ports = slice.ports.filter((candidate) => matchesPort(asked, candidate));
        for (const { address, hostname } of slice.endpoints) {
          if (endpoint !== '' && hostname.toLowerCase() !== endpoint) continue;
          const owner = `${hostname}.${entry.name}.${entry.namespace}`;
          for (const candidate of ports) items.push({ host: address, port: candidate.port, owner });
        }
      }
    } else {
      const owner = `${entry.name}.${entry.namespace}`;
      for (const host of facts.externalHosts) {
        for (const candidate of facts.ports) {
          if (matchesPort(asked, candidate)) items.push({ host, port: candidate.port, owner });
        }
      }
    }
    return items.length === 0 ? NONE : { rcode: RCODE.NOERROR, items };
  }

  /** Every Service as SERVICE.NAMESPACE, sorted, and what its named ports are called: `_http._tcp`. */
  services(): { readonly name: string; readonly ports: readonly string[] }[] {
    const found = [...this.#index.services.values()].filter(
      ({ service, namespace }) => service !== undefined && this.#finder.isExposed(namespace),
    );
    const described = found.map(({ name, namespace, service, slices }) => {
      const ports = [...service!.ports, ...[...slices.values()].flatMap((slice) => slice.ports)];
      const named = ports.filter((port) => port.name !== '');
      const called = new Set(named.map((port) => `_${port.name}._${port.protocol}`.toLowerCase()));
      return { name: `${name}.${namespace}`, ports: [...called] };
    });
    return described.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The Services that have this external address (canonical text), as SERVICE.NAMESPACE. */
  reverse(address: string): string[] {
    const names: string[] = [];
    for (const entry of this.#index.servicesByExternalAddress.get(address) ?? []) {
      if (this.#finder.isListed(entry.namespace)) names.push(`${entry.name}.${entry.namespace}`);
    }
    return names;
  }

  /** The addresses at which the outside reaches this server. */
  ownAddresses(headless: boolean): Uint8Array[] {
    return this.#finder.externalNameServers(headless);
  }

  get modifiedS(): number {
    return this.#index.modifiedS;
  }
}
