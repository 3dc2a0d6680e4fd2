// Answers questions below the cluster's zones (CoreDNS plugin/kubernetes/handler.go and plugin/backend_lookup.go): which records
// a name and type give, NXDOMAIN or NODATA with the SOA, SERVFAIL while the objects are not all known.
//
// Case: owners are spelled as asked; the zone part of SOA and SRV names too; the Service part of an SRV target as the object has
// it. As in CoreDNS, the apex NS and the ns.dns names answer only when the zone is asked for in lower case.
import type { Epoch, HitCounter, Lasting } from '../../answer-memo.ts';
import { RCODE, TYPE } from '../../constants.ts';
import { below, fqdn, isSubdomain, matchZone, trimZone } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord, soaRecord, srvRecord, txtRecord } from '../../record.ts';
import {
  type Handler,
  makeReply,
  nextOrFailure,
  type Reply,
  ReplyKeeper,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { addressOfReverse, isReverse } from '../../reverse.ts';
import type { AddressItem, AliasItem, Finder, Item } from './finder.ts';
import { parseName } from './name-parts.ts';

/** The schema version that `dns-version` shows, and its fixed TTL. */
const SCHEMA_VERSION = '1.1.0';
const SCHEMA_TTL = 28800;
/** A CNAME chain is followed this far (backend_lookup.go). */
const MAX_CHAIN = 8;

export interface KubernetesOptions {
  /** Normalized; forward and reverse. */
  readonly zones: readonly string[];
  /** Seconds. */
  readonly ttl: number;
  /** Zones in which a missing name is passed on; undefined: none. */
  readonly fallthrough: readonly string[] | undefined;
  readonly finder: Finder;
  hasSynced(): boolean;
  /** Unix seconds of the last change. */
  modifiedS(): number;
  /** Raised with every change of the objects. */
  readonly epoch: Epoch;
}

/** The records a question gets; undefined: there is no such name. */
interface Found {
  readonly answer: readonly ResourceRecord[];
  readonly additional?: readonly ResourceRecord[];
  readonly truncated?: boolean;
  /** What it depends on when that is less than all objects; null: on more than the objects. */
  readonly epoch?: Epoch | null;
}
type Result = Found | undefined | Promise<Found | undefined>;

const NO_COUNTERS: readonly HitCounter[] = [];
const NO_RECORDS: Found = { answer: [] };

export class Kubernetes {
  readonly #options: KubernetesOptions;
  readonly #next: Handler | undefined;

  constructor(options: KubernetesOptions, next: Handler | undefined) {
    this.#options = options;
    this.#next = next;
  }

  serve(request: Request, writer: ResponseWriter): Served {
    const zone = matchZone(this.#options.zones, request.name);
    if (zone === undefined) return nextOrFailure('kubernetes', this.#next, request, writer);
    const { type } = request.question;
    if (type === TYPE.AXFR || type === TYPE.IXFR) return RCODE.REFUSED;
    const result = new ZoneLookup(this.#options, request, zone).resolve();
    return result instanceof Promise
      ? result.then((found) => this.#reply(request, writer, zone, found))
      : this.#reply(request, writer, zone, result);
  }

  #reply(request: Request, writer: ResponseWriter, zone: string, found: Found | undefined): Served {
    if (found !== undefined && found.answer.length > 0) {
      const { answer, additional, truncated, epoch = this.#options.epoch } = found;
      const lasting = epoch === null ? undefined : this.#lasting(epoch);
      writer.write(
        makeReply('kubernetes', RCODE.NOERROR, {
          answer,
          lasting,
          ...(additional && { additional }),
          ...(truncated && { truncated }),
        }),
      );
      return RCODE.NOERROR;
    }
    let rcode: number = RCODE.NOERROR;
    if (found === undefined) {
      const through = this.#options.fallthrough;
      if (through !== undefined && matchZone(through, request.name) !== undefined) {
        return nextOrFailure('kubernetes', this.#next, request, writer);
      }
      rcode = this.#options.hasSynced() ? RCODE.NXDOMAIN : RCODE.SERVFAIL;
    }
    const authority = [soa(this.#options, zoneAsAsked(request, zone))];
    // The SOA shows when anything changed.
    const lasting = found?.epoch === null ? undefined : this.#lasting(this.#options.epoch);
    writer.write(makeReply('kubernetes', rcode, { authority, lasting }));
    return RCODE.NOERROR;
  }

  #lasting(epoch: Epoch): Lasting | undefined {
    if (!this.#options.hasSynced()) return undefined;
    const { version } = epoch;
    return { epoch, version, keptUs: 0, ttlS: 0, countsDown: false, counters: NO_COUNTERS };
  }
}

/** One question in one zone. */
class ZoneLookup {
  readonly #options: KubernetesOptions;
  readonly #request: Request;
  /** In lower case, and as the question spells it. */
  readonly #zone: string;
  readonly #zoneAsAsked: string;

  constructor(options: KubernetesOptions, request: Request, zone: string) {
    this.#options = options;
    this.#request = request;
    this.#zone = zone;
    this.#zoneAsAsked = zoneAsAsked(request, zone);
  }

  resolve(): Result {
    const { type, name: owner } = this.#request.question;
    const { name } = this.#request;
    switch (type) {
      case TYPE.A:
        return this.#addresses(owner, name, 4, []);
      case TYPE.AAAA:
        return this.#addresses(owner, name, 6, []);
      case TYPE.SRV:
        return this.#srv(owner, name);
      case TYPE.PTR:
        return this.#ptr(owner, name);
      case TYPE.TXT:
        return this.#txt(owner, name);
      case TYPE.CNAME:
        return this.#cname(owner, name);
      case TYPE.SOA:
        return owner === this.#zoneAsAsked ? { answer: [soa(this.#options, this.#zoneAsAsked)] } : NO_RECORDS;
      case TYPE.NS:
        return name === this.#zoneAsAsked ? this.#ns() : this.#exists(name);
      default:
        return this.#exists(name);
    }
  }

  #base(name: string): string {
    return trimZone(name, this.#zone);
  }

  /** Objects have no names in the reverse trees. */
  #items(name: string): readonly Item[] | undefined {
    const items = this.#options.finder.items(this.#base(name));
    return isReverse(name) && parseName(this.#base(name)) !== 'none' ? undefined : items;
  }

  #isNameServer(name: string): boolean {
    return this.#zone !== '.' && name === below('ns.dns', this.#zoneAsAsked);
  }

  /** For types that never have records: is the name there at all? */
  #exists(name: string): Found | undefined {
    if (this.#isNameServer(name)) return NO_RECORDS;
    return this.#items(name) === undefined ? undefined : NO_RECORDS;
  }

  /** `previous`: the CNAMEs that led to this name. */
  #addresses(owner: string, name: string, family: 4 | 6, previous: readonly ResourceRecord[]): Result {
    const { finder, ttl } = this.#options;
    const entry = isReverse(name) ? undefined : finder.ownEntry(this.#base(name));
    if (entry !== undefined) {
      const addresses = family === 4 ? entry.ipv4 : entry.ipv6;
      return { answer: addresses.map((address) => addressRecord(owner, ttl, address)), epoch: entry.epoch };
    }
    const items = this.#isNameServer(name) ? finder.nameServers() : this.#items(name);
    if (items === undefined) return undefined;
    const alias = items[0];
    if (alias !== undefined && 'target' in alias) return this.#alias(owner, name, family, alias, previous);
    const seen = new Set<string>();
    const answer: ResourceRecord[] = [];
    for (const { address } of items as readonly AddressItem[]) {
      if (address.length !== (family === 4 ? 4 : 16)) continue;
      const key = address.join('.');
      if (seen.has(key)) continue;
      seen.add(key);
      answer.push(addressRecord(owner, ttl, address));
    }
    return { answer };
  }

  /** The CNAME of an ExternalName Service and what its target has: looked up here, or asked of the whole server. */
  #alias(owner: string, name: string, family: 4 | 6, item: AliasItem, previous: readonly ResourceRecord[]): Result {
    const target = fqdn(item.target);
    const lower = target.toLowerCase();
    if (isSubdomain(name, lower) || previous.length >= MAX_CHAIN) return NO_RECORDS;
    const cname = nameRecord(owner, TYPE.CNAME, this.#options.ttl, target);
    if (previous.some((record) => record.name.toLowerCase() === owner.toLowerCase())) return NO_RECORDS;
    if (isSubdomain(this.#zone, lower)) {
      const next = this.#addresses(target, lower, family, [...previous, cname]);
      return next instanceof Promise ? next.then((found) => behind(cname, found)) : behind(cname, next);
    }
    const keeper = new ReplyKeeper();
    const asked = this.#request.withQuestion(target, family === 4 ? TYPE.A : TYPE.AAAA);
    const served = this.#request.server.serve(asked, keeper);
    return served instanceof Promise
      ? served.then(() => fromUpstream(cname, keeper.reply))
      : fromUpstream(cname, keeper.reply);
  }

  #srv(owner: string, name: string): Found | undefined {
    if (this.#isNameServer(name)) return NO_RECORDS;
    const items = this.#items(name);
    if (items === undefined) return undefined;
    const { ttl } = this.#options;
    const addresses = items.filter((item): item is AddressItem => 'address' in item);
    const weight = Math.max(1, Math.floor((100 / (addresses.length * 100)) * 100));
    const answer: ResourceRecord[] = [];
    const additional: ResourceRecord[] = [];
    const seen = new Set<string>();
    for (const item of addresses) {
      if (item.port === -1) continue;
      const target = below(item.owner, this.#zoneAsAsked);
      if (isNew(seen, `${target} ${item.port}`)) answer.push(srvRecord(owner, ttl, weight, item.port, target));
      if (isNew(seen, `${target} ${item.address.join('.')}`)) additional.push(addressRecord(target, ttl, item.address));
    }
    return { answer, additional };
  }

  #ptr(owner: string, name: string): Found | undefined {
    const address = addressOfReverse(name);
    if (address === undefined) return this.#items(name) === undefined ? undefined : NO_RECORDS;
    const targets = this.#options.finder.reverse(address);
    if (targets.length === 0) return undefined;
    return { answer: targets.map((target) => nameRecord(owner, TYPE.PTR, this.#options.ttl, target)) };
  }

  /** Only dns-version has a TXT; other names exist for TXT only where they have some other record, or name a zone. */
  #txt(owner: string, name: string): Found | undefined {
    const base = this.#base(name);
    const { finder } = this.#options;
    if (base === 'dns-version') return { answer: [txtRecord(owner, SCHEMA_TTL, SCHEMA_VERSION)] };
    const items = this.#items(name);
    if (items === undefined) return undefined;
    return items.length > 0 || finder.isZonal(base) ? NO_RECORDS : undefined;
  }

  #cname(owner: string, name: string): Found | undefined {
    if (this.#isNameServer(name)) return NO_RECORDS;
    const items = this.#items(name);
    if (items === undefined) return undefined;
    const alias = items[0];
    if (alias === undefined || !('target' in alias)) return NO_RECORDS;
    return { answer: [nameRecord(owner, TYPE.CNAME, this.#options.ttl, fqdn(alias.target))] };
  }

  #ns(): Found {
    const { finder, ttl } = this.#options;
    const answer: ResourceRecord[] = [];
    const additional: ResourceRecord[] = [];
    const seen = new Set<string>();
    for (const item of finder.nameServers()) {
      const target = below(item.owner, this.#zoneAsAsked);
      additional.push(addressRecord(target, ttl, item.address));
      if (isNew(seen, target)) answer.push(nameRecord(this.#zoneAsAsked, TYPE.NS, ttl, target));
    }
    return { answer, additional };
  }
}

/** The zone in the spelling of the question. */
function zoneAsAsked(request: Request, zone: string): string {
  const { name } = request.question;
  return name.slice(name.length - zone.length);
}

/** The zone's SOA, its serial the time of the last change. */
export function soa(options: KubernetesOptions, zone: string): ResourceRecord {
  const timers = { serial: options.modifiedS(), refreshS: 7200, retryS: 1800, expireS: 86400, minimumS: options.ttl };
  return soaRecord(zone, Math.min(options.ttl, 300), below('ns.dns', zone), below('hostmaster', zone), timers);
}

/** A CNAME is shown only when its target has records. */
function behind(cname: ResourceRecord, found: Found | undefined): Found {
  if (found === undefined || found.answer.length === 0) return NO_RECORDS;
  const { answer, truncated = false, epoch } = found;
  // The alias may change though its target does not.
  return { answer: [cname, ...answer], truncated, ...(epoch === null ? { epoch } : {}) };
}

/** ... but one that leads out of the zone is shown in any case. */
function fromUpstream(cname: ResourceRecord, reply: Reply | undefined): Found {
  const answer = reply?.answer ?? [];
  const ttl = reply?.ttl;
  const records = ttl === undefined ? answer : answer.map((record) => ({ ...record, ttl }));
  return { answer: [cname, ...records], truncated: reply?.truncated ?? false, epoch: null };
}

function isNew(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}
