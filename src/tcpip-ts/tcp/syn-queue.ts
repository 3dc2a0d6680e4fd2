// Half-open connections of listeners (SYN received, SYN-ACK sent), after Linux's request_sock: columns of typed arrays, 48 bytes
// an entry, bounded for the layer; each listener has its own bound besides (passive.ts). The retransmission of SYN-ACKs hangs on
// one wheel.

import type { Clock } from '../../lib/clock.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';

const TICK_US = 10_000;

export class SynQueue {
  readonly max: number;
  readonly timers: TimerWheel;
  readonly laddr: Uint32Array;
  readonly raddr: Uint32Array;
  /** Local port in the high half. */
  readonly ports: Uint32Array;
  readonly irs: Int32Array;
  readonly iss: Int32Array;
  /** When the SYN-ACK left first, microseconds as int32. */
  readonly sentUs: Int32Array;
  readonly tsRecent: Int32Array;
  readonly listener: Int32Array;
  readonly mss: Uint16Array;
  /** The peer's, -1 for none. */
  readonly wscale: Int8Array;
  /** 1: timestamps, 2: SACK. */
  readonly flags: Uint8Array;
  readonly retries: Uint8Array;
  readonly #free: Int32Array;
  #available: number;

  constructor(clock: Clock, max: number, onTimer: (slot: number) => void) {
    this.max = max;
    this.timers = new TimerWheel(clock, TICK_US, onTimer);
    this.laddr = new Uint32Array(max);
    this.raddr = new Uint32Array(max);
    this.ports = new Uint32Array(max);
    this.irs = new Int32Array(max);
    this.iss = new Int32Array(max);
    this.sentUs = new Int32Array(max);
    this.tsRecent = new Int32Array(max);
    this.listener = new Int32Array(max).fill(-1);
    this.mss = new Uint16Array(max);
    this.wscale = new Int8Array(max);
    this.flags = new Uint8Array(max);
    this.retries = new Uint8Array(max);
    this.#free = new Int32Array(max);
    for (let i = 0; i < max; i++) this.#free[i] = max - 1 - i;
    this.#available = max;
  }

  get size(): number {
    return this.max - this.#available;
  }

  /** An entry to fill, or -1. */
  alloc(): number {
    return this.#available === 0 ? -1 : this.#free[--this.#available]!;
  }

  release(slot: number): void {
    this.timers.disarm(slot);
    this.listener[slot] = -1;
    this.#free[this.#available++] = slot;
  }

  close(): void {
    this.timers.close();
  }
}
