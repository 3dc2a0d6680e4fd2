// Lets through the packets of one Service, before translation and after: those to and from an address that kube-proxy serves for it,
// those of connections that first went to one, as connection tracking knows them, and ICMP errors about either. What goes straight
// to an endpoint, as a kubelet's probes do, is none of the Service's.
import { get16 } from '../tcpip-ts/wire/bytes.ts';
import { ICMP_HLEN, isIcmpError } from '../tcpip-ts/wire/icmpv4.ts';
import {
  IP_OFFSET_MASK,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipDaddr,
  ipFrag,
  ipHlen,
  ipProto,
  ipSaddr,
  isIPv4,
} from '../tcpip-ts/wire/ipv4.ts';
import { hasIPv4, type PacketFilter } from './filter.ts';

export interface ServiceSocket {
  readonly proto: number;
  /** undefined: every address of the Node, of a NodePort. */
  readonly addr: number | undefined;
  readonly port: number;
}

/** A Service as the Node serves it. */
export interface ServiceSource {
  /** Changes whenever sockets() may give something else. */
  readonly generation: number;
  sockets(): Iterable<ServiceSocket>;
}

/** What the Node knows of addresses and connections. */
export interface Connections {
  isLocal(addr: number): boolean;
  /** Where the connection of such a packet, translated or not, first went to; undefined where none is known. */
  firstDestination(
    proto: number,
    saddr: number,
    sport: number,
    daddr: number,
    dport: number,
  ): readonly [addr: number, port: number] | undefined;
}

export function serviceFilter(source: ServiceSource, connections: Connections): PacketFilter {
  const sockets = new SocketSet(source, connections);
  return (skb, ether) => hasIPv4(skb, ether) && sockets.concern(skb.bytes, skb.nh, skb.tail);
}

class SocketSet {
  readonly #source: ServiceSource;
  readonly #connections: Connections;
  #generation = -1;
  /** By address: proto << 16 | port of each socket. */
  readonly #byAddress = new Map<number, Set<number>>();
  readonly #nodePorts = new Set<number>();

  constructor(source: ServiceSource, connections: Connections) {
    this.#source = source;
    this.#connections = connections;
  }

  /** Whether the IPv4 packet `b[nh, end)` is from or to one of the sockets, or an ICMP error about such a one. */
  concern(b: Uint8Array, nh: number, end: number): boolean {
    if (this.#generation !== this.#source.generation) this.#read();
    const proto = ipProto(b, nh);
    const th = nh + ipHlen(b, nh);
    const isFirst = (ipFrag(b, nh) & IP_OFFSET_MASK) === 0;
    if (proto === IPPROTO_ICMP) {
      const quote = th + ICMP_HLEN;
      return isFirst && th < end && isIcmpError(b[th]!) && isIPv4(b, quote, end) && this.concern(b, quote, end);
    }
    if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return false;
    const [saddr, daddr] = [ipSaddr(b, nh), ipDaddr(b, nh)];
    if (!isFirst) return this.#byAddress.has(saddr) || this.#byAddress.has(daddr); // only the first fragment has the ports
    if (th + 4 > end) return false;
    const [sport, dport] = [get16(b, th), get16(b, th + 2)];
    if (this.#has(proto, saddr, sport) || this.#has(proto, daddr, dport)) return true;
    const first = this.#connections.firstDestination(proto, saddr, sport, daddr, dport);
    return first !== undefined && this.#has(proto, ...first);
  }

  #has(proto: number, addr: number, port: number): boolean {
    const socket = (proto << 16) | port;
    if (this.#byAddress.get(addr)?.has(socket)) return true;
    return this.#nodePorts.has(socket) && this.#connections.isLocal(addr);
  }

  #read(): void {
    this.#generation = this.#source.generation;
    this.#byAddress.clear();
    this.#nodePorts.clear();
    for (const { addr, proto, port } of this.#source.sockets()) {
      const socket = (proto << 16) | port;
      if (addr === undefined) {
        this.#nodePorts.add(socket);
        continue;
      }
      const sockets = this.#byAddress.get(addr);
      if (sockets) sockets.add(socket);
      else this.#byAddress.set(addr, new Set([socket]));
    }
  }
}
