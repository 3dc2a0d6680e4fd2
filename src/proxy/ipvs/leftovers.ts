// What stays of IPVS when its mode is left for iptables: the connections that it has, until they end. Only IPVS knows their way, and the
// real kube-proxy leaves it in place there: the platformCleanup() of its start (cmd/kube-proxy/app/server_linux.go, v1.32) counts ipvs and
// iptables as of one kind, and cleans neither up for the other. On the way to nftables it flushes IPVS, and what goes through it ends.
//
// Theory of operation. The ClusterIPs are local addresses meanwhile, but iptables translates what is new before a route is looked up, so
// only what conntrack knows from before still comes to IPVS. At once, and then every second, virtual servers without such connections go,
// and their addresses; those that stay take nothing new, as their real servers have the weight 0. With the last goes kube-ipvs0.
// Deviation: a real one leaves all of it, for new connections to what iptables has no rule for, too, until `kube-proxy --cleanup`.
import type { Clock, Timer } from '../../lib/clock.ts';
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import type { IpvsConnection, Netlink, NetlinkOp } from '../either-family.ts';
import { endpointName } from '../endpoints.ts';
import { serverKey } from './compile.ts';
import { DUMMY_DEVICE, removeDevice } from './proxier.ts';

const LOOK_US = 1e6;
/** An Event's message is short (1,024 bytes). */
const NAMED = 10;

export interface IpvsLeftoversOptions {
  readonly netlink: Netlink;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

export class IpvsLeftovers {
  readonly #options: IpvsLeftoversOptions;
  #timer: Timer | null = null;

  /** Begins to clear up. Throws NetlinkError. */
  constructor(options: IpvsLeftoversOptions) {
    this.#options = options;
    this.#clearUp();
  }

  /** Stops; the kernel keeps what it holds. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #clearUp(): void {
    const { netlink, clock, onError } = this.#options;
    const inUse = new Set(netlink.ipvsConnections().filter(isLive).map(serverOf));
    const addresses = new Set<IpAddress>();
    const ops: NetlinkOp[] = [];
    for (const service of netlink.ipvsServices()) {
      if (!inUse.has(serverKey(service))) {
        ops.push({ op: 'ipvs-del-service', service });
        continue;
      }
      addresses.add(service.addr);
      for (const dest of netlink.ipvsDests(service))
        if (dest.weight !== 0) ops.push({ op: 'ipvs-update-dest', service, dest: { ...dest, weight: 0 } });
    }
    if (addresses.size === 0) {
      ops.push(...removeDevice(netlink));
    } else {
      for (const { dev, addr, prefixLen } of netlink.addresses(DUMMY_DEVICE))
        if (!addresses.has(addr)) ops.push({ op: 'addr-del', dev, addr, prefixLen });
      this.#timer = clock.after(LOOK_US, () => {
        try {
          this.#clearUp();
        } catch (error) {
          onError(error);
        }
      });
    }
    netlink.commit(ops);
  }
}

/** By name, '' without any: the TCP connections that IPVS has, and the UDP datagrams to which no answer has come yet. */
export function underWay(netlink: Netlink): { readonly connections: string; readonly requests: string } {
  const live = netlink.ipvsConnections().filter(isLive);
  const tcp = live.filter(({ proto }) => proto === IPPROTO_TCP);
  const udp = live.filter(({ proto, answered }) => proto !== IPPROTO_TCP && !answered);
  return {
    connections: tcp.length === 0 ? '' : `${count(tcp.length, 'TCP connection')} (${named(tcp)})`,
    requests: udp.length === 0 ? '' : `${count(udp.length, 'UDP request')} without an answer yet (${named(udp)})`,
  };
}

/** More may come of it, and will come to IPVS. */
function isLive({ proto, state, tracked }: IpvsConnection): boolean {
  return tracked && (proto !== IPPROTO_TCP || (state !== 'TIME_WAIT' && state !== 'CLOSE'));
}

function serverOf({ proto, vaddr, vport }: IpvsConnection): string {
  return serverKey({ proto, addr: vaddr, port: vport });
}

function named(connections: readonly IpvsConnection[]): string {
  const names = connections.slice(0, NAMED).map(({ caddr, cport, vaddr, vport, daddr, dport }) => {
    const [client, service, server] = [
      { addr: caddr, port: cport },
      { addr: vaddr, port: vport },
      { addr: daddr, port: dport },
    ].map(endpointName);
    return `${client} to ${service} at ${server}`;
  });
  const more = connections.length - names.length;
  return names.join(', ') + (more > 0 ? `, and ${more} more` : '');
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
