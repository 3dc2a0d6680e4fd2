// A listening socket in the shape of node:net's Server, over a TcpListener. Its 'connection' sockets can be given to an http.Server:
//
//   const http = createServer(handler);
//   new TcpServer(stack, { allowHalfOpen: true }, (socket) => http.emit('connection', socket)).listen(80);
//
// Deviation: without a host it listens on 0.0.0.0, IPv6 being absent. Leaves out handles, pipes, exclusive ports and blockList.
import { EventEmitter } from 'node:events';
import { EINVAL, errnoName, socketError } from '../errno.ts';
import type { TcpListener } from '../tcp/listener.ts';
import { formatIPv4, parseIPv4 } from '../wire/address.ts';
import { type TcpAddress, type TcpHost, TcpSocket, type TcpSocketOptions } from './tcp-socket.ts';

export interface TcpListenOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly host?: string;
  readonly backlog?: number;
}

interface TcpServerEvents {
  listening: [];
  connection: [socket: TcpSocket];
  close: [];
  error: [error: Error];
}

/** As libuv words them behind `listen`. */
const LISTEN_WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'address not available',
};

export class TcpServer extends EventEmitter<TcpServerEvents> {
  readonly #host: TcpHost;
  readonly #options: TcpSocketOptions;
  readonly #sockets = new Set<TcpSocket>();
  #listener: TcpListener | null = null;
  #isClosing = false;
  /** Further connections are closed at once. */
  maxConnections = Number.POSITIVE_INFINITY;

  /** `options` are those of the sockets. */
  constructor(host: TcpHost, options?: TcpSocketOptions, onConnection?: (socket: TcpSocket) => void);
  constructor(host: TcpHost, onConnection?: (socket: TcpSocket) => void);
  constructor(
    host: TcpHost,
    options: TcpSocketOptions | ((socket: TcpSocket) => void) = {},
    onConnection?: (socket: TcpSocket) => void,
  ) {
    super();
    this.#host = host;
    this.#options = typeof options === 'function' ? {} : options;
    const listener = typeof options === 'function' ? options : onConnection;
    if (listener) this.on('connection', listener);
  }

  get listening(): boolean {
    return this.#listener !== null;
  }

  listen(port?: number, host?: string, backlog?: number, callback?: () => void): this;
  listen(port?: number, host?: string, callback?: () => void): this;
  listen(port?: number, callback?: () => void): this;
  listen(options: TcpListenOptions, callback?: () => void): this;
  listen(...args: (TcpListenOptions | number | string | (() => void) | undefined)[]): this {
    const first = args[0];
    const numbers = args.filter((arg) => typeof arg === 'number');
    const options: TcpListenOptions =
      typeof first === 'object'
        ? first
        : {
            port: numbers[0] ?? 0,
            host: args.find((arg) => typeof arg === 'string') ?? '0.0.0.0',
            backlog: numbers[1] ?? 511,
          };
    const callback = args.find((arg) => typeof arg === 'function');
    if (this.#listener) {
      throw Object.assign(new Error('Listen method has been called more than once without closing.'), {
        code: 'ERR_SERVER_ALREADY_LISTEN',
      });
    }
    if (typeof callback === 'function') this.once('listening', callback);
    const host = options.host ?? '0.0.0.0';
    const port = options.port ?? 0;
    const addr = host === 'localhost' ? 0x7f000001 : parseIPv4(host);
    const result =
      addr === undefined ? -EINVAL : this.#host.tcp.listen({ addr, port, backlog: options.backlog ?? 511 });
    if (typeof result === 'number') {
      const error = socketError(result, 'listen', host, port);
      const words = LISTEN_WORDS[errnoName(result)];
      if (words) error.message = `listen ${error.code}: ${words} ${host}:${port}`;
      process.nextTick(() => this.emit('error', error));
      return this;
    }
    this.#listener = result;
    this.#isClosing = false;
    result.onConnection = (c) => {
      // Now, so that the socket misses nothing; its owner hears of it outside packet processing.
      const socket = new TcpSocket(this.#host, this.#options, c);
      process.nextTick(() => this.#accept(socket));
    };
    process.nextTick(() => {
      if (this.#listener === result) this.emit('listening');
    });
    return this;
  }

  /** Where it listens, null when it does not. */
  address(): TcpAddress | null {
    const listener = this.#listener;
    return listener && { address: formatIPv4(listener.addr), family: 'IPv4', port: listener.port };
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    const count = this.#sockets.size;
    process.nextTick(() => callback(null, count));
    return this;
  }

  /** Stops listening; 'close' follows when the last connection has ended. */
  close(callback?: (error?: Error) => void): this {
    if (!this.#listener) {
      if (callback) {
        const error = Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' });
        process.nextTick(() => callback(error));
      }
      return this;
    }
    if (callback) this.once('close', () => callback());
    this.#listener.close();
    this.#listener = null;
    this.#isClosing = true;
    this.#closeIfDone();
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  #accept(socket: TcpSocket): void {
    if (this.#isClosing || this.#sockets.size >= this.maxConnections) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#closeIfDone();
    });
    this.emit('connection', socket);
  }

  #closeIfDone(): void {
    if (!this.#isClosing || this.#sockets.size > 0) return;
    process.nextTick(() => {
      if (!this.#isClosing || this.#sockets.size > 0) return;
      this.#isClosing = false;
      this.emit('close');
    });
  }
}
