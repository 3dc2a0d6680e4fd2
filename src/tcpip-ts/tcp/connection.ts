// One TCP connection: the transmission control block of RFC 9293 and what an application does with it. Segments reach it through
// input.ts, leave through output.ts; ack.ts, recovery.ts, rack.ts and timeouts.ts work on its fields.
//
//   application                        peer
//   write ─▶ send buffer ─▶ output ───▶        state       as RFC 9293, 3.3.2 (state.ts)
//   read ◀── receive buffer ◀── input ◀──      in flight   records in the layer's SegmentTable
//
//   input, timeouts ─▶ output ─▶ retransmit ─▶ transmit ─▶ emit        no file calls one to its left
//
// Theory of operation
// - Synchronous. Callbacks run at the end of whatever caused them, with the connection consistent: they may call any method.
//   An event is a level, not a count: after onReadable read until 0 comes; after onWritable write until less is taken.
// - `write` and `end` send what the windows allow before they return. `read` may send a window update.
// - onClose comes exactly once, unless close() or abort() was called first; nothing follows it. Bytes that arrived can still be read.
// - Windows and sums are bytes. sndWnd and cwnd follow RFC 9293 and 5681; `inFlight` is RFC 6675's pipe:
//   sndNxt - sndUna - sackedOut - lostOut + retransOut, where without SACK sackedOut is counted from duplicate ACKs.
// - lastAckSent (RFC 7323's Last.ACK.sent) and rcvAdv (right edge offered) say what the peer was told last.
// Sequence numbers, timestamps and microseconds are int32 (seq.ts); milliseconds are plain integers.
// The functions that its methods call import its type back. Variables in a base class of their own would end that, but one in twenty of
// the connections opened in a second is what it costs (bench/stack, Node 20).

import { NETSTAT } from '../counters.ts';
import type { IpAddress } from '../wire/address.ts';
import type { CongestionControl } from './congestion.ts';
import type { TcpContext } from './context.ts';
import { output } from './output.ts';
import { ReceiveBuffer } from './receive-buffer.ts';
import { Rto } from './rto.ts';
import { NO_SEGMENT } from './segment-table.ts';
import { SendBuffer } from './send-buffer.ts';
import { type Seq, seqDiff } from './seq.ts';
import {
  CA_OPEN,
  CLOSE_WAIT,
  CLOSED,
  ESTABLISHED,
  EV_CONNECT,
  EV_READABLE,
  EV_WRITABLE,
  FIN_WAIT1,
  FIN_WAIT2,
  LAST_ACK,
  REXMIT_OFF,
  SYN_RECV,
  SYN_SENT,
  type TcpState,
} from './state.ts';
import { armFinWait2, armKeepalive } from './timers.ts';
import { sendReset, windowUpdate } from './transmit.ts';
import {
  KEEPALIVE_IDLE_MS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_PROBES,
  MSS_DEFAULT,
  QUICKACKS,
  SNDBUF_MAX,
  SNDBUF_MIN,
} from './tunables.ts';

/** What a connection asks of the layer that it belongs to. */
export interface ConnectionOwner extends TcpContext {
  /** The connection whose segment is being processed: its answers wait for the end of it. */
  current: Connection | null;
  /** The connection is over: leaves the tables; the application is told. Received bytes stay readable. */
  detach(c: Connection, errno: number): void;
  /** As detach, leaving a time-wait entry behind. */
  enterTimeWait(c: Connection): void;
}

export class Connection {
  readonly layer: ConnectionOwner;
  /** Index in the layer's tables; -1 once detached. */
  slot: number;
  readonly laddr: IpAddress;
  readonly lport: number;
  readonly raddr: IpAddress;
  readonly rport: number;
  state: TcpState = CLOSED;
  /** Of the outgoing link: LINK_F_*. */
  features = 0;

  // Application side.
  onConnect: (() => void) | null = null;
  /** Bytes or the end of the stream can be read. */
  onReadable: (() => void) | null = null;
  /** There is room again after `write` took less than it was given. */
  onWritable: (() => void) | null = null;
  /** Nothing more will happen; 0 or an errno. */
  onClose: ((errno: number) => void) | null = null;
  events = 0;
  /** Why the connection ended; 0 in order or not yet. */
  errno = 0;
  /** The last ICMP error that did not end it (RFC 5927): what a timeout is reported as. */
  softErrno = 0;
  /** No application owns it any more. */
  orphan = false;
  noDelay = false;
  /** `write` took less than it was given. */
  wantsWritable = false;

  // Send side (RFC 9293, 3.3.1).
  iss: Seq = 0;
  /** When the first SYN (or SYN-ACK) left. */
  synSentUs = 0;
  sndUna: Seq = 0;
  sndNxt: Seq = 0;
  sndWnd = 0;
  sndWl1: Seq = 0;
  sndWl2: Seq = 0;
  /** Largest window the peer ever offered: for silly window avoidance and RFC 5961. */
  sndMaxWnd = 0;
  /** Shift of the windows that the peer sends, and of ours. */
  sndWscale = 0;
  rcvWscale = 0;
  /** Payload of a full segment, options taken off. */
  mss = MSS_DEFAULT;
  /** Of the peer's MSS option, and of the path: the two bounds of mss. */
  peerMss = MSS_DEFAULT;
  pathMtu = 0;
  /** Most payload handed to the link at once: mss, or a multiple of it up to 64 KiB. */
  maxPayload = MSS_DEFAULT;
  /** End of the last segment shorter than mss (Nagle as Minshall modified it). */
  sndSml: Seq = 0;
  /** The application is done writing; the FIN follows the last byte. */
  finQueued = false;
  finSent = false;
  readonly snd: SendBuffer;

  // Options in use.
  /** ECN_*: agreed, and what is to be said (ecn.ts). */
  ecn = 0;
  tsOk = false;
  sackOk = false;
  tsOffset = 0;
  tsRecent = 0;
  tsRecentMs = 0;

  // In flight: records in layer.segments, oldest first.
  head = NO_SEGMENT;
  tail = NO_SEGMENT;
  /** How many of them. */
  records = 0;
  sackedOut = 0;
  lostOut = 0;
  retransOut = 0;

  // Congestion (bytes).
  cwnd = 0;
  ssthresh = 0x7fffffff;
  readonly cc: CongestionControl;
  caState = CA_OPEN;
  /** sndNxt when recovery began: it ends when this is acknowledged. */
  highSeq: Seq = 0;
  dupAcks = 0;
  /** The window kept us from sending since the last acknowledgment. */
  cwndLimited = false;
  /** One retransmission may leave whatever the window says: the first of a recovery. */
  forceRetransmit = false;
  // Proportional rate reduction (RFC 6937).
  prrDelivered = 0;
  prrOut = 0;
  prrFlight = 0;
  /** What to go back to if the retransmissions prove needless; undoMarker is sndUna at the start, undoCwnd 0 when off. */
  undoMarker: Seq = 0;
  undoCwnd = 0;
  undoSsthresh = 0;
  /** Bytes retransmitted in this episode that a DSACK has not declared needless. */
  undoRetrans = 0;
  /** Timestamp of the first retransmission of the episode (RFC 3522). */
  retransStamp = 0;
  // RACK (RFC 8985): the segment sent last among those delivered.
  rackUs = 0;
  rackEnd: Seq = 0;
  rackRttUs = 0;
  rackValid = false;
  rackFack: Seq = 0;
  reorderingSeen = false;
  rackReoWndMult = 1;
  tlpEnd: Seq = 0;
  tlpOut = false;
  tlpIsRetrans = false;

  // Timers.
  readonly rto = new Rto();
  rexmitMode: number = REXMIT_OFF;
  rexmitDueMs = 0;
  /** When the wheel will ring, which may be before it is due; 0: it will not. */
  rexmitAlarmMs = 0;
  delackDueMs = 0;
  delackAlarmMs = 0;
  /** Timeouts in a row without progress, and when the first of them was. */
  retries = 0;
  retriesSinceMs = 0;
  /** Window probes since the window was last open: their backoff. */
  probes = 0;
  /** When data left last. */
  lastSentMs = 0;
  lastRecvMs = 0;
  lastOowAckMs = -1e9;
  keepaliveOn = false;
  keepaliveIdleMs = KEEPALIVE_IDLE_MS;
  keepaliveIntervalMs = KEEPALIVE_INTERVAL_MS;
  keepaliveMax = KEEPALIVE_PROBES;
  keepalivesSent = 0;
  /** 0: RETRIES2 decides. */
  userTimeoutMs = 0;

  // Receive side.
  irs: Seq = 0;
  readonly rcv: ReceiveBuffer;
  rcvAdv: Seq = 0;
  /** The window field sent last. */
  rcvWnd = 1;
  lastAckSent: Seq = 0;
  /** Most bytes held for the application; grows with the reader. */
  rcvLimit = 0;
  /** Sequence number of the peer's FIN, once seen. */
  finSeq: Seq = 0;
  finSeen = false;
  /** FIN received in order: the stream has ended. */
  rcvFin = false;
  /** Largest segment seen lately, to tell when two have come. */
  rcvMss = MSS_DEFAULT;
  quickacks = QUICKACKS;
  ackNow = false;
  ackPending = false;
  dsackStart: Seq = 0;
  dsackEnd: Seq = 0;
  hasDsack = false;
  // Receive buffer sizing.
  copied = 0;
  copiedSinceUs = 0;
  rcvRttUs = 0;

  constructor(layer: ConnectionOwner, slot: number, laddr: number, lport: number, raddr: number, rport: number) {
    this.layer = layer;
    this.slot = slot;
    this.laddr = laddr;
    this.lport = lport;
    this.raddr = raddr;
    this.rport = rport;
    this.snd = new SendBuffer(layer.buffers);
    this.rcv = new ReceiveBuffer(layer.buffers);
    this.rcvLimit = layer.options.receiveBuffer;
    this.cc = layer.newCongestion();
    this.lastRecvMs = layer.nowMs;
  }

  /** Bytes sent and not known to have left the network. */
  get inFlight(): number {
    return seqDiff(this.sndNxt, this.sndUna) - this.sackedOut - this.lostOut + this.retransOut;
  }

  /** Bytes in the send buffer that were never sent. */
  get unsent(): number {
    if (this.finSent) return 0;
    if (this.state === SYN_SENT || this.state === SYN_RECV) return this.snd.length;
    return this.snd.length - seqDiff(this.sndNxt, this.sndUna);
  }

  /** Bytes that can be read now. */
  get readable(): number {
    return this.rcv.length;
  }

  /** The peer has sent everything and all of it was read. */
  get ended(): boolean {
    return this.rcvFin && this.rcv.length === 0;
  }

  /** Most bytes the send buffer takes: two windows, so that the next is ready when one is acknowledged. */
  get sndLimit(): number {
    return Math.min(SNDBUF_MAX, Math.max(SNDBUF_MIN, 2 * this.cwnd));
  }

  /**
   * Takes as much of bytes[from, to) as there is room for, copies it, and returns how many bytes; onWritable follows when that
   * was less. May be called before the connection stands. -EPIPE's case, after end() or when closed, returns -1.
   */
  write(bytes: Uint8Array, from = 0, to = bytes.length): number {
    if (this.finQueued || this.orphan || this.state === CLOSED) return -1;
    const n = Math.min(to - from, this.sndLimit - this.snd.length);
    if (n < to - from) this.wantsWritable = true;
    if (n <= 0) return 0;
    this.snd.append(bytes, from, from + n);
    if (this.state === ESTABLISHED || this.state === CLOSE_WAIT) output(this);
    return n;
  }

  /** Moves up to `to - from` received bytes into `into`; 0 when there are none (see `ended`). */
  read(into: Uint8Array, from = 0, to = into.length): number {
    const n = this.rcv.read(into, from, to - from);
    if (n > 0) {
      this.copied += n;
      if (this.slot >= 0 && !this.rcvFin) windowUpdate(this);
    }
    return n;
  }

  /** Half-close: FIN after what was written. Calling it twice is fine. */
  end(): void {
    if (this.finQueued || this.state === CLOSED) return;
    this.finQueued = true;
    if (this.state === ESTABLISHED) this.state = FIN_WAIT1;
    else if (this.state === CLOSE_WAIT) this.state = LAST_ACK;
    else return; // SYN_SENT, SYN_RECV: establish() goes on
    output(this);
  }

  /**
   * The application lets go (close(2)): what was written is still delivered, then FIN. Unread or later data is answered with
   * RST (RFC 9293, 3.6.1; RFC 2525, 2.17). No callback follows.
   */
  close(): void {
    this.onConnect = this.onReadable = this.onWritable = null;
    this.onClose = null;
    if (this.orphan) return;
    this.orphan = true;
    if (this.slot < 0) {
      this.rcv.clear();
      return;
    }
    if (this.state === SYN_SENT) {
      this.layer.detach(this, 0);
    } else if (this.rcv.length > 0) {
      this.layer.counters.v[NETSTAT.TcpExtTCPAbortOnClose]!++;
      sendReset(this);
      this.layer.detach(this, 0);
    } else {
      this.end();
      if (this.state === FIN_WAIT2) armFinWait2(this);
    }
  }

  /** Ends now with RST; unsent and unread bytes are lost. No callback follows. */
  abort(): void {
    this.onConnect = this.onReadable = this.onWritable = null;
    this.onClose = null;
    this.orphan = true;
    if (this.slot >= 0) {
      if (this.state !== SYN_SENT) sendReset(this);
      this.layer.detach(this, 0);
    }
    this.rcv.clear();
  }

  setNoDelay(on: boolean): void {
    this.noDelay = on;
    if (on && this.slot >= 0 && this.state !== SYN_SENT && this.state !== SYN_RECV) output(this);
  }

  /** Probes an idle peer after `idleMs` (RFC 9293, 3.8.4). */
  setKeepAlive(on: boolean, idleMs = this.keepaliveIdleMs, intervalMs = this.keepaliveIntervalMs): void {
    this.keepaliveOn = on;
    this.keepaliveIdleMs = Math.max(1, idleMs);
    this.keepaliveIntervalMs = Math.max(1, intervalMs);
    if (this.slot >= 0) armKeepalive(this);
  }

  /** Gives up when sent data stays unacknowledged so long (RFC 5482, the local part); 0: after RETRIES2. */
  setUserTimeout(ms: number): void {
    this.userTimeoutMs = ms;
  }

  /** Delivers pending events. A callback may end the connection: the rest is then dropped. */
  dispatch(): void {
    while (this.events !== 0) {
      if (this.events & EV_CONNECT) {
        this.events &= ~EV_CONNECT;
        this.onConnect?.();
      } else if (this.events & EV_READABLE) {
        this.events &= ~EV_READABLE;
        this.onReadable?.();
      } else if (this.events & EV_WRITABLE) {
        this.events &= ~EV_WRITABLE;
        this.onWritable?.();
      } else {
        this.events = 0;
        const onClose = this.onClose;
        this.onClose = null;
        onClose?.(this.errno);
      }
    }
  }
}
