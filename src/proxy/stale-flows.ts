// UDP flows that must be forgotten: those to a service port that go to what is not one of its serving endpoints: to one that went, or
// to the address itself because there was none. Their next packet is a first one again. TCP connections are left to end by themselves.
// After CleanStaleEntries() of pkg/proxy/conntrack/cleanup.go as of v1.36: endpoints are told by address and port, and Services
// without endpoints, and those that are deleted (PRs 139629 and 141371), are cleaned up after, too.
//
// Flows to a NodePort are known by the port alone, whatever the address: so they stay when there is no endpoint, since they could be
// somebody else's. Only service ports that changed are looked at; the real one looks at all of them, every time.
import type { IpAddress } from '../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_UDP } from '../tcpip-ts/wire/ipv4.ts';
import type { Netlink, NetlinkOp } from './either-family.ts';
import { type Endpoint, endpointName } from './endpoints.ts';
import type { ProxierInput } from './proxier.ts';
import type { ServicePort } from './service-port.ts';

export class StaleFlows {
  /** UDP service ports that there were. */
  readonly #known = new Map<string, ServicePort>();
  /** Deleted ones, until a sync that forgot their flows went through. */
  readonly #gone = new Map<string, ServicePort>();

  /** What forgets them; done() when the kernel has done so. O(UDP flows), if a UDP service port changed. */
  ops(netlink: Netlink, { ports, endpoints, changed }: ProxierInput, isFull: boolean): readonly NetlinkOp[] {
    const keys = isFull ? new Set([...ports.keys(), ...this.#known.keys()]) : changed;
    const frontends = new Frontends();
    for (const key of keys) {
      const before = this.#known.get(key);
      if (ports.get(key)?.proto === IPPROTO_UDP || !before) continue;
      this.#known.delete(key);
      this.#gone.set(key, before);
    }
    for (const port of this.#gone.values()) frontends.add(port, []);
    for (const key of keys) {
      const port = ports.get(key);
      if (port?.proto !== IPPROTO_UDP) continue;
      this.#known.set(key, port);
      frontends.add(port, endpoints.get(key) ?? []); // after those that are gone: their address may be this one's now
    }
    return frontends.isEmpty ? [] : staleAmong(netlink, frontends);
  }

  done(): void {
    this.#gone.clear();
  }
}

function staleAmong(netlink: Netlink, frontends: Frontends): readonly NetlinkOp[] {
  const ops: NetlinkOp[] = [];
  for (const { original, reply } of netlink.conntrack({ proto: IPPROTO_UDP })) {
    if (!frontends.isStale(original.daddr, original.dport, endpointName({ addr: reply.saddr, port: reply.sport })))
      continue;
    const { proto, saddr: origSrc, sport: origPortSrc, daddr: origDst, dport: origPortDst } = original;
    ops.push({ op: 'conntrack-delete', filter: { proto, origSrc, origPortSrc, origDst, origPortDst } });
  }
  return ops;
}

/** Where Services are reached, each with the names of its serving endpoints. */
class Frontends {
  readonly #byAddress = new Map<string, ReadonlySet<string>>();
  readonly #byNodePort = new Map<number, ReadonlySet<string>>();

  get isEmpty(): boolean {
    return this.#byAddress.size === 0;
  }

  add(port: ServicePort, endpoints: readonly Endpoint[]): void {
    const serving = new Set(endpoints.filter((e) => e.serving).map(endpointName));
    for (const addr of [port.clusterIP, ...port.externalIPs, ...port.loadBalancerIPs])
      this.#byAddress.set(endpointName({ addr, port: port.port }), serving);
    if (port.nodePort !== 0 && serving.size > 0) this.#byNodePort.set(port.nodePort, serving);
  }

  isStale(daddr: IpAddress, dport: number, endpoint: string): boolean {
    const atAddress = this.#byAddress.get(endpointName({ addr: daddr, port: dport }));
    if (atAddress && !atAddress.has(endpoint)) return true;
    const atNodePort = this.#byNodePort.get(dport);
    return atNodePort !== undefined && !atNodePort.has(endpoint);
  }
}
