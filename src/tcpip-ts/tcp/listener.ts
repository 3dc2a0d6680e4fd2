// A listening port. Connections whose handshake is done go to onConnection at once; without it they wait in a queue of at most
// `backlog`, for accept(). When that queue is full, handshakes are left hanging as in Linux: the last ACK is dropped
// (ListenOverflows) and new SYNs with it (ListenDrops).

import type { IpAddress } from '../wire/address.ts';
import type { Connection } from './connection.ts';

/** Who finds listeners by port. */
interface Listeners {
  removeListener(listener: TcpListener): void;
}

export class TcpListener {
  readonly layer: Listeners;
  readonly id: number;
  /** 0: every address of this host. */
  readonly addr: IpAddress;
  readonly port: number;
  readonly backlog: number;
  /**
   * Called with a connection that stands; the callee sets its callbacks. Bytes may be there already: onReadable tells of those that
   * come with or after the handshake's last segment.
   */
  onConnection: ((c: Connection) => void) | null = null;
  readonly queue: Connection[] = [];
  /** Half-open connections. */
  pending = 0;
  /** When a SYN cookie went out last; only then are they believed. */
  lastCookieMs = -1e9;
  closed = false;

  constructor(layer: Listeners, id: number, addr: number, port: number, backlog: number) {
    this.layer = layer;
    this.id = id;
    this.addr = addr;
    this.port = port;
    this.backlog = backlog;
  }

  get isFull(): boolean {
    return this.queue.length > this.backlog;
  }

  /** The oldest waiting connection; look at its `readable` and `ended` before waiting for callbacks. */
  accept(): Connection | null {
    for (;;) {
      const c = this.queue.shift();
      if (!c) return null;
      if (c.slot >= 0 || c.errno === 0) return c;
    }
  }

  /** Stops listening; half-open connections are forgotten, those not accepted are reset. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.layer.removeListener(this);
    for (const c of this.queue.splice(0)) c.abort();
  }
}
