// How the tools write a protocol: ipset, iptables and nft alike, and so the what-if engine.
import { IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';

/** Its number where it has no name here. */
export function protoName(proto: number): string {
  switch (proto) {
    case IPPROTO_TCP:
      return 'tcp';
    case IPPROTO_UDP:
      return 'udp';
    case IPPROTO_SCTP:
      return 'sctp';
    case IPPROTO_ICMP:
      return 'icmp';
    default:
      return String(proto);
  }
}
