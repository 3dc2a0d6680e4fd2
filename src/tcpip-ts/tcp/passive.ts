// Passive opens: SYN to a listener, SYN-ACK from a request entry, the ACK that makes a connection of it; after Linux's
// tcp_conn_request and tcp_check_req. Under a flood of SYNs nothing grows: past the queue's bound SYN cookies answer, or with
// cookies off the SYN is dropped.
import { NETSTAT, SNMP } from '../counters.ts';
import type { Skb } from '../skb.ts';
import { ipDaddr, ipSaddr } from '../wire/ipv4.ts';
import { TCP_ACK, TCP_ECE, TCP_HLEN, TCP_RST, TCP_SYN, tcpDport, tcpSport } from '../wire/tcp.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import { KIND_CONNECTION, KIND_REQUEST, owner } from './demux.ts';
import { asksForEcn, ECN_OK } from './ecn.ts';
import { emitBare, emitResetFor, mayChallenge, putHeader, send } from './emit.ts';
import { input, settle, start } from './input.ts';
import type { TcpListener } from './listener.ts';
import { refreshRoute } from './mss.ts';
import { putSynOptions, type SegmentInfo } from './options.ts';
import type { Secret } from './secret.ts';
import { seqGt, seqLt } from './seq.ts';
import { SYN_RECV } from './state.ts';
import { checkCookie, cookieEcn, cookieSack, cookieTimestamp, cookieWscale, makeCookie } from './syn-cookies.ts';
import type { SynQueue } from './syn-queue.ts';
import { ECN_OFF, RTO_INITIAL_MS, RTO_MAX_MS, SYNACK_RETRIES } from './tunables.ts';

/** What handshakes ask of the layer beside what connections do. */
export interface HandshakeContext extends ConnectionOwner {
  readonly secret: Secret;
  readonly synQueue: SynQueue;
  /** Shift of the windows we offer: so that the largest receive buffer can be told. */
  readonly rcvWscale: number;
  listenerById(id: number): TcpListener | null;
  /** A connection with a slot, not yet in the demux table; null past maxConnections. */
  attach(laddr: number, lport: number, raddr: number, rport: number): Connection | null;
  initialSeq(laddr: number, lport: number, raddr: number, rport: number): number;
  timestampOffset(laddr: number, lport: number, raddr: number, rport: number): number;
}

const REQ_TS = 1;
const REQ_SACK = 2;
/** The SYN-ACK went more than once: Karn's rule. */
const REQ_RESENT = 4;
const REQ_ECN = 8;

/** A segment for a listening port and no known connection; borrows `skb`. `iss` is given where TIME-WAIT dictates it, else 0. */
export function onListenerSegment(
  layer: HandshakeContext,
  listener: TcpListener,
  skb: Skb,
  seg: SegmentInfo,
  iss: number,
): void {
  const { flags } = seg;
  if ((flags & TCP_RST) !== 0) return;
  if ((flags & TCP_ACK) !== 0) {
    if ((flags & TCP_SYN) !== 0 || !onCookieAck(layer, listener, skb, seg)) emitResetFor(layer, skb, seg);
    return;
  }
  if ((flags & TCP_SYN) !== 0) onSyn(layer, listener, skb, seg, iss);
}

function onSyn(layer: HandshakeContext, listener: TcpListener, skb: Skb, seg: SegmentInfo, iss: number): void {
  const { v } = layer.counters;
  const b = skb.bytes;
  const laddr = ipDaddr(b, skb.nh);
  const raddr = ipSaddr(b, skb.nh);
  const lport = tcpDport(b, skb.th);
  const rport = tcpSport(b, skb.th);
  if (listener.isFull) {
    v[NETSTAT.TcpExtListenOverflows]!++;
    v[NETSTAT.TcpExtListenDrops]!++;
    return;
  }
  const { synQueue } = layer;
  const slot = listener.pending >= Math.max(1, listener.backlog) ? -1 : synQueue.alloc();
  if (slot < 0) {
    if (layer.options.synCookies) {
      v[NETSTAT.TcpExtTCPReqQFullDoCookies]!++;
      sendCookie(layer, listener, laddr, lport, raddr, rport, seg);
    } else {
      v[NETSTAT.TcpExtTCPReqQFullDrop]!++;
      v[NETSTAT.TcpExtListenDrops]!++;
    }
    return;
  }
  synQueue.laddr[slot] = laddr;
  synQueue.raddr[slot] = raddr;
  synQueue.ports[slot] = (lport << 16) | rport;
  synQueue.irs[slot] = seg.seq;
  synQueue.iss[slot] = iss !== 0 ? iss : layer.initialSeq(laddr, lport, raddr, rport);
  synQueue.sentUs[slot] = layer.nowUs;
  synQueue.tsRecent[slot] = seg.tsVal;
  synQueue.listener[slot] = listener.id;
  synQueue.mss[slot] = seg.mss;
  synQueue.wscale[slot] = seg.wscale;
  synQueue.flags[slot] =
    (seg.hasTs && layer.options.timestamps ? REQ_TS : 0) |
    (seg.sackOk && layer.options.sack ? REQ_SACK : 0) |
    (layer.options.ecn !== ECN_OFF && asksForEcn(seg) ? REQ_ECN : 0);
  synQueue.retries[slot] = 0;
  listener.pending++;
  layer.demux.set(laddr, lport, raddr, rport, owner(KIND_REQUEST, slot));
  sendRequestSynAck(layer, slot);
  synQueue.timers.arm(slot, RTO_INITIAL_MS * 1000);
}

/** A segment for a half-open connection; borrows `skb`. */
export function onRequestSegment(layer: HandshakeContext, slot: number, skb: Skb, seg: SegmentInfo): void {
  const { synQueue } = layer;
  const { v } = layer.counters;
  const { flags } = seg;
  const irs = synQueue.irs[slot]!;
  const iss = synQueue.iss[slot]!;
  const hasTs = (synQueue.flags[slot]! & REQ_TS) !== 0 && seg.hasTs;
  const isOld = hasTs && seqLt(seg.tsVal, synQueue.tsRecent[slot]!);
  const rcvNxt = (irs + 1) | 0;
  if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) === TCP_SYN && seg.seq === irs && !isOld) {
    synQueue.flags[slot]! |= REQ_RESENT; // our answer was lost
    sendRequestSynAck(layer, slot);
    return;
  }
  const listener = layer.listenerById(synQueue.listener[slot]!)!;
  const outside = seqLt(seg.end, rcvNxt) || seqGt(seg.seq, (rcvNxt + offeredWindow(layer)) | 0);
  if (outside || isOld) {
    if (isOld) v[NETSTAT.TcpExtPAWSEstab]!++;
    if ((flags & TCP_RST) === 0) acknowledgeRequest(layer, slot);
    return;
  }
  if ((flags & TCP_RST) !== 0) {
    if (seg.seq !== rcvNxt) {
      if (mayChallenge(layer)) acknowledgeRequest(layer, slot);
      return;
    }
    v[SNMP.TcpAttemptFails]!++;
    v[NETSTAT.TcpExtEmbryonicRsts]!++;
    dropRequest(layer, slot);
    return;
  }
  if ((flags & TCP_SYN) !== 0) {
    v[NETSTAT.TcpExtTCPSYNChallenge]!++;
    if (mayChallenge(layer)) acknowledgeRequest(layer, slot);
    return;
  }
  if ((flags & TCP_ACK) === 0) return;
  if (seg.ack !== ((iss + 1) | 0)) {
    emitResetFor(layer, skb, seg);
    return;
  }
  if (listener.isFull) {
    v[NETSTAT.TcpExtListenOverflows]!++;
    return; // the peer thinks that it is connected; our SYN-ACK will be repeated
  }
  const reqFlags = synQueue.flags[slot]!;
  const c = makeChild(layer, synQueue.laddr[slot]!, synQueue.raddr[slot]!, synQueue.ports[slot]!, irs, iss);
  if (!c) return;
  if (hasTs && !seqGt(seg.seq, rcvNxt)) synQueue.tsRecent[slot] = seg.tsVal;
  agree(layer, c, synQueue.mss[slot]!, synQueue.wscale[slot]!, (reqFlags & REQ_SACK) !== 0, (reqFlags & REQ_TS) !== 0);
  c.tsRecent = synQueue.tsRecent[slot]!;
  if ((reqFlags & REQ_ECN) !== 0) c.ecn = ECN_OK;
  const resent = synQueue.retries[slot]! > 0 || (reqFlags & REQ_RESENT) !== 0;
  if (!resent) c.rto.sample((layer.nowUs - synQueue.sentUs[slot]!) | 0);
  else if (hasTs && seg.tsEcr !== 0) c.rto.sample(Math.max(1, (layer.nowMs + c.tsOffset - seg.tsEcr) | 0) * 1000);
  else c.rto.fallBack();
  listener.pending--;
  synQueue.release(slot);
  adopt(layer, listener, c, seg, resent);
}

/** Repeats the SYN-ACK, or gives up. */
export function onRequestTimer(layer: HandshakeContext, slot: number): void {
  const { synQueue } = layer;
  const retries = synQueue.retries[slot]!;
  if (retries >= SYNACK_RETRIES) {
    layer.counters.v[SNMP.TcpAttemptFails]!++;
    dropRequest(layer, slot);
    return;
  }
  synQueue.retries[slot] = retries + 1;
  layer.counters.v[SNMP.TcpRetransSegs]!++;
  layer.counters.v[NETSTAT.TcpExtTCPSynRetrans]!++;
  layer.counters.v[NETSTAT.TcpExtTCPTimeouts]!++;
  sendRequestSynAck(layer, slot);
  synQueue.timers.arm(slot, Math.min(RTO_MAX_MS, RTO_INITIAL_MS * 2 ** (retries + 1)) * 1000);
}

/** Forgets a half-open connection without a word. */
export function dropRequest(layer: HandshakeContext, slot: number): void {
  const { synQueue } = layer;
  const ports = synQueue.ports[slot]!;
  layer.demux.delete(synQueue.laddr[slot]!, ports >>> 16, synQueue.raddr[slot]!, ports & 0xffff);
  const listener = layer.listenerById(synQueue.listener[slot]!);
  if (listener) listener.pending--;
  synQueue.release(slot);
}

function offeredWindow(layer: HandshakeContext): number {
  return Math.min(65_535, layer.options.receiveBuffer);
}

function sendRequestSynAck(layer: HandshakeContext, slot: number): void {
  const q = layer.synQueue;
  const ports = q.ports[slot]!;
  const laddr = q.laddr[slot]!;
  const raddr = q.raddr[slot]!;
  const flags = q.flags[slot]!;
  const hasTs = (flags & REQ_TS) !== 0;
  const tsVal = (layer.nowMs + layer.timestampOffset(laddr, ports >>> 16, raddr, ports & 0xffff)) | 0;
  const wscale = q.wscale[slot]! >= 0 ? layer.rcvWscale : -1;
  sendSynAck(
    layer,
    laddr,
    raddr,
    ports,
    q.iss[slot]!,
    q.irs[slot]!,
    wscale,
    (flags & REQ_SACK) !== 0,
    (flags & REQ_ECN) !== 0,
    hasTs,
    tsVal,
    q.tsRecent[slot]!,
  );
}

function sendSynAck(
  layer: HandshakeContext,
  laddr: number,
  raddr: number,
  ports: number,
  iss: number,
  irs: number,
  wscale: number,
  sackOk: boolean,
  ecnOk: boolean,
  hasTs: boolean,
  tsVal: number,
  tsEcr: number,
): void {
  const route = layer.ip.route(raddr);
  const skb = route ? layer.ip.alloc() : null;
  if (!route || skb === null) return;
  const o = skb.th + TCP_HLEN;
  const hlen = TCP_HLEN + putSynOptions(skb.bytes, o, route.mtu - 40, wscale, sackOk, hasTs, tsVal, tsEcr);
  skb.tail = skb.th + hlen;
  const flags = TCP_SYN | TCP_ACK | (ecnOk ? TCP_ECE : 0);
  putHeader(skb, ports >>> 16, ports & 0xffff, iss, (irs + 1) | 0, hlen, flags, offeredWindow(layer));
  send(layer, skb, laddr, raddr, route.features, 0, 0, 1);
}

/** Where a half-open connection stands, to somebody who sent what does not fit. */
function acknowledgeRequest(layer: HandshakeContext, slot: number): void {
  const q = layer.synQueue;
  const ports = q.ports[slot]!;
  const laddr = q.laddr[slot]!;
  const raddr = q.raddr[slot]!;
  const hasTs = (q.flags[slot]! & REQ_TS) !== 0;
  const tsVal = (layer.nowMs + layer.timestampOffset(laddr, ports >>> 16, raddr, ports & 0xffff)) | 0;
  const window = offeredWindow(layer) >> (q.wscale[slot]! >= 0 ? layer.rcvWscale : 0);
  const seq = (q.iss[slot]! + 1) | 0;
  const ack = (q.irs[slot]! + 1) | 0;
  emitBare(
    layer,
    laddr,
    ports >>> 16,
    raddr,
    ports & 0xffff,
    seq,
    ack,
    TCP_ACK,
    window,
    hasTs,
    tsVal,
    q.tsRecent[slot]!,
  );
}

function makeChild(
  layer: HandshakeContext,
  laddr: number,
  raddr: number,
  ports: number,
  irs: number,
  iss: number,
): Connection | null {
  const c = layer.attach(laddr, ports >>> 16, raddr, ports & 0xffff);
  if (!c) return null;
  c.state = SYN_RECV;
  c.iss = iss;
  c.sndUna = c.sndNxt = (iss + 1) | 0;
  c.irs = irs;
  c.rcv.nxt = (irs + 1) | 0;
  c.lastAckSent = c.rcv.nxt;
  c.rcvAdv = (c.rcv.nxt + offeredWindow(layer)) | 0;
  c.tsOffset = layer.timestampOffset(laddr, c.lport, raddr, c.rport);
  return c;
}

function agree(
  layer: HandshakeContext,
  c: Connection,
  mss: number,
  wscale: number,
  sackOk: boolean,
  tsOk: boolean,
): void {
  c.peerMss = mss;
  c.sackOk = sackOk;
  c.tsOk = tsOk;
  c.tsRecentMs = layer.nowMs;
  c.sndWscale = Math.max(0, wscale);
  c.rcvWscale = wscale >= 0 ? layer.rcvWscale : 0;
  refreshRoute(c, 0);
}

/** Sets the connection going with the segment that completed it, and hands it over. */
function adopt(
  layer: HandshakeContext,
  listener: TcpListener,
  c: Connection,
  seg: SegmentInfo,
  synAckResent: boolean,
): void {
  layer.demux.set(c.laddr, c.lport, c.raddr, c.rport, owner(KIND_CONNECTION, c.slot));
  c.sndWnd = seg.window << c.sndWscale;
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  layer.counters.v[SNMP.TcpPassiveOpens]!++;
  start(c, synAckResent);
  if (listener.onConnection) {
    // Until the callee has spoken nothing is sent, so that its first words can go with the acknowledgment.
    layer.current = c;
    listener.onConnection(c);
    layer.current = null;
  } else listener.queue.push(c);
  if (c.slot >= 0) input(c, seg);
  else settle(c);
}

function sendCookie(
  layer: HandshakeContext,
  listener: TcpListener,
  laddr: number,
  lport: number,
  raddr: number,
  rport: number,
  seg: SegmentInfo,
): void {
  listener.lastCookieMs = layer.nowMs;
  layer.counters.v[NETSTAT.TcpExtSyncookiesSent]!++;
  const ports = (lport << 16) | rport;
  const minute = Math.floor(layer.nowMs / 60_000);
  const iss = makeCookie(layer.secret, laddr, raddr, ports, seg.seq, seg.mss, minute);
  const hasTs = seg.hasTs && layer.options.timestamps;
  const now = (layer.nowMs + layer.timestampOffset(laddr, lport, raddr, rport)) | 0;
  // Without timestamps there is nowhere to keep them.
  const sackOk = hasTs && seg.sackOk && layer.options.sack;
  const wscale = hasTs && seg.wscale >= 0 ? layer.rcvWscale : -1;
  const ecnOk = hasTs && layer.options.ecn !== ECN_OFF && asksForEcn(seg);
  const tsVal = cookieTimestamp(now, hasTs ? seg.wscale : -1, sackOk, ecnOk);
  sendSynAck(layer, laddr, raddr, ports, iss, seg.seq, wscale, sackOk, ecnOk, hasTs, tsVal, seg.tsVal);
}

/** An ACK out of nowhere may carry a cookie. False: it does not. */
function onCookieAck(layer: HandshakeContext, listener: TcpListener, skb: Skb, seg: SegmentInfo): boolean {
  if (!layer.options.synCookies || layer.nowMs - listener.lastCookieMs > 120_000) return false;
  const { v } = layer.counters;
  const b = skb.bytes;
  const laddr = ipDaddr(b, skb.nh);
  const raddr = ipSaddr(b, skb.nh);
  const ports = (tcpDport(b, skb.th) << 16) | tcpSport(b, skb.th);
  const irs = (seg.seq - 1) | 0;
  const iss = (seg.ack - 1) | 0;
  const mss = checkCookie(layer.secret, laddr, raddr, ports, irs, iss, Math.floor(layer.nowMs / 60_000));
  if (mss === 0) {
    v[NETSTAT.TcpExtSyncookiesFailed]!++;
    return false;
  }
  if (listener.isFull) {
    v[NETSTAT.TcpExtListenOverflows]!++;
    return true;
  }
  const c = makeChild(layer, laddr, raddr, ports, irs, iss);
  if (!c) return true;
  v[NETSTAT.TcpExtSyncookiesRecv]!++;
  const hasTs = seg.hasTs && seg.tsEcr !== 0 && layer.options.timestamps;
  agree(layer, c, mss, hasTs ? cookieWscale(seg.tsEcr) : -1, hasTs && cookieSack(seg.tsEcr), hasTs);
  if (hasTs && cookieEcn(seg.tsEcr) && layer.options.ecn !== ECN_OFF) c.ecn = ECN_OK;
  c.tsRecent = seg.tsVal;
  // How long the handshake took nobody knows.
  c.rto.fallBack();
  adopt(layer, listener, c, seg, false);
  return true;
}
