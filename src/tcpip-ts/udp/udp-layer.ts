// UDP of one host, after Linux's net/ipv4/udp.c: finds the socket, verifies checksums, reports closed ports. RFC 768, RFC 1122 4.1,
// RFC 6056. Sockets hang in chains by port. Takes super-datagrams (GSO_UDP_L4) apart into the messages they were.
// Leaves out SO_REUSEPORT, multicast groups, UDP-Lite, encapsulation.
import { type Counters, SNMP } from '../counters.ts';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, EMSGSIZE, ENETUNREACH, ENOBUFS, socketError } from '../errno.ts';
import { icmpErrno, isHardIcmpError } from '../icmp/icmp-errno.ts';
import { pickEphemeralPort } from '../ip/ephemeral-port.ts';
import type { IpLayer } from '../ip/ip-layer.ts';
import { RTN_BROADCAST } from '../ip/route.ts';
import type { Transport } from '../ip/transport.ts';
import { LINK_F_CSUM } from '../link.ts';
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, GSO_UDP_L4, type Skb } from '../skb.ts';
import { sumSkb } from '../skb-checksum.ts';
import { formatIPv4, type IpAddress } from '../wire/address.ts';
import { put16 } from '../wire/bytes.ts';
import { finish, fold, pseudoSum } from '../wire/checksum.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../wire/icmpv4.ts';
import { IPPROTO_UDP, IPV4_HLEN, ipDaddr, ipSaddr, ipTtl } from '../wire/ipv4.ts';
import { emitUdp, UDP_CHECKSUM, UDP_HLEN, udpChecksum, udpDport, udpLen, udpSport } from '../wire/udp.ts';
import { UdpEndpoint, type UdpOutput } from './udp-endpoint.ts';

const MAX_PAYLOAD = 65535 - IPV4_HLEN - UDP_HLEN;

export interface UdpBindOptions {
  /** 0 or none: every own address. */
  readonly addr?: IpAddress;
  /** 0 or none: a random ephemeral one. */
  readonly port?: number;
}

export class UdpLayer implements Transport, UdpOutput {
  readonly #ip: IpLayer;
  readonly #counters: Counters;
  /** First endpoint of each port; more through `next`. */
  readonly #ports = new Map<number, UdpEndpoint>();

  constructor(ip: IpLayer) {
    this.#ip = ip;
    this.#counters = ip.counters;
  }

  /** A socket, or a negative errno: -EADDRINUSE (also when no ephemeral port is left), -EADDRNOTAVAIL. */
  tryBind(options: UdpBindOptions = {}): UdpEndpoint | number {
    const addr = options.addr ?? 0;
    if (addr !== 0 && !this.#ip.isOwnSource(addr) && !this.#ip.routes.isBroadcast(addr)) return -EADDRNOTAVAIL;
    const port = options.port || pickEphemeralPort(this.#ip.rng, (p) => this.#isFree(addr, p));
    if (port === 0 || !this.#isFree(addr, port)) return -EADDRINUSE;
    const endpoint = new UdpEndpoint(this, addr, port);
    endpoint.next = this.#ports.get(port) ?? null;
    this.#ports.set(port, endpoint);
    return endpoint;
  }

  /** As tryBind, for callers who know that the address is theirs and the port free; throws an Error with the errno otherwise. */
  bind(options: UdpBindOptions = {}): UdpEndpoint {
    const endpoint = this.tryBind(options);
    if (typeof endpoint === 'number')
      throw socketError(endpoint, 'bind', formatIPv4(options.addr ?? 0), options.port ?? 0);
    return endpoint;
  }

  input(skb: Skb): void {
    const { v } = this.#counters;
    const b = skb.bytes;
    const th = skb.th;
    const length = skb.tail - th >= UDP_HLEN ? udpLen(b, th) : 0;
    if (length < UDP_HLEN || length > skb.tail - th) {
      v[SNMP.UdpInErrors]!++;
      skb.free();
      return;
    }
    if (skb.checksum === CHECKSUM_NONE && udpChecksum(b, th) !== 0) {
      const sum = pseudoSum(ipSaddr(b, skb.nh), ipDaddr(b, skb.nh), IPPROTO_UDP, length);
      if (finish(sumSkb(skb, th, th + length, sum)) !== 0) {
        v[SNMP.UdpInCsumErrors]!++;
        v[SNMP.UdpInErrors]!++;
        skb.free();
        return;
      }
    }
    const first = this.#ports.get(udpDport(b, th)) ?? null;
    if (skb.cb0 === RTN_BROADCAST) this.#deliverToAll(first, skb, length);
    else {
      const endpoint = find(first, ipDaddr(b, skb.nh), ipSaddr(b, skb.nh), udpSport(b, th));
      if (endpoint) this.#deliver(endpoint, skb, length);
      else {
        v[SNMP.UdpNoPorts]!++;
        this.#ip.sendIcmpError(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
      }
    }
    skb.free();
  }

  error(
    b: Uint8Array,
    nh: number,
    th: number,
    _end: number,
    type: number,
    code: number,
    mtu: number,
    reporter: number,
  ): void {
    const errno = icmpErrno(type, code);
    const daddr = ipDaddr(b, nh);
    const dport = udpDport(b, th);
    const sport = udpSport(b, th);
    // The quoted packet is ours: its source is our end.
    const endpoint = find(this.#ports.get(sport) ?? null, ipSaddr(b, nh), daddr, dport);
    if (errno === 0 || !endpoint?.onError) return;
    const isHard = isHardIcmpError(type, code);
    endpoint.onError(errno, { reporter, daddr, dport, sport, type, code, mtu, isHard });
  }

  sendFrom(endpoint: UdpEndpoint, bytes: Uint8Array, daddr: number, dport: number, saddr: number): number {
    const ip = this.#ip;
    const { v } = this.#counters;
    const length = UDP_HLEN + bytes.length;
    if (bytes.length > MAX_PAYLOAD) return -EMSGSIZE;
    const route = ip.routes.lookup(daddr);
    if (route === undefined) return -ENETUNREACH;
    if (route.type === RTN_BROADCAST && !endpoint.broadcast) return -EACCES;
    if (saddr === 0) saddr = route.saddr;
    const skb = ip.alloc();
    if (skb === null) {
      v[SNMP.UdpSndbufErrors]!++;
      return -ENOBUFS;
    }
    const b = skb.bytes;
    const th = skb.th;
    b.set(bytes, th + UDP_HLEN);
    skb.tail = th + length;
    const fits = IPV4_HLEN + length <= route.mtu;
    if (fits && (route.features & LINK_F_CSUM) !== 0) {
      put16(b, th, endpoint.port);
      put16(b, th + 2, dport);
      put16(b, th + 4, length);
      put16(b, th + UDP_CHECKSUM, fold(pseudoSum(saddr, daddr, IPPROTO_UDP, length)));
      skb.checksum = CHECKSUM_PARTIAL;
      skb.csumStart = th;
      skb.csumField = th + UDP_CHECKSUM;
    } else emitUdp(b, th, endpoint.port, dport, length, saddr, daddr);
    const error = ip.send(skb, saddr, daddr, IPPROTO_UDP, endpoint.ttl, endpoint.tos, fits || endpoint.dontFragment);
    if (error === 0) v[SNMP.UdpOutDatagrams]!++;
    else if (error === -ENOBUFS) v[SNMP.UdpSndbufErrors]!++;
    return error;
  }

  /** The own address from which `daddr` would be reached, 0 when it cannot be. */
  sourceFor(daddr: number): number {
    return this.#ip.route(daddr)?.saddr ?? 0;
  }

  release(endpoint: UdpEndpoint): void {
    const first = this.#ports.get(endpoint.port);
    if (first === endpoint) {
      if (endpoint.next) this.#ports.set(endpoint.port, endpoint.next);
      else this.#ports.delete(endpoint.port);
    } else {
      for (let e = first; e; e = e.next ?? undefined) if (e.next === endpoint) e.next = endpoint.next;
    }
    // `next` of the closed endpoint stays: a broadcast may be walking the chain.
  }

  /** The sockets, for showing. */
  *endpoints(): Generator<UdpEndpoint> {
    for (const first of this.#ports.values()) for (let e: UdpEndpoint | null = first; e; e = e.next) yield e;
  }

  close(): void {
    for (const endpoint of [...this.endpoints()]) endpoint.close();
  }

  #isFree(addr: number, port: number): boolean {
    for (let e = this.#ports.get(port) ?? null; e; e = e.next) {
      if (addr === 0 || e.addr === 0 || e.addr === addr) return false;
    }
    return true;
  }

  #deliverToAll(first: UdpEndpoint | null, skb: Skb, length: number): void {
    const b = skb.bytes;
    const daddr = ipDaddr(b, skb.nh);
    const saddr = ipSaddr(b, skb.nh);
    const sport = udpSport(b, skb.th);
    for (let e = first; e; e = e.next) {
      if (e.isClosed || (e.addr !== 0 && e.addr !== daddr)) continue;
      if (e.peerPort !== 0 && (e.peerAddr !== saddr || e.peerPort !== sport)) continue;
      this.#deliver(e, skb, length);
    }
  }

  #deliver(endpoint: UdpEndpoint, skb: Skb, length: number): void {
    const { v } = this.#counters;
    const b = skb.bytes;
    const end = skb.th + length;
    const step = skb.gsoType === GSO_UDP_L4 && skb.gsoSize > 0 ? skb.gsoSize : MAX_PAYLOAD;
    const saddr = ipSaddr(b, skb.nh);
    const sport = udpSport(b, skb.th);
    const daddr = ipDaddr(b, skb.nh);
    const ttl = ipTtl(b, skb.nh);
    let at = skb.th + UDP_HLEN;
    do {
      const to = Math.min(at + step, end);
      if (endpoint.deliver({ bytes: b.slice(at, to), saddr, sport, daddr, ttl })) v[SNMP.UdpInDatagrams]!++;
      else {
        v[SNMP.UdpRcvbufErrors]!++;
        v[SNMP.UdpInErrors]!++;
      }
      at = to;
    } while (at < end && !endpoint.isClosed);
  }
}

/** The endpoint that fits best: connected to this peer before bound to this address before bound to any (Linux compute_score). */
function find(first: UdpEndpoint | null, laddr: number, raddr: number, rport: number): UdpEndpoint | null {
  let best: UdpEndpoint | null = null;
  let bestScore = -1;
  for (let e = first; e; e = e.next) {
    if (e.localAddr !== 0 && e.localAddr !== laddr) continue;
    if (e.peerPort !== 0 && (e.peerPort !== rport || e.peerAddr !== raddr)) continue;
    const score = (e.peerPort !== 0 ? 2 : 0) + (e.addr !== 0 ? 1 : 0);
    if (score > bestScore) {
      best = e;
      bestScore = score;
    }
  }
  return best;
}
