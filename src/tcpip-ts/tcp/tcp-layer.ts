// TCP of one host: what the network layer hands up is found its connection by four-tuple, connections are opened, listened for and
// taken down here. RFC 9293 over the IpOutput seam.
//
//   input ─▶ checksum, parse ─▶ demux ─┬─ connection ─▶ input.ts     handshake under way ─▶ passive.ts
//                                      ├─ time-wait  ─▶ time-wait.ts
//                                      └─ nobody     ─▶ listener by port ─▶ passive.ts, or RST
//
// - Everything shared by connections lives here: segment records, buffer blocks, timers, the parsed segment, the clock reading of
//   the current event (`nowUs` int32, `nowMs`). Nothing is allocated per segment.
// - IpOutput.send must not call input() before it returns: loopback has to go through a queue.
// - Bounds: tunables.ts; past them SYNs are answered by cookies, TIME-WAIT is skipped, attach() refuses.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';
import { type Counters, NETSTAT, SNMP } from '../counters.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENETUNREACH, ENOBUFS } from '../errno.ts';
import { pickEphemeralPort } from '../ip/ephemeral-port.ts';
import type { IpOutput, Transport } from '../ip/transport.ts';
import { CHECKSUM_NONE, GSO_TCPV4, type Skb, type SkbPool } from '../skb.ts';
import { sumSkb } from '../skb-checksum.ts';
import type { IpAddress } from '../wire/address.ts';
import { get16 } from '../wire/bytes.ts';
import { finish, pseudoSum } from '../wire/checksum.ts';
import { ECN_MASK, IPPROTO_TCP, ipDaddr, ipSaddr, ipTos } from '../wire/ipv4.ts';
import {
  isTcp,
  TCP_ACK,
  TCP_FIN,
  TCP_HLEN,
  TCP_SYN,
  tcpDport,
  tcpFlags,
  tcpHlen,
  tcpSport,
  tcpWindow,
} from '../wire/tcp.ts';
import { BufferPool } from './buffer-pool.ts';
import type { CongestionControl } from './congestion.ts';
import { Connection } from './connection.ts';
import { Cubic } from './cubic.ts';
import { Demux, KIND_CONNECTION, KIND_REQUEST, KIND_TIME_WAIT, owner } from './demux.ts';
import { ECN_OK } from './ecn.ts';
import { emitResetFor } from './emit.ts';
import { onIcmpError } from './icmp-error.ts';
import { input, settle } from './input.ts';
import { TcpListener } from './listener.ts';
import { refreshRoute } from './mss.ts';
import { NewReno } from './newreno.ts';
import { parseOptions, SegmentInfo } from './options.ts';
import { dropRequest, type HandshakeContext, onListenerSegment, onRequestSegment, onRequestTimer } from './passive.ts';
import { SALT_DEMUX, SALT_ISN, SALT_TIMESTAMP, Secret } from './secret.ts';
import { NO_SEGMENT, SegmentTable } from './segment-table.ts';
import { getSeq } from './seq.ts';
import { DEFAULTS, type TcpOptions } from './settings.ts';
import { CLOSED, EV_CLOSE, SYN_RECV, SYN_SENT } from './state.ts';
import { SynQueue } from './syn-queue.ts';
import { TimeWaitTable } from './time-wait.ts';
import { onFastTimer, onSlowTimer } from './timeouts.ts';
import { armRto } from './timers.ts';
import { sendSyn } from './transmit.ts';
import { BACKLOG_DEFAULT, BACKLOG_MAX, CHALLENGE_ACKS_PER_S, ECN_ASK, WSCALE_MAX } from './tunables.ts';

const FAST_TICK_US = 1000;
const SLOW_TICK_US = 100_000;

export interface TcpEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly ip: IpOutput;
  /** Where `ip` takes its packets from: the buffers lie beside them. */
  readonly pool: SkbPool;
  readonly counters: Counters;
  readonly options?: Partial<TcpOptions>;
}

export interface ConnectTarget {
  readonly daddr: IpAddress;
  readonly dport: number;
  /** By default as the route says. */
  readonly saddr?: IpAddress;
  /** By default an ephemeral one. */
  readonly sport?: number;
}

export interface ListenAt {
  /** 0 or absent: every address. */
  readonly addr?: IpAddress;
  /** 0: any free one. */
  readonly port: number;
  readonly backlog?: number;
}

export class TcpLayer implements HandshakeContext, Transport {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly ip: IpOutput;
  readonly counters: Counters;
  readonly options: TcpOptions;
  readonly demux: Demux;
  readonly segments = new SegmentTable();
  readonly buffers: BufferPool;
  readonly secret: Secret;
  readonly fastTimers: TimerWheel;
  readonly slowTimers: TimerWheel;
  readonly synQueue: SynQueue;
  readonly timeWait: TimeWaitTable;
  /** Shift of the windows we offer: so that the largest receive buffer can be told. */
  readonly rcvWscale: number;
  /** The clock at the current event: microseconds as int32, milliseconds. */
  nowUs = 0;
  nowMs = 0;
  /** The connection whose segment is being processed: its answers wait for the end of it. */
  current: Connection | null = null;
  challenges = 0;
  challengeSecond = -1;
  readonly sackScratch = new Int32Array(10);
  readonly #seg = new SegmentInfo();
  readonly #connections: (Connection | null)[] = [];
  readonly #freeSlots: number[] = [];
  #connectionCount = 0;
  readonly #listeners: (TcpListener | null)[] = [];
  readonly #byPort = new Map<number, TcpListener[]>();
  #closed = false;

  constructor(env: TcpEnv) {
    this.clock = env.clock;
    this.rng = env.rng;
    this.ip = env.ip;
    this.counters = env.counters;
    this.options = { ...DEFAULTS, ...env.options };
    this.buffers = new BufferPool(env.pool, this.options.maxBuffers);
    this.secret = Secret.of(env.rng);
    this.demux = new Demux(this.secret.hash(0, 0, 0, 0, SALT_DEMUX));
    let wscale = 0;
    while (wscale < WSCALE_MAX && this.options.receiveBufferMax >> wscale > 65_535) wscale++;
    this.rcvWscale = this.options.windowScaling ? wscale : 0;
    this.fastTimers = new TimerWheel(env.clock, FAST_TICK_US, (id) => this.#onTimer(id >> 1, id & 1));
    this.slowTimers = new TimerWheel(env.clock, SLOW_TICK_US, (slot) => this.#onTimer(slot, -1));
    this.synQueue = new SynQueue(env.clock, this.options.maxSynQueue, (slot) => {
      this.stamp();
      onRequestTimer(this, slot);
    });
    this.timeWait = new TimeWaitTable(this, this.options.maxTimeWait);
    this.stamp();
  }

  /** Open connections; half-open and time-wait entries not among them. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Reads the clock for what happens now. */
  stamp(): void {
    const us = this.clock.nowUs();
    this.nowUs = us | 0; // ToInt32: modulo 2^32
    this.nowMs = Math.floor(us / 1000);
  }

  /** Opens a connection; its onConnect or onClose(errno) follows. A negative errno when there is nothing to try. */
  connect(target: ConnectTarget): Connection | number {
    if (this.#closed) return -ENETUNREACH;
    const { daddr, dport } = target;
    const route = this.ip.route(daddr);
    if (!route) return -ENETUNREACH;
    if (target.saddr && !this.ip.isLocal(target.saddr)) return -EADDRNOTAVAIL;
    const saddr = target.saddr || route.saddr;
    let iss = 0;
    let sport = target.sport ?? 0;
    if (sport === 0) {
      sport = pickEphemeralPort(
        this.rng,
        (port) => this.demux.lookup(saddr, port, daddr, dport) === 0 && !this.#byPort.has(port),
      );
      if (sport === 0) return -EADDRNOTAVAIL;
    } else {
      const found = this.demux.lookup(saddr, sport, daddr, dport);
      if (found !== 0) {
        if ((found & 3) !== KIND_TIME_WAIT || !this.timeWait.isReusable(found >> 2)) return -EADDRINUSE;
        iss = this.timeWait.nextIss(found >> 2);
        this.timeWait.remove(found >> 2);
      }
    }
    this.stamp();
    const c = this.attach(saddr, sport, daddr, dport);
    if (!c) return -ENOBUFS;
    this.demux.set(saddr, sport, daddr, dport, owner(KIND_CONNECTION, c.slot));
    c.state = SYN_SENT;
    c.tsOk = this.options.timestamps;
    c.sackOk = this.options.sack;
    c.rcvWscale = this.rcvWscale;
    if (this.options.ecn === ECN_ASK) c.ecn = ECN_OK;
    c.tsOffset = this.timestampOffset(saddr, sport, daddr, dport);
    c.iss = iss !== 0 ? iss : this.initialSeq(saddr, sport, daddr, dport);
    c.sndUna = c.iss;
    c.sndNxt = (c.iss + 1) | 0;
    c.synSentUs = this.nowUs;
    refreshRoute(c, 0);
    this.counters.v[SNMP.TcpActiveOpens]!++;
    sendSyn(c);
    armRto(c);
    return c;
  }

  /** Listens; -EADDRINUSE when another listener has the port (at this address, or either at all), -EADDRNOTAVAIL for a foreign one. */
  listen(at: ListenAt): TcpListener | number {
    if (this.#closed) return -EINVAL;
    const addr = at.addr ?? 0;
    if (addr !== 0 && !this.#isOwn(addr)) return -EADDRNOTAVAIL;
    const isFree = (port: number): boolean =>
      !this.#byPort.get(port)?.some((l) => l.addr === 0 || addr === 0 || l.addr === addr);
    const port = at.port !== 0 ? at.port : pickEphemeralPort(this.rng, isFree);
    if (port === 0 || !isFree(port)) return -EADDRINUSE;
    const backlog = Math.min(BACKLOG_MAX, Math.max(0, at.backlog ?? BACKLOG_DEFAULT));
    let id = this.#listeners.indexOf(null);
    if (id < 0) id = this.#listeners.length;
    const listener = new TcpListener(this, id, addr, port, backlog);
    this.#listeners[id] = listener;
    const list = this.#byPort.get(port);
    if (list) list.push(listener);
    else this.#byPort.set(port, [listener]);
    return listener;
  }

  input(skb: Skb): void {
    const { v } = this.counters;
    const b = skb.bytes;
    const th = skb.th;
    v[SNMP.TcpInSegs]!++;
    if (!isTcp(b, th, skb.tail)) {
      v[SNMP.TcpInErrs]!++;
      skb.free();
      return;
    }
    const laddr = ipDaddr(b, skb.nh);
    const raddr = ipSaddr(b, skb.nh);
    if (skb.checksum === CHECKSUM_NONE) {
      const length = skb.tail - th;
      if (finish(sumSkb(skb, th, skb.tail, pseudoSum(raddr, laddr, IPPROTO_TCP, length))) !== 0) {
        v[SNMP.TcpInCsumErrors]!++;
        v[SNMP.TcpInErrs]!++;
        skb.free();
        return;
      }
    }
    this.stamp();
    const seg = this.#seg;
    parseSegment(skb, seg);
    const lport = tcpDport(b, th);
    const rport = tcpSport(b, th);
    const found = this.demux.lookup(laddr, lport, raddr, rport);
    if ((found & 3) === KIND_CONNECTION) {
      if (input(this.#connections[found >> 2]!, seg) < 0) emitResetFor(this, skb, seg);
    } else if (found === 0) {
      this.#inputUnknown(skb, seg, laddr, lport, 0);
    } else if ((found & 3) === KIND_REQUEST) {
      onRequestSegment(this, found >> 2, skb, seg);
    } else {
      const iss = this.timeWait.nextIss(found >> 2);
      if (this.timeWait.input(found >> 2, seg)) this.#inputUnknown(skb, seg, laddr, lport, iss);
    }
    skb.free();
  }

  error(b: Uint8Array, nh: number, th: number, end: number, type: number, code: number, mtu: number): void {
    if (end - th < 8) return;
    this.stamp();
    // The quoted packet is ours: its source is our end.
    const found = this.demux.lookup(ipSaddr(b, nh), get16(b, th), ipDaddr(b, nh), get16(b, th + 2));
    if ((found & 3) !== KIND_CONNECTION) return;
    const c = this.#connections[found >> 2]!;
    onIcmpError(c, getSeq(b, th + 4), type, code, mtu);
    settle(c);
  }

  /** Listening ports, for showing. */
  *listeners(): Generator<TcpListener> {
    for (const l of this.#listeners) if (l) yield l;
  }

  /** As a kernel closes the sockets of processes that have died: nobody listens, and peers get their FIN, or RST where bytes were unread. */
  release(): void {
    for (const listener of [...this.listeners()]) listener.close();
    for (const c of this.#connections) c?.close();
  }

  /** Drops everything without a word to the peers; callbacks get no more calls. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const c of this.#connections) {
      if (!c) continue;
      c.onConnect = c.onReadable = c.onWritable = null;
      c.onClose = null;
      this.detach(c, 0);
      c.rcv.clear();
    }
    this.#listeners.length = 0;
    this.#byPort.clear();
    this.fastTimers.close();
    this.slowTimers.close();
    this.synQueue.close();
    this.timeWait.close();
    this.buffers.close();
  }

  // For the files of this folder.

  newCongestion(): CongestionControl {
    return this.options.congestion === 'cubic' ? new Cubic() : new NewReno();
  }

  listenerById(id: number): TcpListener | null {
    return this.#listeners[id] ?? null;
  }

  removeListener(listener: TcpListener): void {
    if (this.#listeners[listener.id] !== listener) return;
    const { synQueue } = this;
    for (let slot = 0; listener.pending > 0 && slot < synQueue.max; slot++) {
      if (synQueue.listener[slot] === listener.id) dropRequest(this, slot);
    }
    this.#listeners[listener.id] = null;
    const list = this.#byPort.get(listener.port)!;
    list.splice(list.indexOf(listener), 1);
    if (list.length === 0) this.#byPort.delete(listener.port);
  }

  /** A connection with a slot, not yet in the demux table; null past maxConnections. */
  attach(laddr: number, lport: number, raddr: number, rport: number): Connection | null {
    if (this.#connectionCount >= this.options.maxConnections) return null;
    const slot = this.#freeSlots.pop() ?? this.#connections.length;
    const c = new Connection(this, slot, laddr, lport, raddr, rport);
    this.#connections[slot] = c;
    this.#connectionCount++;
    return c;
  }

  /** The connection is over: leaves the tables; the application is told. Received bytes stay readable. */
  detach(c: Connection, errno: number): void {
    this.#release(c, errno);
    this.demux.delete(c.laddr, c.lport, c.raddr, c.rport);
  }

  /** As detach, leaving a time-wait entry behind. */
  enterTimeWait(c: Connection): void {
    if (this.timeWait.add(c)) {
      this.#release(c, 0);
    } else {
      this.counters.v[NETSTAT.TcpExtTCPTimeWaitOverflow]!++;
      this.detach(c, 0);
    }
  }

  /** RFC 6528: a clock of 4 µs and a secret function of the tuple. */
  initialSeq(laddr: number, lport: number, raddr: number, rport: number): number {
    return (this.secret.hash(laddr, raddr, (lport << 16) | rport, 0, SALT_ISN) + this.clock.nowUs() / 4) | 0;
  }

  /** RFC 7323, 5.4: each connection's timestamps start elsewhere, and the same each time for the same tuple. */
  timestampOffset(laddr: number, lport: number, raddr: number, rport: number): number {
    return this.secret.hash(laddr, raddr, (lport << 16) | rport, 0, SALT_TIMESTAMP);
  }

  refillChallenges(): void {
    this.challengeSecond = Math.floor(this.nowMs / 1000);
    this.challenges = CHALLENGE_ACKS_PER_S / 2 + this.rng.below(CHALLENGE_ACKS_PER_S);
  }

  #isOwn(addr: number): boolean {
    const ip = this.ip as IpOutput & { isOwnSource?: (addr: number) => boolean };
    return ip.isOwnSource ? ip.isOwnSource(addr) : ip.isLocal(addr);
  }

  #inputUnknown(skb: Skb, seg: SegmentInfo, laddr: number, lport: number, iss: number): void {
    const listener = this.#findListener(laddr, lport);
    if (listener) onListenerSegment(this, listener, skb, seg, iss);
    else emitResetFor(this, skb, seg);
  }

  #findListener(addr: number, port: number): TcpListener | null {
    const list = this.#byPort.get(port);
    if (!list) return null;
    let any: TcpListener | null = null;
    for (let i = 0; i < list.length; i++) {
      const l = list[i]!;
      if (l.addr === addr) return l;
      if (l.addr === 0) any = l;
    }
    return any;
  }

  #release(c: Connection, errno: number): void {
    if (c.slot < 0) return;
    const { v } = this.counters;
    if (c.state === SYN_SENT || c.state === SYN_RECV) v[SNMP.TcpAttemptFails]!++;
    else v[SNMP.TcpCurrEstab]!--;
    this.fastTimers.disarm(c.slot * 2);
    this.fastTimers.disarm(c.slot * 2 + 1);
    this.slowTimers.disarm(c.slot);
    this.segments.freeList(c.head);
    c.head = c.tail = NO_SEGMENT;
    c.records = 0;
    c.snd.clear();
    if (c.orphan) c.rcv.clear();
    this.#connections[c.slot] = null;
    this.#freeSlots.push(c.slot);
    this.#connectionCount--;
    c.slot = -1;
    c.state = CLOSED;
    c.errno = errno;
    c.events |= EV_CLOSE;
  }

  #onTimer(slot: number, kind: number): void {
    const c = this.#connections[slot];
    if (!c) return;
    this.stamp();
    this.current = c;
    if (kind < 0) onSlowTimer(c);
    else onFastTimer(c, kind);
    settle(c);
  }
}

/** Fills `seg` from the segment in `skb`, whose header is sound. */
function parseSegment(skb: Skb, seg: SegmentInfo): void {
  const b = skb.bytes;
  const th = skb.th;
  const hlen = tcpHlen(b, th);
  const flags = tcpFlags(b, th);
  seg.seq = getSeq(b, th + 4);
  seg.ack = (flags & TCP_ACK) !== 0 ? getSeq(b, th + 8) : 0;
  seg.flags = flags;
  seg.window = tcpWindow(b, th);
  seg.ecn = ipTos(b, skb.nh) & ECN_MASK;
  seg.bytes = skb.pool.bytes;
  seg.data = skb.base + th + hlen;
  seg.len = skb.tail - th - hlen;
  seg.end = (seg.seq + seg.len + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0)) | 0;
  seg.gsoSize = skb.gsoType === GSO_TCPV4 && skb.gsoSize > 0 ? Math.min(skb.gsoSize, seg.len) : seg.len;
  parseOptions(b, th + TCP_HLEN, th + hlen, seg);
}
