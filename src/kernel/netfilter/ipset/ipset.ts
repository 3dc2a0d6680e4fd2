// IP sets, after net/netfilter/ipset (v6.6): the types that kube-proxy's IPVS mode uses, IPv4. One class holds every hash
// type; its kind says which words an entry has. bitmap:port ignores the protocol, as the kernel's does.
//
//   type               words
//   hash:ip            ip
//   hash:net           network, prefix length
//   hash:ip,port       ip, proto << 16 | port
//   hash:ip,port,ip    ip, proto << 16 | port, ip2
//   hash:ip,port,net   ip, proto << 16 | port, network, prefix length
//
// Net types are probed once for each prefix length in use. Prefix length 0 is refused, as by the kernel.
// Leaves out: timeouts, counters, skbinfo, comments' texts, nomatch, IPv6, ranges.
import { formatIPv4, netmask } from '../../../tcpip-ts/wire/address.ts';
import { IPPROTO_TCP } from '../../../tcpip-ts/wire/ipv4.ts';
import { type IpSetEntry, type IpSetType, NetlinkError } from '../../netlink.ts';
import { protoName } from '../proto-name.ts';
import { EntryTable } from './entry-table.ts';

const IPSET_MAXELEM = 65536;
const IPSET_HASHSIZE = 1024;

export interface IpSetOptions {
  readonly type: IpSetType;
  readonly hashSize?: number;
  readonly maxElem?: number;
  readonly portRange?: readonly [number, number];
  readonly comment?: boolean;
}

/** One set. Dimensions that its type has not are ignored by test(). */
export class IpSet {
  readonly type: IpSetType;
  readonly hashSize: number;
  readonly maxElem: number;
  readonly portRange: readonly [number, number];
  readonly comment: boolean;
  readonly #table: EntryTable;
  readonly #bitmap: Uint8Array;
  #bits = 0;
  readonly #perLen = new Uint32Array(33);
  #lengths: readonly number[] = [];

  constructor(options: IpSetOptions) {
    this.type = options.type;
    this.hashSize = options.hashSize ?? IPSET_HASHSIZE;
    this.maxElem = options.maxElem ?? IPSET_MAXELEM;
    this.portRange = options.portRange ?? [0, 65535];
    this.comment = options.comment ?? false;
    this.#table = new EntryTable(WIDTH[options.type]);
    this.#bitmap = new Uint8Array(options.type === 'bitmap:port' ? 8192 : 0);
  }

  get size(): number {
    return this.type === 'bitmap:port' ? this.#bits : this.#table.size;
  }

  /** How many dimensions a match must name. */
  get dimensions(): number {
    return DIMENSIONS[this.type];
  }

  /** Whether the packet's fields are in the set; `ip` and `ip2` signed or unsigned. */
  test(ip: number, proto: number, port: number, ip2: number): boolean {
    switch (this.type) {
      case 'hash:ip':
        return this.#table.has(ip);
      case 'hash:ip,port':
        return this.#table.has(ip, (proto << 16) | port);
      case 'hash:ip,port,ip':
        return this.#table.has(ip, (proto << 16) | port, ip2);
      case 'hash:ip,port,net':
        for (const len of this.#lengths) {
          if (this.#table.has(ip, (proto << 16) | port, ip2 & netmask(len), len)) return true;
        }
        return false;
      case 'hash:net':
        for (const len of this.#lengths) if (this.#table.has(ip & netmask(len), len)) return true;
        return false;
      case 'bitmap:port':
        return (this.#bitmap[port >> 3]! & (1 << (port & 7))) !== 0;
    }
  }

  /** Adding what is there is no error. Throws ENOSPC-like IPSET_ERR_HASH_FULL and range errors as NetlinkError. */
  add(entry: IpSetEntry): void {
    if (this.type === 'bitmap:port') {
      const port = this.#portOf(entry);
      if (this.test(0, 0, port, 0)) return;
      this.#bitmap[port >> 3]! |= 1 << (port & 7);
      this.#bits++;
      return;
    }
    const [a, b, c, d] = this.#wordsOf(entry);
    if (this.#table.has(a, b, c, d)) return;
    if (this.#table.size >= this.maxElem)
      throw new NetlinkError('IPSET_ERR_HASH_FULL', 'Hash is full, cannot add more elements');
    this.#table.add(a, b, c, d);
    this.#countLength(entry, 1);
  }

  /** Deleting what is not there is no error. */
  delete(entry: IpSetEntry): void {
    if (this.type === 'bitmap:port') {
      const port = this.#portOf(entry);
      if (!this.test(0, 0, port, 0)) return;
      this.#bitmap[port >> 3]! &= ~(1 << (port & 7));
      this.#bits--;
      return;
    }
    const [a, b, c, d] = this.#wordsOf(entry);
    if (this.#table.delete(a, b, c, d)) this.#countLength(entry, -1);
  }

  flush(): void {
    this.#table.clear();
    this.#bitmap.fill(0);
    this.#bits = 0;
    this.#perLen.fill(0);
    this.#lengths = [];
  }

  /** Sorted, so that texts are stable. */
  entries(): IpSetEntry[] {
    if (this.type === 'bitmap:port') {
      const entries: IpSetEntry[] = [];
      for (let port = this.portRange[0]; port <= this.portRange[1]; port++)
        if (this.test(0, 0, port, 0)) entries.push({ port });
      return entries;
    }
    const rows = [...this.#table.entries()].sort((x, y) => x[0] - y[0] || x[1] - y[1] || x[2] - y[2] || x[3] - y[3]);
    return rows.map(([a, b, c, d]) => {
      const proto = b >>> 16;
      const port = b & 0xffff;
      switch (this.type) {
        case 'hash:ip':
          return { ip: a };
        case 'hash:net':
          return { ip: a, prefixLen: b };
        case 'hash:ip,port':
          return { ip: a, proto, port };
        case 'hash:ip,port,ip':
          return { ip: a, proto, port, ip2: c };
        default:
          return { ip: a, proto, port, ip2: c, prefixLen: d };
      }
    });
  }

  #wordsOf(e: IpSetEntry): [number, number, number, number] {
    const ip = e.ip ?? 0;
    const port = ((e.proto ?? IPPROTO_TCP) << 16) | (e.port ?? 0);
    switch (this.type) {
      case 'hash:ip':
        return [ip, 0, 0, 0];
      case 'hash:net':
        return [(ip & netmask(prefixOf(e))) >>> 0, prefixOf(e), 0, 0];
      case 'hash:ip,port':
        return [ip, port, 0, 0];
      case 'hash:ip,port,ip':
        return [ip, port, e.ip2 ?? 0, 0];
      default:
        return [ip, port, ((e.ip2 ?? 0) & netmask(prefixOf(e))) >>> 0, prefixOf(e)];
    }
  }

  #portOf(e: IpSetEntry): number {
    const port = e.port ?? 0;
    if (port < this.portRange[0] || port > this.portRange[1]) {
      throw new NetlinkError('IPSET_ERR_BITMAP_RANGE', 'Element is out of the range of the set');
    }
    return port;
  }

  #countLength(e: IpSetEntry, by: 1 | -1): void {
    if (this.type !== 'hash:net' && this.type !== 'hash:ip,port,net') return;
    this.#perLen[prefixOf(e)]! += by;
    const lengths: number[] = [];
    for (let len = 32; len > 0; len--) if (this.#perLen[len]! > 0) lengths.push(len);
    this.#lengths = lengths;
  }
}

/** A name that rules look at; `ipset swap` exchanges what stands behind two of them. */
export class NamedSet {
  readonly name: string;
  set: IpSet;
  /** Rules that match on it: such a set cannot be destroyed. */
  references = 0;

  constructor(name: string, set: IpSet) {
    this.name = name;
    this.set = set;
  }
}

export class IpSets {
  readonly #byName = new Map<string, NamedSet>();

  /** As -exist: the same type again is no error. */
  create(name: string, options: IpSetOptions): void {
    const present = this.#byName.get(name);
    if (present && present.set.type !== options.type)
      throw new NetlinkError('EEXIST', `ipset create ${name}: set with the same name already exists`);
    if (!present) this.#byName.set(name, new NamedSet(name, new IpSet(options)));
  }

  destroy(name: string): void {
    const named = this.get(name);
    if (named.references > 0)
      throw new NetlinkError(
        'EBUSY',
        `ipset destroy ${name}: Set cannot be destroyed: it is in use by a kernel component`,
      );
    this.#byName.delete(name);
  }

  swap(name: string, other: string): void {
    const a = this.get(name);
    const b = this.get(other);
    if (a.set.type !== b.set.type)
      throw new NetlinkError(
        'IPSET_ERR_TYPE_MISMATCH',
        `ipset swap ${name} ${other}: The sets cannot be swapped: their type does not match`,
      );
    const set = a.set;
    a.set = b.set;
    b.set = set;
  }

  /** Makes the set hold exactly `entries`; when one of them is refused, it keeps what it held. */
  replace(name: string, entries: readonly IpSetEntry[]): void {
    const named = this.get(name);
    const { type, hashSize, maxElem, portRange, comment } = named.set;
    const fresh = new IpSet({ type, hashSize, maxElem, portRange, comment });
    for (const entry of entries) fresh.add(entry);
    named.set = fresh;
  }

  /** Throws ENOENT. */
  get(name: string): NamedSet {
    const named = this.#byName.get(name);
    if (!named) throw new NetlinkError('ENOENT', `ipset ${name}: The set with the given name does not exist`);
    return named;
  }

  list(): NamedSet[] {
    return [...this.#byName.values()];
  }

  /** As `ipset save` (protocol 7, without the bucketsize and initval of newer versions). */
  save(): string {
    return this.list()
      .map(
        ({ name, set }) =>
          `create ${name} ${header(set)}\n${set
            .entries()
            .map((e) => `add ${name} ${formatEntry(set.type, e)}\n`)
            .join('')}`,
      )
      .join('');
  }
}

function header(set: IpSet): string {
  const comment = set.comment ? ' comment' : '';
  if (set.type === 'bitmap:port') return `bitmap:port range ${set.portRange[0]}-${set.portRange[1]}${comment}`;
  return `${set.type} family inet hashsize ${set.hashSize} maxelem ${set.maxElem}${comment}`;
}

/** An element as ipset writes it: `10.96.0.1,tcp:443`. */
function formatEntry(type: IpSetType, e: IpSetEntry): string {
  const ip = formatIPv4(e.ip ?? 0);
  const port = `${protoName(e.proto ?? IPPROTO_TCP)}:${e.port ?? 0}`;
  const prefix = e.prefixLen === undefined || e.prefixLen === 32 ? '' : `/${e.prefixLen}`;
  switch (type) {
    case 'bitmap:port':
      return String(e.port ?? 0);
    case 'hash:ip':
      return ip;
    case 'hash:net':
      return `${ip}${prefix}`;
    case 'hash:ip,port':
      return `${ip},${port}`;
    case 'hash:ip,port,ip':
      return `${ip},${port},${formatIPv4(e.ip2 ?? 0)}`;
    case 'hash:ip,port,net':
      return `${ip},${port},${formatIPv4(e.ip2 ?? 0)}${prefix}`;
  }
}

function prefixOf(e: IpSetEntry): number {
  const len = e.prefixLen ?? 32;
  if (len < 1 || len > 32)
    throw new NetlinkError('IPSET_ERR_INVALID_CIDR', 'The value of the CIDR parameter of the IP address is invalid');
  return len;
}

const WIDTH: Readonly<Record<IpSetType, number>> = {
  'hash:ip': 1,
  'hash:net': 2,
  'hash:ip,port': 2,
  'hash:ip,port,ip': 3,
  'hash:ip,port,net': 4,
  'bitmap:port': 1,
};

const DIMENSIONS: Readonly<Record<IpSetType, number>> = {
  'hash:ip': 1,
  'hash:net': 1,
  'hash:ip,port': 2,
  'hash:ip,port,ip': 3,
  'hash:ip,port,net': 3,
  'bitmap:port': 1,
};
