// IPVS' services of IPv6 as they are held, `ipvsadm-save`'s text, and whom a new connection would get. The schedulers are those
// of ipvs/: they see an address as Linux lets them see one of IPv6, its four words folded into one (ip_vs_sh_hashkey() and
// its kin, 6.1).
// Deviation: no packet is balanced, as the emulated kernel has no packet path for IPv6; so there are no connections.
import type { Clock } from '../../lib/clock.ts';
import { SeededRng } from '../../lib/rng.ts';
import { formatHostPort, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { type Dest, DestTable } from '../ipvs/dest.ts';
import { formatDest, formatService } from '../ipvs/save.ts';
import { schedulers } from '../ipvs/scheduler/registry.ts';
import { VirtualService } from '../ipvs/service.ts';
import { protoName } from '../netfilter/proto-name.ts';
import {
  type IpvsControl,
  NetlinkError,
  type RealServer,
  type RealServerStatus,
  type VirtualServer,
  type VirtualServerKey,
} from '../netlink.ts';
import { type Balancer, type Balancing, reasonOf } from '../what-if/balancer.ts';
import type { Flow } from '../what-if/flow.ts';

type Key = VirtualServerKey<IpAddress>;

/** No connection is ever scheduled here, so the lots are never drawn. */
const SCHEDULERS = schedulers(new SeededRng(1));

class Service6 {
  server: VirtualServer<IpAddress>;
  /** What the scheduler walks. */
  readonly svc: VirtualService;
  readonly servers = new Map<Dest, RealServer<IpAddress>>();

  constructor(server: VirtualServer<IpAddress>) {
    this.server = server;
    this.svc = new VirtualService({ ...server, addr: fold(server.addr), netmask: 0xffffffff }, SCHEDULERS);
  }

  /** As text sees it. */
  get view(): Parameters<typeof formatService>[0] {
    const { proto, addr, port, flags, scheduler, timeoutS, netmask } = this.server;
    return { proto, addr, port, flags, schedulerName: scheduler, persistent: this.svc.persistent, timeoutS, netmask };
  }

  find({ addr, port }: RealServer<IpAddress>): Dest | undefined {
    return [...this.servers].find(([, server]) => server.addr === addr && server.port === port)?.[0];
  }
}

export class Ipvs6 implements Balancer, IpvsControl<IpAddress> {
  readonly #services = new Map<string, Service6>();
  readonly #dests: DestTable;

  constructor(clock: Clock) {
    this.#dests = new DestTable(clock);
  }

  addService(server: VirtualServer<IpAddress>): void {
    this.#services.set(keyOf(server), new Service6(server));
  }

  updateService(server: VirtualServer<IpAddress>): void {
    const service = this.#service(server);
    service.server = server;
    service.svc.edit({ ...server, addr: fold(server.addr), netmask: 0xffffffff });
  }

  deleteService(key: Key): void {
    this.#service(key).svc.clear(this.#dests);
    this.#services.delete(keyOf(key));
  }

  addDest(key: Key, server: RealServer<IpAddress>): void {
    const { svc, servers } = this.#service(key);
    const { addr, port, weight } = server;
    servers.set(svc.linkDest({ addr: fold(addr), port, weight }, this.#dests), server);
  }

  updateDest(key: Key, server: RealServer<IpAddress>): void {
    const { svc, servers } = this.#service(key);
    const dest = this.#dest(key, server);
    svc.editDest(dest, { addr: dest.addr, port: dest.port, weight: server.weight });
    servers.set(dest, server);
  }

  deleteDest(key: Key, server: RealServer<IpAddress>): void {
    const { svc, servers } = this.#service(key);
    const dest = this.#dest(key, server);
    svc.removeDest(dest, this.#dests);
    servers.delete(dest);
  }

  flush(): void {
    for (const { server } of [...this.#services.values()]) this.deleteService(server);
  }

  // Sysctls and timeouts: only connections know them.

  setSysctl(): void {}

  setTimeouts(): void {}

  services(): readonly VirtualServer<IpAddress>[] {
    return [...this.#services.values()].map(({ server }) => server);
  }

  dests(key: Key): readonly RealServerStatus<IpAddress>[] {
    const { svc, servers } = this.#service(key);
    const idle = { activeConns: 0, inactiveConns: 0, persistConns: 0 };
    return Array.from(svc.dests(), (dest) => ({ ...servers.get(dest)!, ...idle }));
  }

  /** There is no packet path. */
  connections(): readonly [] {
    return [];
  }

  /** As `ipvsadm-save -n`. */
  save(): string {
    const lines = [...this.#services.values()]
      .sort((a, b) => order(a.server, b.server))
      .flatMap(({ view, servers }) => [
        formatService(view),
        ...[...servers.values()]
          .sort(order)
          .map(({ addr, port, weight }) => formatDest({ svc: view, addr, port, weight })),
      ]);
    return lines.map((line) => `${line}\n`).join('');
  }

  balance({ proto, saddr, sport, daddr, dport }: Flow): Balancing | undefined {
    const service = dport === undefined ? undefined : this.#services.get(keyOf({ proto, addr: daddr, port: dport }));
    if (!service) return undefined;
    const { svc, servers, view } = service;
    const shares = svc.scheduler.shares(fold(saddr), sport, fold(daddr));
    return {
      service: formatService(view),
      name: `${formatHostPort(daddr, dport!)}/${protoName(proto)}`,
      why: reasonOf(svc.schedulerName, shares.length),
      shares: shares.map(({ dest, probability }) => {
        const { addr, port, weight } = servers.get(dest)!;
        return { addr, port, text: formatDest({ svc: view, addr, port, weight }), probability };
      }),
    };
  }

  close(): void {
    this.#dests.close();
  }

  #service(key: Key): Service6 {
    const found = this.#services.get(keyOf(key));
    if (!found) throw new NetlinkError('ESRCH', `ipvs: no service ${keyOf(key)}`);
    return found;
  }

  #dest(key: Key, server: RealServer<IpAddress>): Dest {
    const found = this.#service(key).find(server);
    if (!found)
      throw new NetlinkError('ENOENT', `ipvs: no server ${formatHostPort(server.addr, server.port)} of ${keyOf(key)}`);
    return found;
  }
}

/** Its four words, exclusively or'ed. */
function fold(addr: IpAddress): number {
  if (typeof addr === 'number') return addr;
  let word = 0n;
  for (let rest = addr; rest > 0n; rest >>= 32n) word ^= rest & 0xffffffffn;
  return Number(word);
}

function keyOf({ proto, addr, port }: Key): string {
  return `${protoName(proto)} ${formatHostPort(addr, port)}`;
}

function order(
  a: { proto?: number; addr: IpAddress; port: number },
  b: { proto?: number; addr: IpAddress; port: number },
): number {
  return (a.proto ?? 0) - (b.proto ?? 0) || (a.addr < b.addr ? -1 : a.addr > b.addr ? 1 : a.port - b.port);
}
