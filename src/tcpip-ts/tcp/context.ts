// What all connections of a host share: the part of tcp-layer.ts, which keeps it, that the other files of this folder work on.
import type { Clock } from '../../lib/clock.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { Counters } from '../counters.ts';
import type { IpOutput } from '../ip/transport.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { CongestionControl } from './congestion.ts';
import type { Demux } from './demux.ts';
import type { SegmentTable } from './segment-table.ts';
import type { TcpOptions } from './settings.ts';

export interface TcpContext {
  readonly clock: Clock;
  readonly ip: IpOutput;
  readonly counters: Counters;
  readonly options: TcpOptions;
  readonly demux: Demux;
  readonly segments: SegmentTable;
  readonly buffers: BufferPool;
  readonly fastTimers: TimerWheel;
  readonly slowTimers: TimerWheel;
  /** The clock at the current event: microseconds as int32, milliseconds. */
  nowUs: number;
  nowMs: number;
  /** Challenge ACKs that may still be sent in this second. */
  challenges: number;
  challengeSecond: number;
  readonly sackScratch: Int32Array;
  /** Reads the clock for what happens now. */
  stamp(): void;
  refillChallenges(): void;
  newCongestion(): CongestionControl;
}
