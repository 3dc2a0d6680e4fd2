// The last step of every segment: header fields, checksum, the hand-over to IP. Also the segments that no connection sends:
// resets, SYN-ACKs and acknowledgments on behalf of half-open and time-wait entries.
// With LINK_F_CSUM the checksum is left partial (the pseudo-header's sum, uncomplemented), with a payload beyond one segment the
// packet is a super-segment for the link to cut (LINK_F_TSO4).
import { NETSTAT, SNMP } from '../counters.ts';
import { LINK_F_CSUM } from '../link.ts';
import { CHECKSUM_PARTIAL, GSO_TCPV4, type Skb } from '../skb.ts';
import { sumSkb } from '../skb-checksum.ts';
import { put16, put32 } from '../wire/bytes.ts';
import { finish, fold, pseudoSum } from '../wire/checksum.ts';
import { DEFAULT_TTL, IPPROTO_TCP, ipDaddr, ipSaddr } from '../wire/ipv4.ts';
import { TCP_ACK, TCP_CHECKSUM, TCP_HLEN, TCP_RST, tcpDport, tcpSport } from '../wire/tcp.ts';
import type { TcpContext } from './context.ts';
import { putTimestamp, type SegmentInfo, TIMESTAMP_LEN } from './options.ts';

/** Writes the header at skb.th; `hlen` counts options, which are in place. */
export function putHeader(
  skb: Skb,
  sport: number,
  dport: number,
  seq: number,
  ack: number,
  hlen: number,
  flags: number,
  window: number,
): void {
  const b = skb.bytes;
  const o = skb.th;
  put16(b, o, sport);
  put16(b, o + 2, dport);
  put32(b, o + 4, seq);
  put32(b, o + 8, ack);
  b[o + 12] = hlen << 2;
  b[o + 13] = flags;
  put16(b, o + 14, window);
  put32(b, o + 16, 0); // checksum, urgent pointer
}

/**
 * Sums and sends what lies between skb.th and skb.tail; owns `skb`. `gsoSize` above 0: a super-segment of such pieces.
 * Returns what IpOutput.send does.
 */
export function send(
  layer: TcpContext,
  skb: Skb,
  saddr: number,
  daddr: number,
  features: number,
  tos: number,
  gsoSize: number,
  segments: number,
): number {
  const th = skb.th;
  const length = skb.tail - th;
  const pseudo = pseudoSum(saddr, daddr, IPPROTO_TCP, length);
  if ((features & LINK_F_CSUM) !== 0) {
    put16(skb.bytes, th + TCP_CHECKSUM, fold(pseudo));
    skb.checksum = CHECKSUM_PARTIAL;
    skb.csumStart = th;
    skb.csumField = th + TCP_CHECKSUM;
  } else {
    put16(skb.bytes, th + TCP_CHECKSUM, finish(sumSkb(skb, th, skb.tail, pseudo)));
  }
  if (gsoSize > 0) {
    skb.gsoType = GSO_TCPV4;
    skb.gsoSize = gsoSize;
  }
  layer.counters.v[SNMP.TcpOutSegs]! += segments;
  return layer.ip.send(skb, saddr, daddr, IPPROTO_TCP, DEFAULT_TTL, tos, true);
}

/** A segment without payload from outside any connection. With `hasTs` it carries a timestamp. */
export function emitBare(
  layer: TcpContext,
  laddr: number,
  lport: number,
  raddr: number,
  rport: number,
  seq: number,
  ack: number,
  flags: number,
  window: number,
  hasTs: boolean,
  tsVal: number,
  tsEcr: number,
): void {
  const skb = layer.ip.alloc();
  if (skb === null) return;
  let hlen = TCP_HLEN;
  if (hasTs) {
    putTimestamp(skb.bytes, skb.th + hlen, tsVal, tsEcr);
    hlen += TIMESTAMP_LEN;
  }
  skb.tail = skb.th + hlen;
  putHeader(skb, lport, rport, seq, ack, hlen, flags, window);
  send(layer, skb, laddr, raddr, 0, 0, 0, 1);
}

/** Answers a segment that belongs to no connection (RFC 9293, 3.10.7.1): never a reset with a reset. Borrows `skb`. */
export function emitResetFor(layer: TcpContext, skb: Skb, seg: SegmentInfo): void {
  if ((seg.flags & TCP_RST) !== 0) return;
  const b = skb.bytes;
  const laddr = ipDaddr(b, skb.nh);
  const raddr = ipSaddr(b, skb.nh);
  const lport = tcpDport(b, skb.th);
  const rport = tcpSport(b, skb.th);
  layer.counters.v[SNMP.TcpOutRsts]!++;
  if ((seg.flags & TCP_ACK) !== 0) {
    emitBare(layer, laddr, lport, raddr, rport, seg.ack, 0, TCP_RST, 0, false, 0, 0);
  } else {
    emitBare(layer, laddr, lport, raddr, rport, 0, seg.end, TCP_RST | TCP_ACK, 0, false, 0, 0);
  }
}

/**
 * Whether a challenge ACK may be sent now (RFC 5961, 7): at most about CHALLENGE_ACKS_PER_S from this layer, with the number
 * drawn anew each second so that nobody can count the rest (CVE-2016-5696).
 */
export function mayChallenge(layer: TcpContext): boolean {
  const { v } = layer.counters;
  if (layer.challengeSecond !== Math.floor(layer.nowMs / 1000)) layer.refillChallenges();
  if (layer.challenges <= 0) {
    v[NETSTAT.TcpExtTCPACKSkippedChallenge]!++;
    return false;
  }
  layer.challenges--;
  v[NETSTAT.TcpExtTCPChallengeACK]!++;
  return true;
}
