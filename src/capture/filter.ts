// A packet filter in a subset of pcap-filter(7): primitives `host`, `net`, `port` with optional `src` or `dst` and optional protocol,
// the protocols `arp ip icmp tcp udp`, joined by `and`, `or`, `not` and parentheses. Compiled once to a predicate.
// Left out: byte expressions, port ranges, IPv6, VLANs, names for hosts and ports.
import type { Skb } from '../tcpip-ts/skb.ts';
import { netmask, parseCIDR, parseIPv4 } from '../tcpip-ts/wire/address.ts';
import { get16 } from '../tcpip-ts/wire/bytes.ts';
import { ETH_P_ARP, ETH_P_IP, ethType } from '../tcpip-ts/wire/ethernet.ts';
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

/** `ether`: the packet starts with a link header at mh; otherwise with an IP header at nh. */
export type PacketFilter = (skb: Skb, ether: boolean) => boolean;

export class FilterError extends Error {}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: IPPROTO_ICMP, tcp: IPPROTO_TCP, udp: IPPROTO_UDP };

/** Compiles a filter; '' accepts everything. Throws FilterError, naming the word it stumbled on. */
export function compileFilter(text: string): PacketFilter {
  const words = text.match(/[()!]|&&|\|\||[^\s()!&|]+/g) ?? [];
  if (words.length === 0) return () => true;
  const parser = new Parser(words);
  const filter = parser.or();
  parser.expectEnd();
  return filter;
}

class Parser {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  or(): PacketFilter {
    let left = this.#and();
    while (this.#take('or', '||')) {
      const [a, b] = [left, this.#and()];
      left = (skb, ether) => a(skb, ether) || b(skb, ether);
    }
    return left;
  }

  expectEnd(): void {
    if (this.#at < this.#words.length) this.#fail('the end, `and` or `or`');
  }

  #and(): PacketFilter {
    let left = this.#not();
    while (this.#take('and', '&&')) {
      const [a, b] = [left, this.#not()];
      left = (skb, ether) => a(skb, ether) && b(skb, ether);
    }
    return left;
  }

  #not(): PacketFilter {
    if (this.#take('not', '!')) {
      const inner = this.#not();
      return (skb, ether) => !inner(skb, ether);
    }
    if (this.#take('(')) {
      const inner = this.or();
      if (!this.#take(')')) this.#fail('`)`');
      return inner;
    }
    return this.#primitive();
  }

  #primitive(): PacketFilter {
    if (this.#take('arp')) return (skb, ether) => ether && ethType(skb.bytes, skb.mh) === ETH_P_ARP;
    if (this.#take('ip')) return (skb, ether) => hasIPv4(skb, ether);
    const name = Object.keys(PROTOCOLS).find((p) => this.#take(p));
    const proto = name === undefined ? undefined : PROTOCOLS[name];
    const side = this.#take('src') ? 'src' : this.#take('dst') ? 'dst' : 'either';
    const qualified = this.#qualified(side);
    if (!qualified && side !== 'either') this.#fail('`host`, `net` or `port`');
    if (!qualified && proto === undefined) this.#fail('`host`, `net`, `port`, or one of arp ip icmp tcp udp');
    const rest = qualified ?? (() => true);
    if (proto === undefined) return rest;
    return (skb, ether) => hasIPv4(skb, ether) && ipProto(skb.bytes, skb.nh) === proto && rest(skb, ether);
  }

  #qualified(side: 'src' | 'dst' | 'either'): PacketFilter | undefined {
    if (this.#take('host')) {
      const addr = parseIPv4(this.#words[this.#at] ?? '');
      if (addr === undefined) this.#fail('an IPv4 address');
      this.#at++;
      return byAddress(side, addr!, 0xffffffff);
    }
    if (this.#take('net')) {
      const net = parseCIDR(this.#words[this.#at] ?? '');
      if (!net) this.#fail('a network such as 10.96.0.0/12');
      this.#at++;
      return byAddress(side, net![0], netmask(net![1]));
    }
    if (this.#take('port')) {
      const port = Number(this.#words[this.#at]);
      if (!Number.isInteger(port) || port < 0 || port > 65535) this.#fail('a port number');
      this.#at++;
      return byPort(side, port);
    }
    return undefined;
  }

  #take(...alternatives: string[]): boolean {
    if (!alternatives.includes(this.#words[this.#at] ?? '')) return false;
    this.#at++;
    return true;
  }

  #fail(expected: string): never {
    const found = this.#words[this.#at];
    throw new FilterError(`filter: expected ${expected}, found ${found === undefined ? 'the end' : `"${found}"`}`);
  }
}

function byAddress(side: 'src' | 'dst' | 'either', addr: number, mask: number): PacketFilter {
  const wanted = (addr & mask) >>> 0;
  return (skb, ether) => {
    if (!hasIPv4(skb, ether)) return false;
    const src = (ipSaddr(skb.bytes, skb.nh) & mask) >>> 0 === wanted;
    const dst = (ipDaddr(skb.bytes, skb.nh) & mask) >>> 0 === wanted;
    return (src && side !== 'dst') || (dst && side !== 'src');
  };
}

function byPort(side: 'src' | 'dst' | 'either', port: number): PacketFilter {
  return (skb, ether) => {
    if (!hasIPv4(skb, ether)) return false;
    const { bytes, nh } = skb;
    const proto = ipProto(bytes, nh);
    const th = nh + ipHlen(bytes, nh);
    if (
      (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) ||
      (ipFrag(bytes, nh) & IP_OFFSET_MASK) !== 0 ||
      th + 4 > skb.tail
    )
      return false;
    return (get16(bytes, th) === port && side !== 'dst') || (get16(bytes, th + 2) === port && side !== 'src');
  };
}

/** Received frames come here before the network layer has looked at them: nh is where the link header ends. */
export function hasIPv4(skb: Skb, ether: boolean): boolean {
  if (ether && ethType(skb.bytes, skb.mh) !== ETH_P_IP) return false;
  return isIPv4(skb.bytes, skb.nh, skb.tail);
}
