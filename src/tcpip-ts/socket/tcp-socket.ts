// A TCP socket in the shape of node:net's Socket, over a Connection: a Duplex with the same methods, properties, events, errors
// and wording, so that node:http and other stream code runs on it. What happens in packet processing is told on the next tick: a
// listener may throw or take its time; meanwhile bytes wait in the connection's bounded buffer, which closes the peer's window.
// Deviation: host names are not looked up; a host must be an IPv4 address or `localhost`. ref() and unref() do nothing: the stack
// holds no handle of the event loop. Leaves out onread buffers, abort signals and Happy Eyeballs.
import { Duplex } from 'node:stream';
import type { Timer } from '../../lib/clock.ts';
import { ECONNRESET, EPIPE, socketError } from '../errno.ts';
import type { Connection } from '../tcp/connection.ts';
import type { TcpLayer } from '../tcp/tcp-layer.ts';
import { formatIPv4, parseIPv4 } from '../wire/address.ts';

/** What sockets need of a Stack. */
export interface TcpHost {
  readonly tcp: TcpLayer;
}

export interface TcpSocketOptions {
  /** Keep the writable side open after the peer has ended; false as in Node. */
  readonly allowHalfOpen?: boolean;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
}

export interface TcpConnectOptions {
  readonly port: number;
  readonly host?: string;
  readonly localAddress?: string;
  readonly localPort?: number;
}

export interface TcpAddress {
  readonly address: string;
  readonly family: 'IPv4';
  readonly port: number;
}

type WriteCallback = (error?: Error | null) => void;

const LOOPBACK = 0x7f000001;
const READ_CHUNK = 65_536;

export class TcpSocket extends Duplex {
  readonly #host: TcpHost;
  readonly #options: TcpSocketOptions;
  #connection: Connection | null = null;
  connecting = false;
  bytesRead = 0;
  bytesWritten = 0;
  /** Milliseconds of setTimeout, undefined when off. */
  timeout: number | undefined = undefined;
  #peer: TcpAddress | null = null;
  #local: TcpAddress | null = null;
  /** The stream asked for data and got less than it can take. */
  #wantsData = false;
  #pullScheduled = false;
  #sentEnd = false;
  #resets = false;
  /** The rest of a write that did not fit the send buffer. */
  #rest: Uint8Array | null = null;
  #restDone: WriteCallback | null = null;
  /** A write before connect() was called. */
  #early: (() => void) | null = null;
  #idleTimer: Timer | null = null;
  #lastActivityUs = 0;

  /** An unconnected socket, or around `connection` one that was accepted. */
  constructor(host: TcpHost, options: TcpSocketOptions = {}, connection?: Connection) {
    super({
      allowHalfOpen: options.allowHalfOpen ?? false,
      readableHighWaterMark: READ_CHUNK,
      writableHighWaterMark: READ_CHUNK,
      emitClose: false,
    });
    this.#host = host;
    this.#options = options;
    if (connection) this.#take(connection);
  }

  connect(options: TcpConnectOptions, callback?: () => void): this;
  connect(port: number, host?: string, callback?: () => void): this;
  connect(port: number, callback?: () => void): this;
  connect(...args: (TcpConnectOptions | number | string | (() => void) | undefined)[]): this {
    const first = args[0];
    const options: TcpConnectOptions =
      typeof first === 'object'
        ? first
        : { port: Number(first), host: typeof args[1] === 'string' ? args[1] : 'localhost' };
    const callback = args.find((arg) => typeof arg === 'function');
    if (typeof callback === 'function') this.once('connect', callback);
    if (this.#connection || this.connecting) throw socketError(106, 'connect');
    const host = options.host ?? 'localhost';
    const addr = host === 'localhost' ? LOOPBACK : parseIPv4(host);
    if (!(options.port > 0 && options.port < 65_536))
      throw new RangeError(`port should be > 0 and < 65536: ${options.port}`);
    this.connecting = true;
    if (addr === undefined) {
      const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
        code: 'ENOTFOUND',
        syscall: 'getaddrinfo',
        hostname: host,
      });
      process.nextTick(() => this.destroy(error));
      return this;
    }
    const saddr = options.localAddress === undefined ? 0 : (parseIPv4(options.localAddress) ?? 0);
    const result = this.#host.tcp.connect({ daddr: addr, dport: options.port, saddr, sport: options.localPort ?? 0 });
    if (typeof result === 'number') {
      const error = socketError(result, 'connect', formatIPv4(addr), options.port);
      process.nextTick(() => this.destroy(error));
      return this;
    }
    this.#take(result);
    const early = this.#early;
    this.#early = null;
    early?.();
    return this;
  }

  /** True before the connection stands, as net.Socket's. */
  get pending(): boolean {
    return this.#connection === null || this.connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.destroyed || !this.#connection) return 'closed';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get remoteAddress(): string | undefined {
    return this.#peer?.address;
  }

  get remotePort(): number | undefined {
    return this.#peer?.port;
  }

  get remoteFamily(): 'IPv4' | undefined {
    return this.#peer?.family;
  }

  get localAddress(): string | undefined {
    return this.#local?.address;
  }

  get localPort(): number | undefined {
    return this.#local?.port;
  }

  get localFamily(): 'IPv4' | undefined {
    return this.#local?.family;
  }

  address(): TcpAddress | Record<string, never> {
    return this.#local ?? {};
  }

  setNoDelay(on = true): this {
    this.#connection?.setNoDelay(on);
    return this;
  }

  /** `initialDelay` in milliseconds; 0 leaves the system's two hours. */
  setKeepAlive(on = false, initialDelay = 0): this {
    if (initialDelay > 0) this.#connection?.setKeepAlive(on, initialDelay);
    else this.#connection?.setKeepAlive(on);
    return this;
  }

  /** Emits 'timeout' after `ms` without traffic; 0 stops. The connection is not touched. */
  setTimeout(ms: number, callback?: () => void): this {
    this.#idleTimer?.cancel();
    this.#idleTimer = null;
    this.timeout = ms > 0 ? ms : undefined;
    if (ms > 0) {
      if (callback) this.once('timeout', callback);
      this.#touch();
      this.#armIdle(ms * 1000);
    } else if (callback) this.removeListener('timeout', callback);
    return this;
  }

  /** Ends, and closes when all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Closes with RST. */
  resetAndDestroy(): this {
    this.#resets = true;
    this.destroy(this.connecting ? socketError(ECONNRESET, 'connect') : undefined);
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    this.#wantsData = true;
    this.#pull();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: WriteCallback): void {
    const c = this.#connection;
    if (!c) {
      this.#early = () => this._write(chunk, 'utf8', done);
      return;
    }
    this.#touch();
    const taken = c.write(chunk);
    if (taken < 0) {
      done(socketError(c.errno || EPIPE, 'write'));
      return;
    }
    this.bytesWritten += taken;
    if (taken === chunk.length) {
      done();
      return;
    }
    this.#rest = chunk.subarray(taken);
    this.#restDone = done;
  }

  override _writev(chunks: { chunk: Buffer }[], done: WriteCallback): void {
    // Corked writes, such as node:http's header and body, leave in one segment.
    this._write(chunks.length === 1 ? chunks[0]!.chunk : Buffer.concat(chunks.map((c) => c.chunk)), 'utf8', done);
  }

  override _final(done: WriteCallback): void {
    this.#connection?.end();
    done();
  }

  override _destroy(error: Error | null, done: WriteCallback): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = null;
    this.connecting = false;
    const c = this.#connection;
    if (this.#resets) c?.abort();
    else c?.close();
    const restDone = this.#restDone;
    this.#rest = this.#restDone = null;
    restDone?.(error ?? socketError(EPIPE, 'write'));
    done(error);
    process.nextTick(() => this.emit('close', error !== null));
  }

  #take(c: Connection): void {
    this.#connection = c;
    this.#peer = { address: formatIPv4(c.raddr), family: 'IPv4', port: c.rport };
    this.#local = { address: formatIPv4(c.laddr), family: 'IPv4', port: c.lport };
    const { noDelay, keepAlive, keepAliveInitialDelay = 0 } = this.#options;
    if (noDelay) c.setNoDelay(true);
    if (keepAlive) this.setKeepAlive(true, keepAliveInitialDelay);
    c.onConnect = () => process.nextTick(() => this.#connected());
    c.onReadable = () => {
      if (this.#pullScheduled) return;
      this.#pullScheduled = true;
      process.nextTick(this.#onPull);
    };
    c.onWritable = () => process.nextTick(() => this.#writeRest());
    c.onClose = (errno) => process.nextTick(() => this.#closed(errno));
  }

  #connected(): void {
    if (this.destroyed) return;
    this.connecting = false;
    this.#touch();
    this.emit('connect');
    this.emit('ready');
    this.#pull();
  }

  readonly #onPull = (): void => {
    this.#pullScheduled = false;
    this.#touch();
    this.#pull();
  };

  /** Moves what has arrived into the stream, as far as it wants. */
  #pull(): void {
    const c = this.#connection;
    if (!c || this.destroyed || this.connecting) return;
    while (this.#wantsData && c.readable > 0) {
      const chunk = Buffer.allocUnsafe(Math.min(c.readable, READ_CHUNK));
      c.read(chunk);
      this.bytesRead += chunk.length;
      this.#wantsData = this.push(chunk) && !this.destroyed;
    }
    if (c.ended && !this.#sentEnd && !this.destroyed) {
      this.#sentEnd = true;
      this.push(null);
      // A stream that nobody reads still learns that it is over, as net.Socket's.
      if (this.readableLength === 0) this.read(0);
    }
  }

  #writeRest(): void {
    const c = this.#connection;
    const rest = this.#rest;
    const done = this.#restDone;
    if (!c || !rest || !done) return;
    this.#rest = this.#restDone = null;
    this._write(rest, 'utf8', done);
  }

  #closed(errno: number): void {
    if (this.destroyed) return;
    if (errno === 0) {
      this.#pull();
      return;
    }
    const peer = this.#peer!;
    this.destroy(this.connecting ? socketError(errno, 'connect', peer.address, peer.port) : socketError(errno, 'read'));
  }

  #touch(): void {
    if (this.timeout !== undefined) this.#lastActivityUs = this.#host.tcp.clock.nowUs();
  }

  #armIdle(us: number): void {
    this.#idleTimer = this.#host.tcp.clock.after(us, () => {
      this.#idleTimer = null;
      if (this.timeout === undefined || this.destroyed) return;
      const leftUs = this.#lastActivityUs + this.timeout * 1000 - this.#host.tcp.clock.nowUs();
      if (leftUs > 0) this.#armIdle(leftUs);
      else this.emit('timeout');
    });
  }
}
