// ICMP errors quote the packet they are about. A Pod's kernel that got a packet with a partial transport checksum (offloads) quotes
// it as it is, as Linux does between veths; in a capture that would read as corruption. Completes such a quote in the copy.
import { get16, put16 } from '../tcpip-ts/wire/bytes.ts';
import { checksum, finish, fold, pseudoSum, sumBytes } from '../tcpip-ts/wire/checksum.ts';
import { ICMP_HLEN, isIcmpError } from '../tcpip-ts/wire/icmpv4.ts';
import {
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipDaddr,
  ipHlen,
  ipProto,
  ipSaddr,
  ipTotalLen,
  isFragment,
  isIPv4,
} from '../tcpip-ts/wire/ipv4.ts';
import { TCP_CHECKSUM, TCP_HLEN } from '../tcpip-ts/wire/tcp.ts';
import { UDP_CHECKSUM, UDP_HLEN } from '../tcpip-ts/wire/udp.ts';

/** `b[nh, end)` is an IP packet; changes it only when it is an ICMP error with a whole quote whose checksum is partial. */
export function completeQuote(b: Uint8Array, nh: number, end: number): void {
  if (!isIPv4(b, nh, end) || ipProto(b, nh) !== IPPROTO_ICMP || isFragment(b, nh)) return;
  const icmp = nh + ipHlen(b, nh);
  const quote = icmp + ICMP_HLEN;
  if (quote >= end || !isIcmpError(b[icmp]!) || !isIPv4(b, quote, end) || isFragment(b, quote)) return;
  const proto = ipProto(b, quote);
  const th = quote + ipHlen(b, quote);
  const quoteEnd = quote + ipTotalLen(b, quote);
  const length = quoteEnd - th;
  const isTcp = proto === IPPROTO_TCP && length >= TCP_HLEN;
  if (!isTcp && !(proto === IPPROTO_UDP && length >= UDP_HLEN)) return;
  const field = th + (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM);
  const pseudo = pseudoSum(ipSaddr(b, quote), ipDaddr(b, quote), proto, length);
  if (get16(b, field) !== fold(pseudo)) return;
  put16(b, field, finish(sumBytes(b, th, quoteEnd, 0)) || 0xffff);
  const icmpEnd = nh + ipTotalLen(b, nh);
  put16(b, icmp + 2, 0);
  put16(b, icmp + 2, checksum(b, icmp, icmpEnd));
}
