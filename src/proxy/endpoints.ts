// Endpoints as proxies see them, and the cache that merges a Service's EndpointSlices, after endpoint.go and
// endpointslicecache.go of pkg/proxy, v1.31. Slices may overlap while they are being rearranged: of two endpoints with the
// same address and port one is kept, a local one if there is.
import { type EndpointSlice, LABEL_SERVICE_NAME } from '../api/discovery-v1.ts';
import { formatHostPort, type IpAddress, type IpFamily, parseIpOf } from '../tcpip-ts/wire/ip-address.ts';
import { portKey, protocolNumber } from './service-port.ts';

export interface Endpoint {
  readonly addr: IpAddress;
  readonly port: number;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** On this Node. */
  readonly local: boolean;
  /** Zones and Nodes that should use it; empty without hints. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/** By port key (see portKey), sorted by the text of address and port. */
export type EndpointsByPort = ReadonlyMap<string, readonly Endpoint[]>;

/** `10.244.0.5:80`, `[fd00::5]:80`. */
export function endpointName(endpoint: { readonly addr: IpAddress; readonly port: number }): string {
  return formatHostPort(endpoint.addr, endpoint.port);
}

export class EndpointSliceCache {
  readonly #nodeName: string;
  readonly #family: IpFamily;
  /** Slices by name, by `namespace/name` of their Service. */
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();

  constructor(nodeName: string, family: IpFamily = 4) {
    this.#nodeName = nodeName;
    this.#family = family;
  }

  /** Takes a slice in, or out when it was deleted. Returns its Service; undefined when it names none or is of the other family. */
  update(slice: EndpointSlice, deleted: boolean): string | undefined {
    const name = slice.metadata.labels?.[LABEL_SERVICE_NAME];
    if (!name || slice.addressType !== `IPv${this.#family}`) return undefined;
    const service = `${slice.metadata.namespace}/${name}`;
    let slices = this.#slices.get(service);
    if (!slices) this.#slices.set(service, (slices = new Map()));
    if (deleted) slices.delete(slice.metadata.name!);
    else slices.set(slice.metadata.name!, slice);
    if (slices.size === 0) this.#slices.delete(service);
    return service;
  }

  endpointsOf(service: string): EndpointsByPort {
    const merged = new Map<string, Map<string, Endpoint>>();
    // In the order of their names, so that of endpoints that differ it does not depend on history which one is kept.
    const slices = [...(this.#slices.get(service) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [, slice] of slices) {
      for (const port of slice.ports ?? []) {
        const proto = protocolNumber(port.protocol);
        if (proto === undefined || !port.port) continue;
        const key = portKey(service, port.name ?? '', proto);
        let endpoints = merged.get(key);
        if (!endpoints) merged.set(key, (endpoints = new Map()));
        this.#merge(endpoints, slice, port.port);
      }
    }
    const out = new Map<string, readonly Endpoint[]>();
    for (const [key, endpoints] of merged) {
      if (endpoints.size > 0)
        out.set(
          key,
          [...endpoints].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, e]) => e),
        );
    }
    return out;
  }

  #merge(into: Map<string, Endpoint>, slice: EndpointSlice, port: number): void {
    for (const { addresses, conditions, nodeName, hints } of slice.endpoints ?? []) {
      const addr = parseIpOf(this.#family, addresses[0] ?? '');
      if (addr === undefined) continue;
      const endpoint: Endpoint = {
        addr,
        port,
        ready: conditions?.ready ?? true,
        serving: conditions?.serving ?? true, // whatever ready is, although the API wants ready's value for it
        terminating: conditions?.terminating ?? false,
        local: nodeName === this.#nodeName,
        zoneHints: (hints?.forZones ?? []).map((zone) => zone.name),
        nodeHints: (hints?.forNodes ?? []).map((node) => node.name),
      };
      const name = endpointName(endpoint);
      if (!into.has(name) || endpoint.local) into.set(name, endpoint);
    }
  }
}
