// The server's side of a SPDY/3.1 connection (draft-mbelshe-httpbis-spdy-00, section 2), as far as moby/spdystream speaks it, which
// kubectl does: streams that the client opens, data, half close, resets and pings. There is no flow control in it but the transport's:
// a stream that is not read stops the whole connection. Left out: streams opened by the server, SETTINGS, WINDOW_UPDATE, priorities.
//
//   control frame  1 version(15) | type(16) | flags(8) length(24) | payload      data frame  0 stream(31) | flags(8) length(24) | bytes
import { Duplex } from 'node:stream';
import { HeaderReader, HeaderWriter } from './header-block.ts';

/** A reliable stream of bytes underneath. */
export interface Transport {
  /** `done` is called when more may be written. */
  write(bytes: Buffer, done: () => void): void;
  pause(): void;
  resume(): void;
  close(): void;
}

const VERSION = 3;
const TYPE = { SYN_STREAM: 1, SYN_REPLY: 2, RST_STREAM: 3, PING: 6 } as const;
const FLAG_FIN = 1;
const STATUS = { REFUSED_STREAM: 3, CANCEL: 5 } as const;
const HEADER_BYTES = 8;
/** No client of ours sends more at once; 24 bits of length could ask for 16 MiB. */
const MAX_FRAME = 1 << 20;
/** What one data frame holds at most. */
const MAX_DATA = 64 * 1024;

export class SpdyConnection {
  readonly #transport: Transport;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #full = new Set<SpdyStream>();
  readonly #reader = new HeaderReader();
  readonly #writer = new HeaderWriter();
  #received: Buffer = Buffer.alloc(0);
  #working = false;
  #closed = false;

  /** `onStream` gets each stream that the client opens; when it throws the stream is refused. */
  constructor(transport: Transport, onStream: (stream: SpdyStream) => void) {
    this.#transport = transport;
    this.#onStream = onStream;
  }

  receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    if (!this.#working) void this.#work();
  }

  /** The transport is gone, or is to go. Streams that are open end with an error. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.destroy();
    this.#streams.clear();
    this.#reader.close();
    this.#writer.close();
    this.#transport.close();
  }

  /** Frames in order; one that brings headers is waited for. */
  async #work(): Promise<void> {
    this.#working = true;
    try {
      for (let frame = this.#next(); frame && !this.#closed; frame = this.#next()) await this.#handle(frame);
    } catch {
      this.close(); // not SPDY, or headers that do not decompress: nothing that follows can be understood
    }
    this.#working = false;
  }

  #next(): Buffer | undefined {
    const received = this.#received;
    if (received.length < HEADER_BYTES) return undefined;
    const end = HEADER_BYTES + received.readUIntBE(5, 3);
    if (end > MAX_FRAME) throw new Error('frame too large');
    if (received.length < end) return undefined;
    this.#received = received.subarray(end);
    return received.subarray(0, end);
  }

  async #handle(frame: Buffer): Promise<void> {
    const fin = (frame[4]! & FLAG_FIN) !== 0;
    if (frame[0]! < 0x80) {
      this.#streams.get(frame.readUInt32BE(0))?.deliver(frame.subarray(HEADER_BYTES), fin);
      return;
    }
    const id = frame.length >= HEADER_BYTES + 4 ? frame.readUInt32BE(HEADER_BYTES) & 0x7fffffff : 0;
    switch (frame.readUInt16BE(2)) {
      case TYPE.SYN_STREAM:
        return this.#open(id, await this.#reader.decode(frame.subarray(HEADER_BYTES + 10)), fin);
      case TYPE.RST_STREAM: {
        const stream = this.#streams.get(id);
        this.#forget(id);
        stream?.destroy();
        return;
      }
      case TYPE.PING:
        if (id % 2 === 1) this.#transport.write(frame, () => {}); // the client's, which gets it back
    }
  }

  async #open(id: number, headers: Map<string, string>, fin: boolean): Promise<void> {
    const stream = new SpdyStream(id, headers, {
      send: (bytes, last, done) => this.#data(id, bytes, last, done),
      full: (is) => this.#setFull(stream, is),
      gone: (finished) => {
        this.#setFull(stream, false);
        if (!this.#streams.delete(id) || finished || this.#closed) return;
        this.#control(TYPE.RST_STREAM, 0, [id, STATUS.CANCEL]);
      },
    });
    this.#streams.set(id, stream);
    try {
      this.#onStream(stream);
    } catch {
      this.#forget(id);
      stream.destroy();
      this.#control(TYPE.RST_STREAM, 0, [id, STATUS.REFUSED_STREAM]);
      return;
    }
    const block = await this.#writer.encode(new Map());
    if (this.#closed) return;
    this.#control(TYPE.SYN_REPLY, 0, [id], block);
    stream.opened();
    if (fin) stream.deliver(Buffer.alloc(0), true);
  }

  #forget(id: number): void {
    const stream = this.#streams.get(id);
    if (stream) this.#setFull(stream, false);
    this.#streams.delete(id);
  }

  #setFull(stream: SpdyStream, is: boolean): void {
    const before = this.#full.size;
    if (is) this.#full.add(stream);
    else this.#full.delete(stream);
    if (before === 0 && this.#full.size > 0) this.#transport.pause();
    else if (before > 0 && this.#full.size === 0) this.#transport.resume();
  }

  #data(id: number, bytes: Buffer, fin: boolean, done: () => void): void {
    if (this.#closed) {
      done();
      return;
    }
    if (bytes.length > MAX_DATA) {
      this.#data(id, bytes.subarray(0, MAX_DATA), false, () => this.#data(id, bytes.subarray(MAX_DATA), fin, done));
      return;
    }
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(id, 0);
    header.writeUInt32BE(bytes.length, 4);
    header[4] = fin ? FLAG_FIN : 0;
    this.#transport.write(Buffer.concat([header, bytes]), done);
  }

  #control(type: number, flags: number, words: readonly number[], rest: Buffer = Buffer.alloc(0)): void {
    const frame = Buffer.alloc(HEADER_BYTES + 4 * words.length);
    frame.writeUInt16BE(0x8000 | VERSION, 0);
    frame.writeUInt16BE(type, 2);
    frame.writeUInt32BE(4 * words.length + rest.length, 4);
    frame[4] = flags;
    for (const [i, word] of words.entries()) frame.writeUInt32BE(word, HEADER_BYTES + 4 * i);
    this.#transport.write(Buffer.concat([frame, rest]), () => {});
  }
}

interface StreamLink {
  send(bytes: Buffer, last: boolean, done: () => void): void;
  full(is: boolean): void;
  gone(finished: boolean): void;
}

/** One stream: reads what the client sends on it, writes to the client; ends each way by itself. Destroying it early resets it. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #link: StreamLink;
  /** Written before the reply has gone out. */
  #waiting: (() => void) | null = null;
  #opened = false;

  constructor(id: number, headers: ReadonlyMap<string, string>, link: StreamLink) {
    super({ allowHalfOpen: true, readableHighWaterMark: 1 << 18 });
    this.id = id;
    this.headers = headers;
    this.#link = link;
    this.on('error', () => {}); // 'close' follows
  }

  opened(): void {
    this.#opened = true;
    this.#waiting?.();
    this.#waiting = null;
  }

  deliver(bytes: Buffer, fin: boolean): void {
    if (this.destroyed || this.readableEnded) return;
    if (bytes.length > 0 && !this.push(bytes)) this.#link.full(true);
    if (fin) this.push(null);
  }

  override _read(): void {
    this.#link.full(false);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#whenOpen(() => this.#link.send(chunk, false, done));
  }

  override _final(done: () => void): void {
    this.#whenOpen(() => this.#link.send(Buffer.alloc(0), true, done));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#link.gone(this.readableEnded && this.writableFinished);
    done(error);
  }

  #whenOpen(act: () => void): void {
    if (this.#opened) act();
    else this.#waiting = act;
  }
}
