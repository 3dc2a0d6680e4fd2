// All records of an external zone, for the plugin transfer (CoreDNS plugin/k8s_external/transfer.go): SOA, name server, then Service
// by Service, sorted by name, and the SOA again. A name has here what a question for it gets, but for what a load balancer's host
// name leads to. Deviation: of several SRV records with one name CoreDNS gives the first. TTLs in seconds.
import { TYPE } from '../../constants.ts';
import { below, fqdn } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord, srvRecord } from '../../record.ts';
import type { ExternalItem, ExternalView } from '../kubernetes/external.ts';
import type { ExternalOptions } from './options.ts';

export function* externalZoneRecords(
  view: ExternalView,
  { apex, ttl, headless }: ExternalOptions,
  zone: string,
  soa: ResourceRecord,
): Generator<readonly ResourceRecord[]> {
  yield [soa];
  const server = below(`ns1.${apex}`, zone);
  const own = view.ownAddresses(headless);
  yield [nameRecord(zone, TYPE.NS, ttl, server), ...own.map((address) => addressRecord(server, ttl, address))];
  for (const { name, ports } of view.services()) {
    const { items } = view.items(name, headless);
    const records: ResourceRecord[] = [];
    for (const item of items) {
      records.push(hostRecord(below(name, zone), item, ttl, view.ttl));
      if (item.owner !== name) records.push(hostRecord(below(item.owner, zone), item, ttl, view.ttl));
    }
    for (const base of [name, ...ports.map((port) => `${port}.${name}`)])
      records.push(...serviceRecords(view, below(base, zone), view.items(base, headless).items, zone));
    yield [...new Map(records.map((record) => [keyOf(record), record])).values()];
  }
  yield [soa];
}

function hostRecord(owner: string, { host }: ExternalItem, ttl: number, serviceTtl: number): ResourceRecord {
  return typeof host === 'string'
    ? nameRecord(owner, TYPE.CNAME, serviceTtl, fqdn(host))
    : addressRecord(owner, ttl, host);
}

function serviceRecords(
  view: ExternalView,
  owner: string,
  items: readonly ExternalItem[],
  zone: string,
): ResourceRecord[] {
  const weight = weightOf(items);
  return items.flatMap((item) =>
    item.port === -1 ? [] : [srvRecord(owner, view.ttl, weight, item.port, targetOf(item, zone))],
  );
}

/** The name an SRV record points at. */
export function targetOf({ host, owner }: ExternalItem, zone: string): string {
  return typeof host === 'string' ? fqdn(host) : below(owner, zone);
}

export function weightOf(items: readonly ExternalItem[]): number {
  return Math.max(1, Math.floor((100 / (items.length * 100)) * 100));
}

function keyOf({ name, type, rdata }: ResourceRecord): string {
  const data = rdata instanceof Uint8Array ? [rdata] : [rdata.before, rdata.names, rdata.after];
  return `${name} ${type} ${data.join(' ')}`;
}
