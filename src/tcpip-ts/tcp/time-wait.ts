// TIME-WAIT (RFC 9293, 3.6.1 and 3.10.7.4), after Linux's inet_timewait_sock: what must be remembered of a closed connection for
// TIMEWAIT_MS, in columns of typed arrays at 36 bytes an entry. Answers late segments, restarts on a repeated FIN, and gives way
// to a new SYN that is provably newer (RFC 1122, 4.2.2.13; RFC 6191). A RST with the exact number ends it (RFC 9293; RFC 1337
// would have it ignored). Bounded: beyond `max` entries a connection closes at once and TCPTimeWaitOverflow counts.
import { TimerWheel } from '../../lib/timer-wheel.ts';
import { NETSTAT } from '../counters.ts';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../wire/tcp.ts';
import type { Connection } from './connection.ts';
import type { TcpContext } from './context.ts';
import { KIND_TIME_WAIT, owner } from './demux.ts';
import { emitBare } from './emit.ts';
import type { SegmentInfo } from './options.ts';
import { seqDiff, seqGt, seqLt } from './seq.ts';
import { TIMEWAIT_MS } from './tunables.ts';

const TICK_US = 100_000;

export class TimeWaitTable {
  readonly #layer: TcpContext;
  readonly #max: number;
  readonly #timers: TimerWheel;
  #laddr = new Uint32Array(64);
  #raddr = new Uint32Array(64);
  #ports = new Uint32Array(64);
  #sndNxt = new Int32Array(64);
  #rcvNxt = new Int32Array(64);
  /** Scaled down again, as it goes into the header. */
  #window = new Uint16Array(64);
  #rcvWnd = new Int32Array(64);
  #hasTs = new Uint8Array(64);
  #tsRecent = new Int32Array(64);
  #tsOffset = new Int32Array(64);
  #free: number[] = [];
  #fresh = 0;
  size = 0;

  constructor(layer: TcpContext, max: number) {
    this.#layer = layer;
    this.#max = max;
    this.#timers = new TimerWheel(layer.clock, TICK_US, (slot) => {
      this.#layer.counters.v[NETSTAT.TcpExtTW]!++;
      this.remove(slot);
    });
  }

  /** Takes the place of `c` in the demux table; false when full. */
  add(c: Connection): boolean {
    if (this.size >= this.#max) return false;
    const slot = this.#free.pop() ?? this.#fresh++;
    if (slot >= this.#laddr.length) this.#grow();
    this.size++;
    this.#laddr[slot] = c.laddr;
    this.#raddr[slot] = c.raddr;
    this.#ports[slot] = (c.lport << 16) | c.rport;
    this.#sndNxt[slot] = c.sndNxt;
    this.#rcvNxt[slot] = c.rcv.nxt;
    const rcvWnd = Math.max(0, seqDiff(c.rcvAdv, c.rcv.nxt));
    this.#rcvWnd[slot] = rcvWnd;
    this.#window[slot] = Math.min(65_535, rcvWnd >> c.rcvWscale);
    this.#hasTs[slot] = c.tsOk ? 1 : 0;
    this.#tsRecent[slot] = c.tsRecent;
    this.#tsOffset[slot] = c.tsOffset;
    this.#layer.demux.set(c.laddr, c.lport, c.raddr, c.rport, owner(KIND_TIME_WAIT, slot));
    this.#timers.arm(slot, TIMEWAIT_MS * 1000);
    return true;
  }

  /** Forgets an entry before its time or at it. */
  remove(slot: number): void {
    this.#timers.disarm(slot);
    const ports = this.#ports[slot]!;
    this.#layer.demux.delete(this.#laddr[slot]!, ports >>> 16, this.#raddr[slot]!, ports & 0xffff);
    this.#free.push(slot);
    this.size--;
  }

  /** Whether the tuple may be used again by an outgoing connection: timestamps tell old from new (RFC 6191). */
  isReusable(slot: number): boolean {
    return this.#hasTs[slot] === 1;
  }

  /** An initial sequence number beyond everything of the old connection. */
  nextIss(slot: number): number {
    return (this.#sndNxt[slot]! + 65_537) | 0;
  }

  /** A segment for an entry. True: it is a new SYN, the entry is gone, `nextIss` before says from where to count. */
  input(slot: number, seg: SegmentInfo): boolean {
    const { v } = this.#layer.counters;
    const rcvNxt = this.#rcvNxt[slot]!;
    const hasTs = this.#hasTs[slot] === 1 && seg.hasTs;
    const isOld = hasTs && seqLt(seg.tsVal, this.#tsRecent[slot]!);
    const { flags } = seg;
    if ((flags & (TCP_SYN | TCP_RST | TCP_ACK)) === TCP_SYN) {
      if (!isOld && (seqGt(seg.seq, rcvNxt) || (hasTs && seqGt(seg.tsVal, this.#tsRecent[slot]!)))) {
        this.remove(slot);
        v[NETSTAT.TcpExtTWRecycled]!++;
        return true;
      }
    }
    if ((flags & TCP_RST) !== 0) {
      if (seg.seq === rcvNxt && !isOld) {
        this.remove(slot);
        v[NETSTAT.TcpExtTWKilled]!++;
      }
      return false;
    }
    if (isOld) v[NETSTAT.TcpExtPAWSEstab]!++;
    const inWindow = !seqLt(seg.end, rcvNxt) && !seqGt(seg.seq, (rcvNxt + this.#rcvWnd[slot]!) | 0);
    if ((flags & TCP_FIN) !== 0 && !isOld && seg.end === rcvNxt) this.#timers.arm(slot, TIMEWAIT_MS * 1000);
    else if (!isOld && inWindow && (flags & TCP_SYN) === 0 && seg.end === seg.seq) {
      if (hasTs) this.#tsRecent[slot] = seg.tsVal;
      return false; // a bare acknowledgment in order needs no answer
    }
    this.#acknowledge(slot);
    return false;
  }

  close(): void {
    this.#timers.close();
  }

  #acknowledge(slot: number): void {
    const layer = this.#layer;
    const ports = this.#ports[slot]!;
    emitBare(
      layer,
      this.#laddr[slot]!,
      ports >>> 16,
      this.#raddr[slot]!,
      ports & 0xffff,
      this.#sndNxt[slot]!,
      this.#rcvNxt[slot]!,
      TCP_ACK,
      this.#window[slot]!,
      this.#hasTs[slot] === 1,
      (layer.nowMs + this.#tsOffset[slot]!) | 0,
      this.#tsRecent[slot]!,
    );
  }

  #grow(): void {
    const n = this.#laddr.length * 2;
    this.#laddr = grown(this.#laddr, new Uint32Array(n));
    this.#raddr = grown(this.#raddr, new Uint32Array(n));
    this.#ports = grown(this.#ports, new Uint32Array(n));
    this.#sndNxt = grown(this.#sndNxt, new Int32Array(n));
    this.#rcvNxt = grown(this.#rcvNxt, new Int32Array(n));
    this.#rcvWnd = grown(this.#rcvWnd, new Int32Array(n));
    this.#window = grown(this.#window, new Uint16Array(n));
    this.#hasTs = grown(this.#hasTs, new Uint8Array(n));
    this.#tsRecent = grown(this.#tsRecent, new Int32Array(n));
    this.#tsOffset = grown(this.#tsOffset, new Int32Array(n));
  }
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
