// A ping socket, after Linux's IPPROTO_ICMP datagram sockets (net/ipv4/ping.c): sends echo requests under an identifier of its
// own and hears the replies and the errors about them.
import type { IpAddress } from '../wire/address.ts';

/** An answer to an echo request. */
export interface PingReply {
  readonly saddr: IpAddress;
  readonly seq: number;
  readonly ttl: number;
  /** The receiver's own copy. */
  readonly payload: Uint8Array;
}

/** An ICMP error about an echo request. */
export interface PingError {
  /** Who reported it: a router on the way, or our own address when a neighbour did not answer ARP. */
  readonly reporter: IpAddress;
  readonly daddr: IpAddress;
  readonly seq: number;
  readonly type: number;
  readonly code: number;
  /** Next-hop MTU when fragmentation was needed, else 0. */
  readonly mtu: number;
}

export interface PingRequest {
  readonly daddr: IpAddress;
  readonly seq: number;
  /** 64 by default. */
  readonly ttl?: number;
  readonly tos?: number;
  /** Refuse to be fragmented on the way. */
  readonly df?: boolean;
  readonly payload?: Uint8Array;
  /** Chosen by the route by default. */
  readonly saddr?: IpAddress;
}

/** What a ping socket needs of its layer. */
export interface PingOutput {
  sendEcho(id: number, request: PingRequest): number;
  closePing(id: number): void;
}

export class PingEndpoint {
  /** Identifier of all echo requests of this socket. */
  readonly id: number;
  /** Both are called in the middle of packet processing: they must be quick and not throw. */
  onReply: ((reply: PingReply) => void) | null = null;
  onError: ((error: PingError) => void) | null = null;
  readonly #output: PingOutput;
  #closed = false;

  constructor(id: number, output: PingOutput) {
    this.id = id;
    this.#output = output;
  }

  /** 0, or a negative errno (-ENETUNREACH, -EMSGSIZE, -ENOBUFS). */
  send(request: PingRequest): number {
    return this.#output.sendEcho(this.id, request);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onReply = null;
    this.onError = null;
    this.#output.closePing(this.id);
  }
}
