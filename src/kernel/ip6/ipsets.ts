// ipsets of family inet6 as they are held: entries by name, what the ipset program does to them, and `ipset save`'s text.
// Deviation: no packet is matched against them, as the emulated kernel has no packet path for IPv6; what-if asks them.
import { formatIpAddress, type IpAddress, isInPrefix, networkOf } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import { protoName } from '../netfilter/proto-name.ts';
import { type IpSetEntry, type IpSetType, NetlinkError } from '../netlink.ts';

type Entry = IpSetEntry<IpAddress>;

/** Fields of an address, a port and a second address or network. */
const DIMENSIONS: Readonly<Record<IpSetType, number>> = {
  'hash:ip': 1,
  'hash:net': 1,
  'hash:ip,port': 2,
  'hash:ip,port,ip': 3,
  'hash:ip,port,net': 3,
  'bitmap:port': 1,
};

class Set6 {
  readonly type: IpSetType;
  readonly dimensions: number;
  readonly maxElem: number;
  readonly entries = new Map<string, Entry>();

  constructor(type: IpSetType, maxElem: number) {
    this.type = type;
    this.dimensions = DIMENSIONS[type];
    this.maxElem = maxElem;
  }

  test(ip: IpAddress, proto: number, port: number, ip2: IpAddress): boolean {
    switch (this.type) {
      case 'hash:net':
        return [...this.entries.values()].some((e) => isInPrefix([e.ip!, e.prefixLen ?? 128], ip));
      case 'hash:ip,port,net':
        return [...this.entries.values()].some(
          (e) => e.ip === ip && e.proto === proto && e.port === port && isInPrefix([e.ip2!, e.prefixLen ?? 128], ip2),
        );
      default:
        return this.entries.has(this.keyOf({ ip, proto, port, ip2 }));
    }
  }

  add(entry: Entry): void {
    this.entries.set(this.keyOf(entry), entry);
  }

  delete(entry: Entry): void {
    this.entries.delete(this.keyOf(entry));
  }

  flush(): void {
    this.entries.clear();
  }

  /** The fields that this type has, as `ipset add` takes them. */
  keyOf({ ip = 0n, proto = IPPROTO_TCP, port = 0, ip2 = 0n, prefixLen = 128 }: Entry): string {
    const dport = `${protoName(proto)}:${port}`;
    const net = (addr: IpAddress): string =>
      `${formatIpAddress(networkOf(addr, prefixLen))}${prefixLen === 128 ? '' : `/${prefixLen}`}`;
    switch (this.type) {
      case 'bitmap:port':
        return String(port);
      case 'hash:ip':
        return formatIpAddress(ip);
      case 'hash:net':
        return net(ip);
      case 'hash:ip,port':
        return `${formatIpAddress(ip)},${dport}`;
      case 'hash:ip,port,ip':
        return `${formatIpAddress(ip)},${dport},${formatIpAddress(ip2)}`;
      case 'hash:ip,port,net':
        return `${formatIpAddress(ip)},${dport},${net(ip2)}`;
    }
  }

  header(): string {
    if (this.type === 'bitmap:port') return 'bitmap:port range 0-65535';
    return `${this.type} family inet6 hashsize 1024 maxelem ${this.maxElem}`;
  }
}

export class IpSets6 {
  readonly #sets = new Map<string, Set6>();

  /** As -exist. */
  create(name: string, { type, maxElem = 65536 }: { readonly type: IpSetType; readonly maxElem?: number }): void {
    if (!this.#sets.has(name)) this.#sets.set(name, new Set6(type, maxElem));
  }

  destroy(name: string): void {
    this.get(name);
    this.#sets.delete(name);
  }

  swap(name: string, other: string): void {
    const [a, b] = [this.get(name).set, this.get(other).set];
    this.#sets.set(name, b).set(other, a);
  }

  replace(name: string, entries: readonly Entry[]): void {
    const { set } = this.get(name);
    set.flush();
    for (const entry of entries) set.add(entry);
  }

  /** Throws ENOENT. */
  get(name: string): { readonly set: Set6 } {
    const set = this.#sets.get(name);
    if (!set) throw new NetlinkError('ENOENT', `ipset ${name}: The set with the given name does not exist`);
    return { set };
  }

  list(): { readonly name: string; readonly type: IpSetType; readonly entries: readonly Entry[] }[] {
    return [...this.#sets].map(([name, { type, entries }]) => ({ name, type, entries: [...entries.values()] }));
  }

  save(): string {
    return [...this.#sets]
      .map(
        ([name, set]) =>
          `create ${name} ${set.header()}\n${[...set.entries.keys()]
            .sort()
            .map((e) => `add ${name} ${e}\n`)
            .join('')}`,
      )
      .join('');
  }
}
