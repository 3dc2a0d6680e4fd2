// A host on @tcpip-ts: interfaces in, sockets out. Puts the layers together and owns nothing of the outside: clock, randomness,
// packet pool and links are given, so that two stacks on a virtual clock do the same for the same seed.
//
//   UdpSocket  TcpSocket TcpServer      socket/
//       │            │
//    UdpLayer     TcpLayer   IcmpLayer  udp/ tcp/ icmp/
//       └────────────┴───────────┘
//                 IpLayer               ip/: routes, reassembly, fragmentation, loopback
//                    │
//         Interface (ARP)  Interface …  ip/interface, arp/
//                    │
//                   Link                link.ts: given
import { type Clock, RealClock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import { Counters } from './counters.ts';
import { IcmpLayer } from './icmp/icmp-layer.ts';
import type { Interface, InterfaceOptions } from './ip/interface.ts';
import { IpLayer } from './ip/ip-layer.ts';
import type { Link } from './link.ts';
import type { SkbPool } from './skb.ts';
import type { TcpOptions } from './tcp/settings.ts';
import { TcpLayer } from './tcp/tcp-layer.ts';
import { UdpLayer } from './udp/udp-layer.ts';
import { type IpAddress, netmask } from './wire/address.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from './wire/ipv4.ts';

export interface StackEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  /** Runs a function soon, outside the current call: loopback delivery. By default setImmediate, on a virtual clock a zero timer. */
  readonly defer?: (fn: () => void) => void;
  /** Tuning of TCP. */
  readonly tcp?: Partial<TcpOptions>;
}

export class Stack {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters = new Counters();
  readonly ip: IpLayer;
  readonly icmp: IcmpLayer;
  readonly udp: UdpLayer;
  readonly tcp: TcpLayer;
  #closed = false;

  constructor(env: StackEnv) {
    const { clock, rng, pool } = env;
    const { counters } = this;
    const defer = env.defer ?? (clock instanceof RealClock ? (fn) => setImmediate(fn) : (fn) => clock.after(0, fn));
    this.clock = clock;
    this.rng = rng;
    this.pool = pool;
    this.ip = new IpLayer({ clock, rng, pool, counters, defer });
    this.icmp = new IcmpLayer(this.ip);
    this.udp = new UdpLayer(this.ip);
    this.tcp = new TcpLayer({ clock, rng, ip: this.ip, pool, counters, options: env.tcp ?? {} });
    this.ip.setTransport(IPPROTO_ICMP, this.icmp);
    this.ip.setTransport(IPPROTO_UDP, this.udp);
    this.ip.setTransport(IPPROTO_TCP, this.tcp);
  }

  get interfaces(): readonly Interface[] {
    return this.ip.interfaces;
  }

  /**
   * Attaches an interface to `link`, which stays the caller's. Adds the address and, for a prefix shorter than 32, the route to
   * its subnet. Interfaces count from 1.
   */
  addInterface(link: Link, options: InterfaceOptions): Interface {
    return this.ip.addInterface(link, options);
  }

  /** Routes network/prefixLen by `gateway` (0: on the link itself) out of interface `ifIndex`. Throws RangeError for no such interface. */
  addRoute(network: IpAddress, prefixLen: number, gateway: IpAddress, ifIndex: number): void {
    const iface = this.ip.interfaces[ifIndex - 1];
    if (!iface) throw new RangeError(`no interface ${ifIndex}`);
    this.ip.routes.add((network & netmask(prefixLen)) >>> 0, prefixLen, gateway, iface);
  }

  removeRoute(network: IpAddress, prefixLen: number, gateway: IpAddress): boolean {
    return this.ip.routes.remove((network & netmask(prefixLen)) >>> 0, prefixLen, gateway);
  }

  /** Closes all sockets without a goodbye to their peers, frees every packet held. What still arrives is dropped. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.tcp.close();
    this.udp.close();
    this.icmp.close();
    this.ip.close();
  }
}
