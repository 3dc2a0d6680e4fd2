// One UDP socket: address, port, perhaps a peer, a bounded receive queue. What node:dgram's handle is to dgram.Socket, this is
// to UdpSocket: synchronous, errors as negative errno, callbacks from the middle of packet processing.
import { EADDRNOTAVAIL, EBADF, EDESTADDRREQ, EISCONN, ENETUNREACH, ENOTCONN } from '../errno.ts';
import type { IpAddress } from '../wire/address.ts';

export interface UdpMessage {
  /** The receiver's own copy. */
  readonly bytes: Uint8Array;
  readonly saddr: IpAddress;
  readonly sport: number;
  /** What it was sent to: one of several own addresses, a broadcast, anything on an anyAddress interface. */
  readonly daddr: IpAddress;
  readonly ttl: number;
}

/** An ICMP error about a datagram sent by this socket. */
export interface UdpError {
  /** Who reported it. */
  readonly reporter: IpAddress;
  readonly daddr: IpAddress;
  readonly dport: number;
  readonly sport: number;
  readonly type: number;
  readonly code: number;
  readonly mtu: number;
  /** Whether it is fatal to what was sent (port unreachable) or may pass (host unreachable). */
  readonly isHard: boolean;
}

/** What an endpoint needs of its layer. */
export interface UdpOutput {
  sendFrom(endpoint: UdpEndpoint, bytes: Uint8Array, daddr: number, dport: number, saddr: number): number;
  sourceFor(daddr: number): number;
  release(endpoint: UdpEndpoint): void;
}

export class UdpEndpoint {
  /** 0: any. */
  readonly addr: IpAddress;
  readonly port: number;
  peerAddr = 0;
  /** 0: not connected. */
  peerPort = 0;
  /** Own address towards the peer while connected, else `addr`. */
  localAddr: number;
  ttl = 64;
  tos = 0;
  /** Whether broadcasts may be sent (SO_BROADCAST). */
  broadcast = false;
  /** True: refuse what exceeds the path MTU with -EMSGSIZE (IP_PMTUDISC_DO). False: fragment it, DF on what fits (IP_PMTUDISC_WANT). */
  dontFragment = false;
  /** Bytes that may wait in the receive queue, 256 of them counted on top for each message. net.core.rmem_default. */
  receiveBuffer = 212992;
  /** Next endpoint on the same port. */
  next: UdpEndpoint | null = null;
  isClosed = false;

  /**
   * Called at once for each message, in the middle of packet processing: must be quick and not throw. While it is null messages
   * queue for `receive()`, and `onReadable` is called for each.
   */
  onMessage: ((bytes: Uint8Array, saddr: IpAddress, sport: number, daddr: IpAddress) => void) | null = null;
  onReadable: (() => void) | null = null;
  /** `errno` is positive: ECONNREFUSED for port unreachable, EHOSTUNREACH for time exceeded. Also when not connected (IP_RECVERR). */
  onError: ((errno: number, error: UdpError) => void) | null = null;

  readonly #output: UdpOutput;
  #queue: UdpMessage[] = [];
  #queuedBytes = 0;

  constructor(output: UdpOutput, addr: number, port: number) {
    this.#output = output;
    this.addr = addr;
    this.port = port;
    this.localAddr = addr;
  }

  /**
   * Sends one datagram, copying `bytes`. `saddr` overrides the source for answers from the address that was asked. 0, or
   * -ENETUNREACH, -EMSGSIZE, -ENOBUFS, -EACCES (broadcast without leave), -EDESTADDRREQ, -EBADF when closed.
   */
  send(bytes: Uint8Array, daddr = this.peerAddr, dport = this.peerPort, saddr = this.localAddr): number {
    if (this.isClosed) return -EBADF;
    if (dport === 0) return -EDESTADDRREQ;
    return this.#output.sendFrom(this, bytes, daddr, dport, saddr);
  }

  /** Receives only from this peer from now on, and hears its errors. 0 or a negative errno. */
  connect(daddr: IpAddress, dport: number): number {
    if (this.isClosed) return -EBADF;
    if (this.peerPort !== 0) return -EISCONN;
    if (dport === 0) return -EADDRNOTAVAIL;
    const saddr = this.addr || this.#output.sourceFor(daddr);
    if (saddr === 0) return -ENETUNREACH;
    this.localAddr = saddr;
    this.peerAddr = daddr;
    this.peerPort = dport;
    return 0;
  }

  disconnect(): number {
    if (this.peerPort === 0) return -ENOTCONN;
    this.localAddr = this.addr;
    this.peerAddr = 0;
    this.peerPort = 0;
    return 0;
  }

  /** The oldest waiting message. */
  receive(): UdpMessage | undefined {
    const message = this.#queue.shift();
    if (message) this.#queuedBytes -= cost(message.bytes);
    return message;
  }

  /** Called by the layer. False: the queue was full and the message is lost. */
  deliver(message: UdpMessage): boolean {
    if (this.onMessage) {
      this.onMessage(message.bytes, message.saddr, message.sport, message.daddr);
      return true;
    }
    if (this.#queuedBytes + cost(message.bytes) > this.receiveBuffer) return false;
    this.#queuedBytes += cost(message.bytes);
    this.#queue.push(message);
    this.onReadable?.();
    return true;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.onMessage = null;
    this.onReadable = null;
    this.onError = null;
    this.#output.release(this);
  }
}

/** What a message takes of the receive buffer. */
function cost(bytes: Uint8Array): number {
  return bytes.length + 256;
}
