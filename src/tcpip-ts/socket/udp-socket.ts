// A UDP socket in the shape of node:dgram's Socket (type 'udp4'), over a UdpEndpoint: same methods, events, errors and wording.
// Messages are emitted on the next tick, outside packet processing, so a listener may throw or take its time; until then they wait
// in the endpoint's bounded queue.
// Deviation: host names are not looked up; `address` must be an IPv4 address or `localhost`. Leaves out multicast membership,
// abort signals, reuseAddr and buffer-size setters. ref() and unref() do nothing: the stack holds no handle of the event loop.
import { EventEmitter } from 'node:events';
import { EINVAL, type SocketError, socketError } from '../errno.ts';
import type { Stack } from '../stack.ts';
import type { UdpEndpoint } from '../udp/udp-endpoint.ts';
import { formatIPv4, parseIPv4 } from '../wire/address.ts';

export interface RemoteInfo {
  readonly address: string;
  readonly family: 'IPv4';
  readonly port: number;
  readonly size: number;
}

export interface AddressInfo {
  readonly address: string;
  readonly family: 'IPv4';
  readonly port: number;
}

export interface BindOptions {
  readonly port?: number;
  readonly address?: string;
}

export type SendCallback = (error: Error | null, bytes: number) => void;
type Message = string | Uint8Array | DataView | readonly (string | Uint8Array | DataView)[];

interface UdpSocketEvents {
  message: [message: Buffer, rinfo: RemoteInfo];
  listening: [];
  connect: [];
  close: [];
  error: [error: Error];
}

export class UdpSocket extends EventEmitter<UdpSocketEvents> {
  readonly #stack: Stack;
  #endpoint: UdpEndpoint | null = null;
  #closed = false;
  #draining = false;
  #ttl = 64;
  #broadcast = false;

  constructor(stack: Stack, onMessage?: (message: Buffer, rinfo: RemoteInfo) => void) {
    super();
    this.#stack = stack;
    if (onMessage) this.on('message', onMessage);
  }

  bind(port?: number, address?: string, callback?: () => void): this;
  bind(port?: number, callback?: () => void): this;
  bind(callback?: () => void): this;
  bind(options: BindOptions, callback?: () => void): this;
  bind(...args: (number | string | BindOptions | (() => void) | undefined)[]): this {
    this.#checkOpen();
    if (this.#endpoint) throw coded('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    const callback = args.find((a) => typeof a === 'function');
    const [first, second] = args;
    const options: BindOptions = typeof first === 'object' ? first : {};
    const port = typeof first === 'number' ? first : (options.port ?? 0);
    const address = typeof second === 'string' ? second : (options.address ?? '0.0.0.0');
    if (callback) this.once('listening', callback);
    const error = this.#bind(port, address);
    process.nextTick(() => {
      if (error) this.emit('error', error);
      else if (!this.#closed) this.emit('listening');
    });
    return this;
  }

  /** Only datagrams from this peer from now on, and its port-unreachable errors as 'error'. */
  connect(port: number, address?: string, callback?: (error?: Error) => void): void;
  connect(port: number, callback?: (error?: Error) => void): void;
  connect(port: number, second?: string | ((error?: Error) => void), third?: (error?: Error) => void): void {
    this.#checkOpen();
    const address = typeof second === 'string' ? second : '127.0.0.1';
    const callback = typeof second === 'function' ? second : third;
    if (this.#endpoint?.peerPort) throw coded('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    const daddr = resolve(address);
    let error: SocketError | undefined =
      daddr === undefined ? notFound(address) : this.#endpoint ? undefined : this.#bind(0, '0.0.0.0');
    if (!error) {
      const errno = this.#endpoint!.connect(daddr!, port);
      if (errno < 0) error = socketError(errno, 'connect', address, port);
    }
    process.nextTick(() => {
      if (this.#closed) return;
      if (!error) {
        this.emit('connect');
        callback?.();
      } else if (callback) callback(error);
      else this.emit('error', error);
    });
  }

  disconnect(): void {
    if (!this.#endpoint?.peerPort) throw coded('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    this.#endpoint.disconnect();
  }

  /** The forms of dgram.Socket: (msg, port, address?, callback?), (msg, offset, length, port, ...), connected: (msg, callback?). */
  send(message: Message, ...rest: (number | string | SendCallback | undefined)[]): void {
    this.#checkOpen();
    const callback = rest.find((a) => typeof a === 'function');
    const numbers = rest.filter((a) => typeof a === 'number');
    const isConnected = Boolean(this.#endpoint?.peerPort);
    let bytes = toBuffer(message);
    if (numbers.length >= 2) {
      const [offset, length] = numbers as [number, number];
      bytes = bytes.subarray(offset, offset + length);
      numbers.splice(0, 2);
    }
    const port = numbers[0] ?? 0;
    if (isConnected && port !== 0) throw coded('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    if (!isConnected && !(port > 0 && port < 65536)) {
      throw coded('ERR_SOCKET_BAD_PORT', `Port should be > 0 and < 65536. Received ${port}.`);
    }
    const address = rest.find((a) => typeof a === 'string') ?? '127.0.0.1';
    const error = this.#send(bytes, port, address);
    process.nextTick(() => {
      if (callback) callback(error ?? null, error ? 0 : bytes.length);
      else if (error) this.emit('error', error);
    });
  }

  address(): AddressInfo {
    const endpoint = this.#endpoint;
    if (!endpoint) throw socketError(EINVAL, 'getsockname');
    return { address: formatIPv4(endpoint.localAddr), family: 'IPv4', port: endpoint.port };
  }

  remoteAddress(): AddressInfo {
    const endpoint = this.#endpoint;
    if (!endpoint?.peerPort) throw coded('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    return { address: formatIPv4(endpoint.peerAddr), family: 'IPv4', port: endpoint.peerPort };
  }

  close(callback?: () => void): this {
    this.#checkOpen();
    if (callback) this.once('close', callback);
    this.#closed = true;
    this.#endpoint?.close();
    process.nextTick(() => this.emit('close'));
    return this;
  }

  setTTL(ttl: number): number {
    this.#ttl = ttl;
    if (this.#endpoint) this.#endpoint.ttl = ttl;
    return ttl;
  }

  setBroadcast(flag: boolean): void {
    this.#broadcast = flag;
    if (this.#endpoint) this.#endpoint.broadcast = flag;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((done) => {
      if (this.#closed) done();
      else this.close(done);
    });
  }

  #bind(port: number, address: string): SocketError | undefined {
    const addr = resolve(address);
    if (addr === undefined) return notFound(address);
    const endpoint = this.#stack.udp.tryBind({ addr, port });
    if (typeof endpoint === 'number') return socketError(endpoint, 'bind', address, port);
    endpoint.ttl = this.#ttl;
    endpoint.broadcast = this.#broadcast;
    endpoint.onReadable = () => this.#wake();
    endpoint.onError = (errno, { isHard }) => {
      if (!endpoint.peerPort || !isHard) return;
      process.nextTick(() => {
        if (!this.#closed) this.emit('error', socketError(errno, 'recvmsg'));
      });
    };
    this.#endpoint = endpoint;
    return undefined;
  }

  #send(bytes: Uint8Array, port: number, address: string): SocketError | undefined {
    if (!this.#endpoint) {
      const error = this.#bind(0, '0.0.0.0');
      if (error) return error;
      process.nextTick(() => !this.#closed && this.emit('listening'));
    }
    const endpoint = this.#endpoint!;
    const daddr = endpoint.peerPort ? endpoint.peerAddr : resolve(address);
    if (daddr === undefined) return notFound(address);
    const errno = endpoint.send(bytes, daddr, endpoint.peerPort || port);
    return errno < 0 ? socketError(errno, 'send', formatIPv4(daddr), endpoint.peerPort || port) : undefined;
  }

  #wake(): void {
    if (this.#draining) return;
    this.#draining = true;
    process.nextTick(() => this.#drain());
  }

  #drain(): void {
    this.#draining = false;
    const message = this.#endpoint?.receive();
    if (!message) return;
    this.#wake(); // before the listener, which may throw
    const { bytes, saddr, sport } = message;
    const rinfo: RemoteInfo = { address: formatIPv4(saddr), family: 'IPv4', port: sport, size: bytes.length };
    this.emit('message', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), rinfo);
  }

  #checkOpen(): void {
    if (this.#closed) throw coded('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
  }
}

function resolve(address: string): number | undefined {
  return address === 'localhost' ? 0x7f000001 : parseIPv4(address);
}

function notFound(address: string): SocketError {
  const error = socketError(EINVAL, 'getaddrinfo', address);
  error.code = 'ENOTFOUND';
  error.message = `getaddrinfo ENOTFOUND ${address}`;
  return error;
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function toBuffer(message: Message): Uint8Array {
  if (typeof message === 'string') return Buffer.from(message);
  if (message instanceof Uint8Array) return message;
  if (message instanceof DataView) return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  return Buffer.concat(message.map(toBuffer));
}
