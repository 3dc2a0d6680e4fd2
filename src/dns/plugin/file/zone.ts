// A zone's records by name and type, and the walk that answers a question from them (CoreDNS plugin/file/lookup.go, closest.go and
// tree/): delegations and DNAMEs on the way down, wildcards, CNAME chains, names that only have names below them. Signatures and
// denials that the file holds go along when the client wants them (DO); nothing is signed here.
// Names are in lower case. The records are shared: never changed.
import { TYPE } from '../../constants.ts';
import { below, isSubdomain, labelsOf, trimZone } from '../../name.ts';
import { nameRecord, type ResourceRecord, soaSerial } from '../../record.ts';

type Types = Map<number, ResourceRecord[]>;

export type Outcome = 'success' | 'nameError' | 'delegation' | 'noData' | 'serverFailure';

export interface Found {
  readonly outcome: Outcome;
  readonly answer: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
  readonly additional: readonly ResourceRecord[];
}

/** Asks elsewhere for what a CNAME points at. */
export type LookUp = (
  target: string,
) =>
  | { answer: readonly ResourceRecord[]; outcome: Outcome }
  | Promise<{ answer: readonly ResourceRecord[]; outcome: Outcome }>;

const NOTHING: readonly ResourceRecord[] = [];
/** CNAMEs in the zone that are followed for one question. */
const MAX_CHAIN = 9;

export class Zone {
  readonly origin: string;
  readonly soa: ResourceRecord;
  readonly serial: number;
  readonly #names = new Map<string, Types>();
  readonly #nonTerminals = new Set<string>();
  /** All names in canonical order (RFC 4034 6.1), for denials. */
  readonly #order: { readonly key: string; readonly name: string }[];

  /** Throws when a record lies outside, when there is no SOA, and when a name has a CNAME and something else. */
  constructor(origin: string, records: readonly ResourceRecord[], file: string) {
    this.origin = origin;
    for (const record of records) this.#insert(record, file);
    const soa = this.#names.get(origin)?.get(TYPE.SOA)?.[0];
    if (soa === undefined) throw new Error(`file "${file}" has no SOA record for origin ${origin}`);
    this.soa = soa;
    this.serial = soaSerial(soa);
    for (const name of this.#names.keys()) {
      for (let up = parentOf(name); up.length > origin.length && !this.#names.has(up); up = parentOf(up))
        this.#nonTerminals.add(up);
    }
    this.#order = [...this.#names.keys()].map((name) => ({ key: orderKey(name), name }));
    this.#order.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #insert(record: ResourceRecord, file: string): void {
    const { name, type } = record;
    if (!isSubdomain(this.origin, name))
      throw new Error(`file "${file}": record for ${name} is not in the zone ${this.origin}`);
    let types = this.#names.get(name);
    if (types === undefined) this.#names.set(name, (types = new Map()));
    const list = types.get(type);
    if (list === undefined) types.set(type, [record]);
    else list.push(record);
  }

  /** Everything there is, the SOA first and last, in pieces. */
  *all(): Generator<readonly ResourceRecord[]> {
    const apex = this.#names.get(this.origin)!;
    yield [this.soa];
    for (const { name } of this.#order) {
      const types = this.#names.get(name)!;
      for (const [type, records] of types) if (!(types === apex && type === TYPE.SOA)) yield records;
    }
    yield [this.soa];
  }

  /** `name` is at or below the origin. */
  find(name: string, type: number, dnssecOk: boolean, lookUp: LookUp): Found | Promise<Found> {
    if (name === this.origin && type === TYPE.SOA)
      return found('success', this.#soa(dnssecOk), this.#ns(dnssecOk), NOTHING);
    if (name === this.origin && type === TYPE.NS) {
      const servers = this.#names.get(name)!.get(TYPE.NS) ?? [];
      return found('success', this.#ns(dnssecOk), NOTHING, this.#glue(servers, dnssecOk));
    }
    const ask = new Question(type, dnssecOk, lookUp);
    let wildcard: { readonly owner: string; readonly types: Types } | undefined;
    for (const step of stepsTo(name, this.origin)) {
      const types = this.#names.get(step);
      if (types === undefined) {
        const owner = below('*', parentOf(step));
        const wild = this.#names.get(owner);
        if (wild !== undefined) wildcard = { owner, types: wild };
        continue;
      }
      const renamed = types.get(TYPE.DNAME)?.[0];
      if (renamed !== undefined && step !== name) return this.#renamed(renamed, types, name, ask);
      const servers = step === this.origin ? undefined : types.get(TYPE.NS);
      if (servers !== undefined && !(type === TYPE.DS && step === name)) {
        const signed = dnssecOk ? withSignatures(types, TYPE.DS, true) : NOTHING;
        return found('delegation', NOTHING, [...servers, ...signed], this.#glue(servers, dnssecOk));
      }
    }
    const types = this.#names.get(name);
    if (types !== undefined) return this.#exact(name, types, ask);
    if (wildcard !== undefined) return this.#expanded(wildcard.types, name, ask);
    return this.#denied(name, dnssecOk);
  }

  #exact(name: string, types: Types, ask: Question): Found | Promise<Found> {
    const { type, dnssecOk } = ask;
    const alias = types.get(TYPE.CNAME);
    if (alias !== undefined && type !== TYPE.CNAME)
      return this.#follow(withSignatures(types, TYPE.CNAME, dnssecOk), ask);
    const records = types.get(type);
    if (records === undefined) {
      const denial = dnssecOk ? withSignatures(types, TYPE.NSEC, true) : NOTHING;
      return found('noData', NOTHING, [...this.#soa(dnssecOk), ...denial], NOTHING);
    }
    const authority = name === this.origin && type === TYPE.NS ? NOTHING : this.#ns(dnssecOk);
    return found('success', withSignatures(types, type, dnssecOk), authority, this.#targetsOf(records, dnssecOk));
  }

  /** What `*.PARENT` has, under the name that was asked for. */
  #expanded(types: Types, name: string, ask: Question): Found | Promise<Found> {
    const { type, dnssecOk } = ask;
    const renamed = (list: readonly ResourceRecord[]): ResourceRecord[] => list.map((record) => ({ ...record, name }));
    if (types.has(TYPE.CNAME)) return this.#follow(renamed(withSignatures(types, TYPE.CNAME, dnssecOk)), ask);
    const records = types.get(type);
    if (records === undefined) {
      const denial = dnssecOk ? withSignatures(types, TYPE.NSEC, true) : NOTHING;
      return found('noData', NOTHING, [...this.#soa(dnssecOk), ...denial], NOTHING);
    }
    const denial = dnssecOk ? this.#nsecBefore(name) : NOTHING;
    return found(
      'success',
      renamed(withSignatures(types, type, dnssecOk)),
      [...this.#ns(dnssecOk), ...denial],
      NOTHING,
    );
  }

  #denied(name: string, dnssecOk: boolean): Found {
    const outcome = this.#nonTerminals.has(name) ? 'noData' : 'nameError';
    const authority = [...this.#soa(dnssecOk)];
    if (dnssecOk) {
      const denial = this.#nsecBefore(name);
      authority.push(...denial);
      if (outcome === 'nameError') {
        let encloser = parentOf(name);
        while (!this.#names.has(encloser)) encloser = parentOf(encloser);
        const wild = this.#nsecBefore(below('*', encloser));
        if (wild[0] !== denial[0]) authority.push(...wild);
      }
    }
    return found(outcome, NOTHING, authority, NOTHING);
  }

  /** The CNAME a DNAME makes for a name below it (RFC 6672 3.1). */
  #renamed(dname: ResourceRecord, types: Types, name: string, ask: Question): Found | Promise<Found> {
    const target = below(trimZone(name, dname.name), targetOf(dname));
    if (labelsOf(target) === undefined) return found('serverFailure', NOTHING, NOTHING, NOTHING);
    const before = withSignatures(types, TYPE.DNAME, ask.dnssecOk);
    const rest = this.#follow([nameRecord(name, TYPE.CNAME, dname.ttl, target)], ask);
    const add = (result: Found): Found => ({ ...result, answer: [...before, ...result.answer] });
    return rest instanceof Promise ? rest.then(add) : add(rest);
  }

  /** `answer` ends in a CNAME: goes on where it leads, in this zone or elsewhere. */
  #follow(answer: readonly ResourceRecord[], ask: Question): Found | Promise<Found> {
    const { type, dnssecOk } = ask;
    const all = [...answer];
    const authority = this.#ns(dnssecOk);
    let alias = all.find((record) => record.type === TYPE.CNAME)!;
    for (let i = 0; i < MAX_CHAIN; i++) {
      const target = targetOf(alias);
      const types = this.#names.get(target.toLowerCase());
      if (types === undefined) {
        const done = (more: { answer: readonly ResourceRecord[]; outcome: Outcome }): Found =>
          found(more.outcome, [...all, ...more.answer], authority, NOTHING);
        const more = ask.lookUp(target);
        return more instanceof Promise ? more.then(done) : done(more);
      }
      const next = types.get(TYPE.CNAME);
      if (next === undefined || type === TYPE.CNAME) {
        all.push(...withSignatures(types, type, dnssecOk));
        return found('success', all, authority, NOTHING);
      }
      all.push(...withSignatures(types, TYPE.CNAME, dnssecOk));
      alias = next[0]!;
    }
    return found('success', all, authority, NOTHING);
  }

  #soa(dnssecOk: boolean): readonly ResourceRecord[] {
    return withSignatures(this.#names.get(this.origin)!, TYPE.SOA, dnssecOk);
  }

  #ns(dnssecOk: boolean): readonly ResourceRecord[] {
    return withSignatures(this.#names.get(this.origin)!, TYPE.NS, dnssecOk);
  }

  /** Addresses of name servers that lie below the name they serve. */
  #glue(servers: readonly ResourceRecord[], dnssecOk: boolean): ResourceRecord[] {
    const inside = servers.filter((ns) => isSubdomain(ns.name, targetOf(ns).toLowerCase()));
    return inside.flatMap((ns) => this.#addressesOf(targetOf(ns), dnssecOk));
  }

  /** Addresses of the hosts that MX and SRV records name, as far as they lie in the zone. */
  #targetsOf(records: readonly ResourceRecord[], dnssecOk: boolean): ResourceRecord[] {
    const hosts = records.filter(({ type }) => type === TYPE.MX || type === TYPE.SRV).map(targetOf);
    return hosts.flatMap((host) => this.#addressesOf(host, dnssecOk));
  }

  #addressesOf(host: string, dnssecOk: boolean): readonly ResourceRecord[] {
    const types = this.#names.get(host.toLowerCase());
    if (types === undefined) return NOTHING;
    return [...withSignatures(types, TYPE.A, dnssecOk), ...withSignatures(types, TYPE.AAAA, dnssecOk)];
  }

  /** The NSEC of the last name at or before this one in canonical order. */
  #nsecBefore(name: string): readonly ResourceRecord[] {
    const key = orderKey(name);
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.#order[mid]!.key <= key) low = mid + 1;
      else high = mid;
    }
    const before = this.#order[low - 1];
    return before === undefined ? NOTHING : withSignatures(this.#names.get(before.name)!, TYPE.NSEC, true);
  }
}

class Question {
  readonly type: number;
  readonly dnssecOk: boolean;
  readonly lookUp: LookUp;

  constructor(type: number, dnssecOk: boolean, lookUp: LookUp) {
    this.type = type;
    this.dnssecOk = dnssecOk;
    this.lookUp = lookUp;
  }
}

function found(
  outcome: Outcome,
  answer: readonly ResourceRecord[],
  authority: readonly ResourceRecord[],
  additional: readonly ResourceRecord[],
): Found {
  return { outcome, answer, authority, additional };
}

function withSignatures(types: Types, type: number, dnssecOk: boolean): readonly ResourceRecord[] {
  const records = types.get(type) ?? NOTHING;
  const signatures = dnssecOk && records.length > 0 ? types.get(TYPE.RRSIG) : undefined;
  if (signatures === undefined) return records;
  return [...records, ...signatures.filter(({ rdata }) => coveredBy(rdata as Uint8Array) === type)];
}

function coveredBy(rdata: Uint8Array): number {
  return (rdata[0]! << 8) | rdata[1]!;
}

/** The name in a record's data. */
function targetOf({ rdata }: ResourceRecord): string {
  return rdata instanceof Uint8Array ? '.' : rdata.names[0]!;
}

/** The names from the origin down to `name`, both included. */
function stepsTo(name: string, origin: string): string[] {
  const steps: string[] = [];
  for (let step = name; ; step = parentOf(step)) {
    steps.push(step);
    if (step === origin || step === '.') break;
  }
  return steps.reverse();
}

/** Without its first label; an escaped dot ends none. */
function parentOf(name: string): string {
  const match = /^(?:\\.|[^.\\])*\./.exec(name);
  return match === null || match[0].length === name.length ? '.' : name.slice(match[0].length);
}

/** Compares as names do: label by label from the right, byte by byte. */
function orderKey(name: string): string {
  const labels = labelsOf(name) ?? [];
  return labels
    .toReversed()
    .map((label) => `${Buffer.from(label).toString('hex')}.`)
    .join('');
}
