// Answers for the cluster's Services by their external addresses, below zones of the user's choice (CoreDNS plugin/k8s_external:
// external.go, apex.go, msg_to_dns.go). What there is comes from the kubernetes plugin of the same server block.
// TTLs in seconds.
import { RCODE, TYPE } from '../../constants.ts';
import { below, fqdn, isSubdomain, matchZone, trimZone } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord, soaRecord, srvRecord } from '../../record.ts';
import {
  type Handler,
  makeReply,
  nextOrFailure,
  ReplyKeeper,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { addressOfReverse } from '../../reverse.ts';
import type { ExternalItem, ExternalView } from '../kubernetes/external.ts';
import type { ExternalOptions } from './options.ts';
import { externalZoneRecords, targetOf, weightOf } from './zone-records.ts';

const NAME = 'k8s_external';

export class External {
  readonly #options: ExternalOptions;
  readonly #view: () => ExternalView | undefined;
  readonly #next: Handler | undefined;

  /** `view` is asked for with each request: the kubernetes plugin is set up later. */
  constructor(options: ExternalOptions, view: () => ExternalView | undefined, next: Handler | undefined) {
    this.#options = options;
    this.#view = view;
    this.#next = next;
  }

  serve(request: Request, writer: ResponseWriter): Served {
    const { zones, apex, fallthrough, headless } = this.#options;
    const zone = matchZone(zones, request.name);
    const view = this.#view();
    if (zone === undefined || view === undefined) return nextOrFailure(NAME, this.#next, request, writer);
    for (const other of zones) {
      if (request.name === other) return this.#apex(request, writer, view, zone);
      if (isSubdomain(`${apex}.${other}`, request.name)) return this.#belowApex(request, writer, view, zone);
    }
    const { type } = request.question;
    const base = trimZone(request.name, zone);
    const reversed = type === TYPE.PTR ? addressOfReverse(request.name) : undefined;
    if (reversed !== undefined) {
      const names = view.reverse(reversed);
      if (names.length === 0) return this.#nothing(request, writer, view, zone, RCODE.NXDOMAIN, fallthrough);
      const answer = [...new Set(names)].map((name) => this.#pointer(request, below(name, zones[0]!)));
      return write(writer, RCODE.NOERROR, { answer });
    }
    const { items, rcode } = view.items(base, headless);
    if (items.length === 0 || type === TYPE.PTR) return this.#nothing(request, writer, view, zone, rcode, fallthrough);
    if (type !== TYPE.A && type !== TYPE.AAAA && type !== TYPE.SRV)
      return this.#nothing(request, writer, view, zone, RCODE.NOERROR, undefined);
    const found = new Collected(request, view.ttl, this.#options.ttl, zone);
    const done = (): number => {
      if (found.answer.length === 0) return write(writer, RCODE.NOERROR, { authority: [this.#soa(view, zone)] });
      return write(writer, RCODE.NOERROR, {
        answer: found.answer,
        additional: found.additional,
        truncated: found.truncated,
      });
    };
    const waiting = type === TYPE.SRV ? found.services(items) : found.addresses(items, type);
    return waiting === undefined ? done() : waiting.then(done);
  }

  /** For the plugin transfer. Undefined: this is none of the zones, or nothing is known yet. */
  transfer(zone: string, serial: number | undefined): Iterable<readonly ResourceRecord[]> | undefined {
    const view = this.#view();
    if (view === undefined || !this.#options.zones.includes(zone)) return undefined;
    const soa = this.#soa(view, zone);
    return serial !== undefined && serial >= view.modifiedS
      ? [[soa]]
      : externalZoneRecords(view, this.#options, zone, soa);
  }

  #nothing(
    request: Request,
    writer: ResponseWriter,
    view: ExternalView,
    zone: string,
    rcode: number,
    fallthrough: readonly string[] | undefined,
  ): Served {
    const through = rcode === RCODE.NXDOMAIN && fallthrough !== undefined;
    if (through && matchZone(fallthrough, request.name) !== undefined)
      return nextOrFailure(NAME, this.#next, request, writer);
    return write(writer, rcode, { authority: [this.#soa(view, zone)] });
  }

  #apex(request: Request, writer: ResponseWriter, view: ExternalView, zone: string): number {
    const { type, name } = request.question;
    const { apex, ttl, headless } = this.#options;
    if (type === TYPE.SOA) return write(writer, RCODE.NOERROR, { answer: [this.#soa(view, zone)] });
    if (type !== TYPE.NS) return write(writer, RCODE.NOERROR, { authority: [this.#soa(view, zone)] });
    const additional = view.ownAddresses(headless).map((a) => addressRecord(`ns1.${apex}.${name}`, ttl, a));
    return write(writer, RCODE.NOERROR, {
      answer: [nameRecord(zone, TYPE.NS, ttl, below(`ns1.${apex}`, zone))],
      additional,
    });
  }

  /** `dns.ZONE` exists and holds nothing; `ns1.dns.ZONE` is this server; below it there is nothing else. */
  #belowApex(request: Request, writer: ResponseWriter, view: ExternalView, zone: string): number {
    const labels = trimZone(request.name, zone).split('.');
    const authority = [this.#soa(view, zone)];
    if (labels.length === 1) return write(writer, RCODE.NOERROR, { authority });
    if (labels.length > 2 || labels[0] !== 'ns1') return write(writer, RCODE.NXDOMAIN, { authority });
    const { type, name } = request.question;
    const length = type === TYPE.A ? 4 : type === TYPE.AAAA ? 16 : 0;
    const own = view.ownAddresses(this.#options.headless).filter((address) => address.length === length);
    if (own.length === 0) return write(writer, RCODE.NOERROR, { authority });
    return write(writer, RCODE.NOERROR, { answer: own.map((a) => addressRecord(name, this.#options.ttl, a)) });
  }

  #pointer(request: Request, target: string): ResourceRecord {
    return nameRecord(request.question.name, TYPE.PTR, this.#options.ttl, target);
  }

  #soa(view: ExternalView, zone: string): ResourceRecord {
    const { apex, ttl } = this.#options;
    const timers = { serial: view.modifiedS, refreshS: 7200, retryS: 1800, expireS: 86400, minimumS: ttl };
    return soaRecord(zone, ttl, below(`ns1.${apex}`, zone), below(`hostmaster.${apex}`, zone), timers);
  }
}

function write(writer: ResponseWriter, rcode: number, parts: Parameters<typeof makeReply>[2]): number {
  writer.write(makeReply(NAME, rcode, parts));
  return RCODE.NOERROR;
}

/** The records of one answer. Load balancers known by name are looked up, which may take time. */
class Collected {
  readonly answer: ResourceRecord[] = [];
  readonly additional: ResourceRecord[] = [];
  truncated = false;
  readonly #request: Request;
  readonly #serviceTtl: number;
  readonly #ttl: number;
  readonly #zone: string;
  readonly #seen = new Set<string>();

  constructor(request: Request, serviceTtl: number, ttl: number, zone: string) {
    this.#request = request;
    this.#serviceTtl = serviceTtl;
    this.#ttl = ttl;
    this.#zone = zone;
  }

  addresses(items: readonly ExternalItem[], type: number): Promise<void> | undefined {
    const { name } = this.#request.question;
    let waiting: Promise<void> | undefined;
    for (const { host } of items) {
      if (typeof host === 'string') {
        const add = (): Promise<void> | undefined => {
          if (!this.#isNew(`${host} ${type}`)) return undefined;
          this.answer.push(nameRecord(name, TYPE.CNAME, this.#serviceTtl, fqdn(host)));
          return this.#lookUp(host, type, this.answer);
        };
        waiting = waiting === undefined ? add() : waiting.then(add);
      } else if (host.length === (type === TYPE.A ? 4 : 16) && this.#isNew(host.join('.'))) {
        this.answer.push(addressRecord(name, this.#ttl, host));
      }
    }
    return waiting;
  }

  services(items: readonly ExternalItem[]): Promise<void> | undefined {
    const weight = weightOf(items);
    const { name } = this.#request.question;
    let waiting: Promise<void> | undefined;
    for (const item of items) {
      const { host, port } = item;
      if (port === -1) continue;
      const target = targetOf(item, this.#zone);
      if (this.#isNew(`${target} ${port}`)) this.answer.push(srvRecord(name, this.#serviceTtl, weight, port, target));
      const isNew = this.#isNew(typeof host === 'string' ? target : `${target} ${host.join('.')}`);
      if (!isNew) continue;
      if (typeof host !== 'string') {
        this.additional.push(addressRecord(target, this.#ttl, host));
        continue;
      }
      const add = async (): Promise<void> => {
        await this.#lookUp(host, TYPE.A, this.additional);
        await this.#lookUp(host, TYPE.AAAA, this.additional);
      };
      waiting = waiting === undefined ? add() : waiting.then(add);
    }
    return waiting;
  }

  #isNew(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  /** Asks the whole server, as for any client. */
  #lookUp(host: string, type: number, into: ResourceRecord[]): Promise<void> | undefined {
    const keeper = new ReplyKeeper();
    const served = this.#request.server.serve(this.#request.withQuestion(fqdn(host), type), keeper);
    const take = (): void => {
      const { reply } = keeper;
      if (reply === undefined) return;
      this.truncated ||= reply.truncated;
      const { ttl } = reply;
      into.push(...(ttl === undefined ? reply.answer : reply.answer.map((record) => ({ ...record, ttl }))));
    };
    if (served instanceof Promise) return served.then(take);
    take();
    return undefined;
  }
}
