// The sending half of a connection, after RFC 9293 3.8 and Linux's tcp_output.c: what may leave, when, in which pieces.
//
//   output ─▶ retransmitLost   records marked LOST, as far as cwnd goes
//          ─▶ sendNew          new data: window, cwnd, Nagle (as Minshall modified it), silly window avoidance
//          ─▶ timers           an RTO or loss probe for what is in flight, a window probe for what could not leave
//
// The window offered never moves its right edge back, and moves it forward by at least a segment or half the buffer
// (RFC 9293, 3.8.6.2.2).
import { NETSTAT, SNMP } from '../counters.ts';
import { EMSGSIZE } from '../errno.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../link.ts';
import { ECN_ECT0 } from '../wire/ipv4.ts';
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_HLEN, TCP_PSH, TCP_RST, TCP_SYN } from '../wire/tcp.ts';
import { initialWindow } from './congestion.ts';
import { type Connection, REXMIT_OFF, REXMIT_PROBE } from './connection.ts';
import { ECN_DEMAND, ECN_OK, ECN_QUEUE, isReducing } from './ecn.ts';
import { emitBare, mayChallenge, putHeader, send } from './emit.ts';
import { putSack, putSynOptions, putTimestamp, sackLen, TIMESTAMP_LEN } from './options.ts';
import { retransmitLost } from './retransmit.ts';
import { NO_SEGMENT, SEG_FIN } from './segment-table.ts';
import { seqDiff, seqGt, seqMax } from './seq.ts';
import { SYN_RECV, SYN_SENT } from './state.ts';
import { armProbe, armRexmit } from './timers.ts';
import { CONNECTION_SEGMENTS_MAX, GSO_MAX_PAYLOAD, MSS_MIN, OOW_ACK_INTERVAL_MS, PMTU_MIN } from './tunables.ts';

/** Sends what may be sent now, the oldest first. Acknowledges on the way. */
export function output(c: Connection): void {
  if (c.slot < 0) return;
  c.layer.stamp();
  if (c.lostOut > c.retransOut) retransmitLost(c);
  sendNew(c, false);
  if (c.sndNxt !== c.sndUna) {
    if (c.rexmitMode === REXMIT_OFF || c.rexmitMode === REXMIT_PROBE) armRexmit(c);
  } else if (c.rexmitMode === REXMIT_OFF && hasUnsent(c)) {
    armProbe(c);
  }
}

/** Data or FIN that has never left. */
export function hasUnsent(c: Connection): boolean {
  return c.unsent > 0 || (c.finQueued && !c.finSent);
}

/** Sends new data; with `force` (a window probe, a loss probe) one segment of at least a byte whatever the rules, if the window lets it. */
export function sendNew(c: Connection, force: boolean): boolean {
  if (c.finSent || c.state === SYN_SENT || c.state === SYN_RECV) return false;
  restartAfterIdle(c);
  c.cwndLimited = false;
  let any = false;
  for (;;) {
    const unsent = c.unsent;
    if (unsent === 0 && !c.finQueued) return any;
    const len = force ? forcedLength(c, unsent) : allowedLength(c, unsent);
    if (len < 0 || !sendPiece(c, len, len === unsent)) return any;
    any = true;
    if (force || c.finSent) return true;
  }
}

/** How many bytes the next segment may take; -1: nothing may leave. 0 is a lone FIN. */
function allowedLength(c: Connection, unsent: number): number {
  const window = c.sndWnd - seqDiff(c.sndNxt, c.sndUna);
  if (unsent === 0) return window > 0 ? 0 : -1;
  const mss = c.mss;
  let len = Math.min(unsent, window, (c.ecn & ECN_QUEUE) !== 0 ? mss : c.maxPayload);
  if (len <= 0) return -1;
  const quota = c.cwnd - c.inFlight;
  if (len > quota) {
    c.cwndLimited = true;
    if (quota < mss) return -1;
    len = quota;
  }
  if (len < unsent) {
    if (len >= mss) return len - (len % mss);
    // The window is small, not the data: wait for half of the largest it ever was.
    return len >= c.sndMaxWnd >> 1 ? len : -1;
  }
  const rest = len % mss;
  const hasSmall = seqGt(c.sndSml, c.sndUna) && !seqGt(c.sndSml, c.sndNxt); // and not one of two gigabytes ago
  if (rest === 0 || c.noDelay || c.finQueued || !hasSmall) return len;
  return len > mss ? len - rest : -1; // Nagle: a small segment is under way already
}

function forcedLength(c: Connection, unsent: number): number {
  const window = c.sndWnd - seqDiff(c.sndNxt, c.sndUna);
  if (window <= 0) return -1;
  return Math.min(unsent, window, c.mss);
}

/** RFC 5681, 4.1: after an idle RTO the window says nothing about the path any more. */
function restartAfterIdle(c: Connection): void {
  if (c.sndNxt !== c.sndUna || c.layer.nowMs - c.lastSentMs <= c.rto.ms) return;
  const restart = initialWindow(c.mss);
  if (c.cwnd > restart) {
    c.cwnd = restart;
    c.cc.reset();
  }
}

/** Sends the next `len` bytes, with FIN when it is time; false when there was no packet or record to be had. */
function sendPiece(c: Connection, len: number, isLast: boolean): boolean {
  const { layer } = c;
  const { segments } = layer;
  const seq = c.sndNxt;
  let flags = TCP_ACK;
  let end = (seq + len) | 0;
  if (isLast) {
    if (len > 0) flags |= TCP_PSH;
    if (c.finQueued && c.sndWnd - seqDiff(end, c.sndUna) > 0) {
      flags |= TCP_FIN;
      end = (end + 1) | 0;
    }
  }
  if (c.records >= CONNECTION_SEGMENTS_MAX) return false; // the next acknowledgment makes room
  const record = segments.alloc(seq, end, layer.nowUs, (flags & TCP_FIN) !== 0 ? SEG_FIN : 0);
  if (record === NO_SEGMENT) return false;
  if (!emitData(c, seq, flags, seqDiff(seq, c.sndUna), len)) {
    segments.free(record);
    return false;
  }
  segments.prev[record] = c.tail;
  if (c.tail === NO_SEGMENT) {
    c.head = record;
    c.rackValid = false; // of what is gone; its 32-bit times hold for half an hour
  } else segments.next[c.tail] = record;
  c.tail = record;
  c.records++;
  c.sndNxt = end;
  if ((flags & TCP_FIN) !== 0) c.finSent = true;
  if (len % c.mss !== 0) c.sndSml = end;
  if (isReducing(c)) c.prrOut += len;
  layer.counters.v[NETSTAT.TcpExtTCPOrigDataSent]! += segmentsOf(c, len);
  return true;
}

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

/** Bounds segments by what the peer takes and the path carries; `mtu` 0: as the route says. */
export function refreshRoute(c: Connection, mtu: number): void {
  const route = c.layer.ip.route(c.raddr);
  if (route) {
    c.features = route.features;
    c.pathMtu = mtu > 0 ? Math.min(route.mtu, Math.max(mtu, PMTU_MIN)) : route.mtu;
  }
  setMss(c);
}

/** Derives mss and maxPayload from peerMss, pathMtu, features and options. Cuts records of the old size as they are resent. */
export function setMss(c: Connection): void {
  const options = c.tsOk ? TIMESTAMP_LEN : 0;
  const mss = Math.max(8, Math.min(Math.max(MSS_MIN, c.peerMss - options), c.pathMtu - 40 - options));
  const offload = LINK_F_CSUM | LINK_F_TSO4;
  const pieces = (c.features & offload) === offload ? Math.max(1, Math.floor(GSO_MAX_PAYLOAD / mss)) : 1;
  c.mss = mss;
  c.maxPayload = mss * pieces;
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
