// How the TCP of one host is set up, and the defaults.
import type { CongestionName } from './congestion.ts';
import {
  BUFFERS_MAX,
  CONNECTIONS_MAX,
  ECN_GRANT,
  RCVBUF_INITIAL,
  RCVBUF_MAX,
  SYN_QUEUE_MAX,
  TIMEWAIT_MAX,
} from './tunables.ts';

export interface TcpOptions {
  readonly timestamps: boolean;
  readonly sack: boolean;
  readonly windowScaling: boolean;
  readonly synCookies: boolean;
  /** As Linux's tcp_ecn: 0 never, 1 asks and grants, 2 grants to those that ask (tunables.ts). */
  readonly ecn: 0 | 1 | 2;
  readonly congestion: CongestionName;
  /** Bytes: at the start, and as far as it grows. */
  readonly receiveBuffer: number;
  readonly receiveBufferMax: number;
  readonly maxCwnd: number;
  readonly maxConnections: number;
  /** Bytes of buffers, over all connections, from which on arriving data is dropped (tcp_mem). */
  readonly maxBuffers: number;
  readonly maxSynQueue: number;
  readonly maxTimeWait: number;
}

export const DEFAULTS: TcpOptions = {
  timestamps: true,
  sack: true,
  windowScaling: true,
  synCookies: true,
  ecn: ECN_GRANT,
  congestion: 'newreno',
  receiveBuffer: RCVBUF_INITIAL,
  receiveBufferMax: RCVBUF_MAX,
  maxCwnd: 1 << 26,
  maxConnections: CONNECTIONS_MAX,
  maxBuffers: BUFFERS_MAX,
  maxSynQueue: SYN_QUEUE_MAX,
  maxTimeWait: TIMEWAIT_MAX,
};
