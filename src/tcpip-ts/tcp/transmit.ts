// One segment of a connection, whatever it is for: its options, acknowledgment and window, and what was told by sending it. What may
// leave and when is output.ts's and retransmit.ts's matter; the last step is emit.ts's. After Linux's tcp_transmit_skb.
//
// The window offered never moves its right edge back, and moves it forward by at least a segment or half the buffer
// (RFC 9293, 3.8.6.2.2).
import { NETSTAT, SNMP } from '../counters.ts';
import { EMSGSIZE } from '../errno.ts';
import { ECN_ECT0 } from '../wire/ipv4.ts';
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_HLEN, TCP_RST, TCP_SYN } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import { ECN_DEMAND, ECN_OK, ECN_QUEUE } from './ecn.ts';
import { emitBare, mayChallenge, putHeader, send } from './emit.ts';
import { refreshRoute } from './mss.ts';
import { putSack, putSynOptions, putTimestamp, sackLen, TIMESTAMP_LEN } from './options.ts';
import { seqDiff, seqGt, seqMax } from './seq.ts';
import { SYN_RECV } from './state.ts';
import { OOW_ACK_INTERVAL_MS } from './tunables.ts';

/** How many segments `len` bytes are on the wire. */
export function segmentsOf(c: Connection, len: number): number {
  return len <= c.mss ? 1 : Math.ceil(len / c.mss);
}

/** Emits one (super-)segment with `len` bytes of the send buffer from `offset` on. False when the packet pool was empty. */
export function emitData(c: Connection, seq: number, flags: number, offset: number, len: number): boolean {
  const { layer } = c;
  const skb = layer.ip.alloc();
  if (skb === null) return false;
  const b = skb.bytes;
  let o = skb.th + TCP_HLEN;
  if (c.tsOk) {
    putTimestamp(b, o, (layer.nowMs + c.tsOffset) | 0, c.tsRecent);
    o += TIMESTAMP_LEN;
  }
  let tos = 0;
  if ((c.ecn & ECN_OK) !== 0) {
    if ((c.ecn & ECN_DEMAND) !== 0) flags |= TCP_ECE;
    if (len > 0 && seq === c.sndNxt) {
      tos = ECN_ECT0;
      if ((c.ecn & ECN_QUEUE) !== 0) {
        flags |= TCP_CWR;
        c.ecn &= ~ECN_QUEUE;
      }
    }
  }
  let tellsAll = true;
  if (c.sackOk && (c.rcv.ranges > 0 || c.hasDsack)) {
    const n = collectSack(c, c.tsOk ? 3 : 4);
    // A full segment has no room for them (RFC 6691): then the acknowledgment still has to go by itself.
    if (len + sackLen(n) <= c.mss) {
      o += putSack(b, o, layer.sackScratch, n);
      c.hasDsack = false;
    } else tellsAll = false;
  }
  const hlen = o - skb.th;
  if (len > 0) c.snd.copyTo(skb.pool.bytes, skb.base + o, offset, len);
  skb.tail = o + len;
  putHeader(skb, c.lport, c.rport, seq, c.rcv.nxt, hlen, flags, selectWindow(c));
  if (tellsAll) ackSent(c);
  if (len > 0) c.lastSentMs = layer.nowMs;
  const error = send(layer, skb, c.laddr, c.raddr, c.features, tos, len > c.mss ? c.mss : 0, segmentsOf(c, len));
  if (error === -EMSGSIZE) refreshRoute(c, 0);
  return true;
}

/** A bare acknowledgment, now. */
export function sendAck(c: Connection): void {
  c.layer.stamp();
  // Without a packet the acknowledgment stays due; the delayed-ACK timer is its second chance.
  if (!emitData(c, c.sndNxt, TCP_ACK, 0, 0)) c.ackNow = true;
}

/** An old sequence number makes the peer answer: window probe and keepalive, as Linux sends them. */
export function sendProbe(c: Connection): void {
  emitData(c, (c.sndUna - 1) | 0, TCP_ACK, 0, 0);
}

/** Answers a segment outside the window or a stray ACK, at most twice a second (tcp_invalid_ratelimit). */
export function sendLimitedAck(c: Connection): void {
  if (c.layer.nowMs - c.lastOowAckMs < OOW_ACK_INTERVAL_MS) return;
  c.lastOowAckMs = c.layer.nowMs;
  sendAck(c);
}

/** RFC 5961: says where we stand, to a peer that may be somebody else. */
export function sendChallengeAck(c: Connection): void {
  if (c.layer.nowMs - c.lastOowAckMs < OOW_ACK_INTERVAL_MS) {
    c.layer.counters.v[NETSTAT.TcpExtTCPACKSkippedChallenge]!++;
    return;
  }
  if (!mayChallenge(c.layer)) return;
  c.lastOowAckMs = c.layer.nowMs;
  sendAck(c);
}

/** RST at a sequence number that the peer must accept. */
export function sendReset(c: Connection): void {
  c.layer.stamp();
  const edge = (c.sndUna + c.sndWnd) | 0;
  const seq = seqGt(c.sndNxt, edge) ? edge : c.sndNxt;
  const { layer } = c;
  layer.counters.v[SNMP.TcpOutRsts]!++;
  const tsVal = (layer.nowMs + c.tsOffset) | 0;
  emitBare(layer, c.laddr, c.lport, c.raddr, c.rport, seq, c.rcv.nxt, TCP_RST | TCP_ACK, 0, c.tsOk, tsVal, c.tsRecent);
}

/** SYN, or in SYN_RECV (simultaneous open) SYN-ACK. */
export function sendSyn(c: Connection): void {
  const { layer } = c;
  const skb = layer.ip.alloc();
  c.lastSentMs = layer.nowMs;
  if (skb === null) return; // the timer sends it again
  const isAnswer = c.state === SYN_RECV;
  // A SYN offers everything; a SYN-ACK repeats what both sides have.
  const wscale = isAnswer && c.rcvWscale === 0 && c.sndWscale === 0 ? -1 : c.rcvWscale;
  const tsVal = (layer.nowMs + c.tsOffset) | 0;
  const mss = c.pathMtu - 40;
  const tsEcr = isAnswer ? c.tsRecent : 0;
  const length = putSynOptions(skb.bytes, skb.th + TCP_HLEN, mss, wscale, c.sackOk, c.tsOk, tsVal, tsEcr);
  skb.tail = skb.th + TCP_HLEN + length;
  const window = Math.min(65_535, c.rcvLimit);
  let flags = isAnswer ? TCP_SYN | TCP_ACK : TCP_SYN;
  if (!isAnswer && c.retries > 0) c.ecn = 0; // something on the way may drop SYNs that ask
  if ((c.ecn & ECN_OK) !== 0) flags |= isAnswer ? TCP_ECE : TCP_ECE | TCP_CWR;
  putHeader(skb, c.lport, c.rport, c.iss, isAnswer ? c.rcv.nxt : 0, TCP_HLEN + length, flags, window);
  c.rcvAdv = (c.rcv.nxt + window) | 0;
  c.lastAckSent = c.rcv.nxt;
  send(layer, skb, c.laddr, c.raddr, c.features, 0, 0, 1);
}

/** After the application read: tells the peer when its window has become worth mentioning (at least twice what it knows). */
export function windowUpdate(c: Connection): void {
  const { layer } = c;
  growReceiveLimit(c);
  const known = Math.max(0, seqDiff(c.rcvAdv, c.rcv.nxt));
  const free = c.rcvLimit - c.rcv.length;
  if (2 * known > c.rcvLimit || free < 2 * known || free - known < Math.min(c.rcvLimit >> 1, c.mss)) return;
  if (layer.current === c) c.ackNow = true;
  else sendAck(c);
}

/** The window field, unscaled; moves the right edge when that is worth it. */
function selectWindow(c: Connection): number {
  const known = Math.max(0, seqDiff(c.rcvAdv, c.rcv.nxt));
  const free = Math.max(0, c.rcvLimit - c.rcv.length);
  const worth = free - known >= Math.min(c.rcvLimit >> 1, c.mss);
  const window = Math.min(65_535, (worth ? free : known) >> c.rcvWscale);
  const { v } = c.layer.counters;
  if (window === 0 && c.rcvWnd > 0) v[NETSTAT.TcpExtTCPToZeroWindowAdv]!++;
  else if (window > 0 && c.rcvWnd === 0) v[NETSTAT.TcpExtTCPFromZeroWindowAdv]!++;
  c.rcvWnd = window;
  c.rcvAdv = seqMax(c.rcvAdv, (c.rcv.nxt + (window << c.rcvWscale)) | 0);
  return window;
}

/** Dynamic right-sizing, as Linux's tcp_rcv_space_adjust: room for twice what the reader took in a round trip. */
function growReceiveLimit(c: Connection): void {
  const { layer } = c;
  layer.stamp();
  const rttUs = c.rcvRttUs || c.rto.srttUs || 1000;
  const sinceUs = (layer.nowUs - c.copiedSinceUs) | 0;
  if (sinceUs >= 0 && sinceUs < rttUs) return; // negative: after a pause of more than half an hour
  if (2 * c.copied > c.rcvLimit) c.rcvLimit = Math.min(layer.options.receiveBufferMax, 2 * c.copied + 16 * c.mss);
  c.copied = 0;
  c.copiedSinceUs = layer.nowUs;
}

/** Fills the layer's scratch with DSACK and SACK blocks. */
function collectSack(c: Connection, max: number): number {
  const out = c.layer.sackScratch;
  const n = c.rcv.sackBlocks(out, c.hasDsack ? max - 1 : max);
  if (!c.hasDsack) return n;
  out.copyWithin(2, 0, 2 * n);
  out[0] = c.dsackStart;
  out[1] = c.dsackEnd;
  return n + 1;
}

/** What leaves acknowledges everything: nothing is owed any more. */
function ackSent(c: Connection): void {
  if (c.quickacks > 0 && c.ackPending) c.quickacks--;
  c.lastAckSent = c.rcv.nxt;
  c.ackNow = false;
  c.ackPending = false;
  c.delackDueMs = 0;
}
