// IPv4 of one host: interfaces, routes, and the transports above. The way in is input.ts, the way out output.ts; this file
// holds what they share. A host, not a router: nothing is forwarded.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { type Counters, SNMP } from '../counters.ts';
import { IcmpErrors } from '../icmp/icmp-errors.ts';
import type { Link } from '../link.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY, type Skb, type SkbPool } from '../skb.ts';
import { netmask } from '../wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_EXC_FRAGTIME, ICMP_HOST_UNREACH, ICMP_TIME_EXCEEDED } from '../wire/icmpv4.ts';
import { IP_OFFSET_MASK, IPV4_HLEN, ipFrag, ipHlen, ipProto, ipSaddr } from '../wire/ipv4.ts';
import type { IpContext } from './context.ts';
import { IpIdents } from './idents.ts';
import { ipDeliver, ipReceive } from './input.ts';
import { Interface, type InterfaceOptions } from './interface.ts';
import { Loopback } from './loopback.ts';
import { ipSend } from './output.ts';
import { Reassembly } from './reassembly.ts';
import { RouteTable, RTN_LOCAL } from './route.ts';
import type { RouteInfo, Transport } from './transport.ts';

export interface IpEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  /** Runs a function soon, outside the current call. */
  readonly defer: (fn: () => void) => void;
}

export class IpLayer implements IpContext {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  readonly routes: RouteTable;
  readonly interfaces: Interface[] = [];
  /** By protocol number. */
  readonly transports: (Transport | null)[] = new Array(256).fill(null);
  readonly reassembly: Reassembly;
  readonly loopback: Loopback;
  readonly idents: IpIdents;
  readonly #errors: IcmpErrors;

  constructor(env: IpEnv) {
    this.clock = env.clock;
    this.rng = env.rng;
    this.pool = env.pool;
    this.counters = env.counters;
    this.routes = new RouteTable(env.clock);
    this.idents = new IpIdents(env.rng);
    this.loopback = new Loopback(Math.max(16, env.pool.size >> 3), (skb) => this.#receiveLooped(skb), env.defer);
    this.reassembly = new Reassembly(env.clock, env.pool, env.counters, (skb) => {
      skb.cb0 = RTN_LOCAL;
      this.sendIcmpError(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0);
    });
    this.#errors = new IcmpErrors(this, this.routes, env.clock, env.counters);
  }

  /** The transport that is handed packets of protocol `proto` and ICMP errors about them. */
  setTransport(proto: number, transport: Transport): void {
    this.transports[proto] = transport;
  }

  /** Attaches to `link` and adds the address, its subnet's route and broadcast. */
  addInterface(link: Link, options: InterfaceOptions): Interface {
    const { clock, rng, pool, counters } = this;
    const input = (skb: Skb, iface: Interface, group: boolean) => ipReceive(this, iface, skb, group);
    const unreachable = (skb: Skb) => this.#unreachable(skb);
    const env = { clock, rng, pool, counters, input, unreachable };
    const iface = new Interface(env, this.interfaces.length + 1, link, options);
    this.interfaces.push(iface);
    this.routes.addLocal(iface.addr, iface.anyAddress ? iface : null);
    if (iface.prefixLen < 32) {
      this.routes.add((iface.addr & netmask(iface.prefixLen)) >>> 0, iface.prefixLen, 0, iface);
    }
    if (iface.broadcast !== undefined) this.routes.addBroadcast(iface.broadcast, iface);
    this.routes.addBroadcast(0xffffffff, iface);
    if (options.announce) iface.arp?.announce();
    return iface;
  }

  route(daddr: number): RouteInfo | undefined {
    return this.routes.lookup(daddr);
  }

  isLocal(addr: number): boolean {
    return this.routes.isLocal(addr);
  }

  /** Whether a packet may claim to come from this host with that source: an own address, or any with an anyAddress interface. */
  isOwnSource(addr: number): boolean {
    return this.routes.isLocal(addr) || this.interfaces.some((i) => i.anyAddress);
  }

  alloc(): Skb | null {
    const skb = this.pool.alloc();
    if (skb === null) return null;
    skb.th = skb.nh + IPV4_HLEN;
    skb.tail = skb.th;
    return skb;
  }

  send(skb: Skb, saddr: number, daddr: number, proto: number, ttl: number, tos: number, df: boolean): number {
    return ipSend(this, skb, saddr, daddr, proto, ttl, tos, df);
  }

  sendIcmpError(skb: Skb, type: number, code: number, info: number): void {
    this.#errors.send(skb, type, code, info);
  }

  close(): void {
    for (const iface of this.interfaces) iface.close();
    this.reassembly.close();
    this.loopback.close();
  }

  #receiveLooped(skb: Skb): void {
    this.counters.v[SNMP.IpInReceives]!++;
    skb.iif = 0;
    skb.cb0 = RTN_LOCAL;
    if (skb.checksum === CHECKSUM_NONE) skb.checksum = CHECKSUM_UNNECESSARY; // we have just made it
    skb.th = skb.nh + ipHlen(skb.bytes, skb.nh);
    ipDeliver(this, skb);
  }

  /** The next hop of a packet of ours did not answer: tells its transport, as arp_error_report() does through ICMP. */
  #unreachable(skb: Skb): void {
    const b = skb.bytes;
    const nh = skb.nh;
    this.counters.v[SNMP.IpOutDiscards]!++;
    if ((ipFrag(b, nh) & IP_OFFSET_MASK) === 0) {
      const transport = this.transports[ipProto(b, nh)];
      transport?.error(b, nh, nh + ipHlen(b, nh), skb.tail, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, ipSaddr(b, nh));
    }
    skb.free();
  }
}
