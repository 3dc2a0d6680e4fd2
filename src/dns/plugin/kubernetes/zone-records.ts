// All records of a cluster zone, for the plugin transfer (CoreDNS plugin/kubernetes/xfr.go): SOA, name servers, then Service by
// Service, sorted by name, what is known of it, and the SOA again. As there: SRV records have a fixed weight for ClusterIPs and one
// by their number for endpoints, ports without a name get none below the Service's own.
import { TYPE } from '../../constants.ts';
import { below, fqdn } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord, srvRecord } from '../../record.ts';
import type { PortFacts, ServiceEntry } from './facts.ts';
import type { Finder } from './finder.ts';
import type { ObjectIndex } from './objects.ts';

const WEIGHT = 100;

export function* zoneRecords(
  index: ObjectIndex,
  finder: Finder,
  zone: string,
  ttl: number,
  soa: ResourceRecord,
): Generator<readonly ResourceRecord[]> {
  yield [soa];
  const servers = finder.nameServers();
  const hosts = new Set(servers.map(({ owner }) => below(owner, zone)));
  yield [...hosts].map((host) => nameRecord(zone, TYPE.NS, ttl, host));
  yield servers.map(({ owner, address }) => addressRecord(below(owner, zone), ttl, address));
  const entries = [...index.services.values()].filter(
    ({ service, namespace }) => service !== undefined && finder.isExposed(namespace),
  );
  entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.namespace < b.namespace ? -1 : 1));
  for (const entry of entries) yield serviceRecords(entry, zone, ttl);
  yield [soa];
}

function serviceRecords(entry: ServiceEntry, zone: string, ttl: number): ResourceRecord[] {
  const service = entry.service!;
  const owner = below(`${entry.name}.${entry.namespace}.svc`, zone);
  if (service.kind === 'externalName') {
    const { externalName } = service;
    return externalName === undefined ? [] : [nameRecord(owner, TYPE.CNAME, ttl, fqdn(externalName))];
  }
  const records: ResourceRecord[] = [];
  if (service.kind === 'clusterIP') {
    for (const { address } of service.clusterIPs) records.push(addressRecord(owner, ttl, address));
    for (const port of service.ports) {
      if (port.port === -1) continue;
      records.push(srvRecord(owner, ttl, WEIGHT, port.port, owner));
      if (port.name !== '') records.push(srvRecord(portOwner(port, owner), ttl, WEIGHT, port.port, owner));
    }
    return records;
  }
  for (const { endpoints, ports } of entry.slices.values()) {
    const weight = Math.max(1, Math.floor((100 / (endpoints.length * 100)) * 100));
    for (const { address, hostname } of endpoints) {
      const target = `${hostname}.${owner}`;
      records.push(addressRecord(owner, ttl, address), addressRecord(target, ttl, address));
      for (const port of ports) {
        if (port.name !== '') records.push(srvRecord(portOwner(port, owner), ttl, weight, port.port, target));
      }
    }
  }
  return records;
}

function portOwner({ name, protocol }: PortFacts, owner: string): string {
  return `_${name}._${protocol}.${owner}`;
}
