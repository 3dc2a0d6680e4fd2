// The DNS server at one port: takes queries in over UDP and TCP, finds the server block whose zone fits best, and writes what its
// plugins answer (CoreDNS core/dnsserver/server.go on miekg/dns server.go). UDP and TCP share one port number.
//
// TCP: messages behind two bytes of length, any number on a connection, answered in order, one at a time; a client that stays
// does not get a whole message through in time is hung up on. There is no limit to their number. A panic in a plugin costs one SERVFAIL, not the server.
// Leaves out: TLS, gRPC, HTTPS and QUIC transports, views. Times in microseconds.
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../lib/clock.ts';
import { AnswerMemo } from './answer-memo.ts';
import { CLASS_IN, RCODE, TYPE } from './constants.ts';
import { type DecodedQuery, decodeQuery } from './message.ts';
import { encodeMessage, FLAG_AD, FLAG_CD, FLAG_QR, FLAG_RA, FLAG_RD, FLAG_TC } from './message-writer.ts';
import {
  encodeReply,
  errorReply,
  type Handler,
  makeReply,
  mustWrite,
  type Origin,
  type Reply,
  Request,
  type RequestServer,
  type ResponseWriter,
  rcodeOf,
  type Served,
  ServeError,
} from './request.ts';
import type { Address, DnsSockets, TcpConnection, TcpPort, UdpPort } from './sockets.ts';

/** The first message of a connection must be there after so long, each other one so long after the last answer. */
const FIRST_READ_US = 3_000_000;
const IDLE_US = 10_000_000;
/** Our own questions on behalf of one request may nest this deep (CoreDNS loop guard of its upstream lookups). */
const MAX_DEPTH = 10;
/** Input of a connection that is held back while earlier messages are being answered. */
const MAX_PENDING = 2 * (65535 + 2);
const PORT_TRIES = 10;

export interface ZoneConfig {
  readonly chain: Handler | undefined;
  /** Questions of classes other than IN reach the plugins (CoreDNS: when `forward` is among them). */
  readonly anyClass: boolean;
}

export interface ServerEnv {
  readonly sockets: DnsSockets;
  readonly clock: Clock;
  /** Something broke inside; the query was answered with SERVFAIL. */
  onPanic(error: unknown): void;
}

export class Server implements RequestServer {
  readonly label: string;
  readonly #env: ServerEnv;
  readonly #address: string;
  #port: number;
  #zones: ReadonlyMap<string, ZoneConfig> = new Map();
  #anyClass = false;
  #dropped: Handler | undefined;
  readonly #memo = new AnswerMemo();
  #udp: UdpPort | undefined;
  #tcp: TcpPort | undefined;

  /** `address` '' listens on all of them; port 0 on any free one. */
  constructor(address: string, port: number, env: ServerEnv) {
    this.#address = address;
    this.#port = port;
    this.#env = env;
    this.label = `dns://${address.includes(':') ? `[${address}]` : address}:${port}`;
  }

  get address(): string {
    return this.#address;
  }

  /** The port it listens on, once it does. */
  get port(): number {
    return this.#port;
  }

  /** Swaps all server blocks at once: a query sees the old ones or the new. `dropped` serves what is in no block's zone. */
  setZones(zones: ReadonlyMap<string, ZoneConfig>, dropped?: Handler): void {
    this.#zones = zones;
    this.#dropped = dropped;
    this.#memo.clear();
    this.#anyClass = [...zones.values()].some((zone) => zone.anyClass);
  }

  /** Rejects with the system's error, EADDRINUSE and the like, and leaves nothing open then. */
  async listen(): Promise<void> {
    const { sockets } = this.#env;
    for (let tries = 1; ; tries++) {
      const tcp = await sockets.listenTcp(
        this.#address,
        this.#port,
        (connection) => new Conversation(this, this.#env, connection),
      );
      try {
        this.#udp = await sockets.listenUdp(this.#address, tcp.local.port);
      } catch (error) {
        tcp.close();
        // A free TCP port may be taken in UDP.
        if (this.#port === 0 && tries < PORT_TRIES) continue;
        throw error;
      }
      this.#tcp = tcp;
      this.#port = tcp.local.port;
      break;
    }
    const udp = this.#udp;
    udp.onMessage((bytes, from) => this.#datagram(udp, bytes, from));
  }

  /** Idempotent. Queries on their way are not answered any more. */
  close(): void {
    this.#udp?.close();
    this.#tcp?.close();
  }

  #datagram(udp: UdpPort, bytes: Uint8Array, from: Address): void {
    const known = this.#memo.answer(bytes, this.#env.clock);
    if (known !== undefined) {
      udp.send(known, from);
      return;
    }
    const decoded = decodeQuery(bytes);
    if (decoded.kind === 'ignore') return;
    if (decoded.kind === 'reject') {
      const rejection = encodeRejection(decoded);
      if (rejection !== undefined) udp.send(rejection, from);
      return;
    }
    const origin: Origin = { proto: 'udp', address: from.address, port: from.port };
    const request = new Request(decoded.query, origin, this, bytes.length);
    const writer = new DatagramWriter(udp, request, from, this.#memo, bytes);
    const served = this.serve(request, writer);
    writer.release();
    if (served instanceof Promise) served.catch((error: unknown) => this.#env.onPanic(error));
  }

  /** Never throws and never rejects: what goes wrong is answered with a code. */
  serve(request: Request, writer: ResponseWriter): Served {
    const { question, edns } = request;
    if (request.depth > MAX_DEPTH) return finish(RCODE.SERVFAIL, writer);
    if (question.class !== CLASS_IN && !this.#anyClass) return this.#drop(request, writer);
    if (edns !== undefined && edns.version !== 0) {
      // Its OPT record says nothing but the version that would do.
      request.edns = { udpSize: 0, version: 0, dnssecOk: false, options: [] };
      writer.write(makeReply('', RCODE.BADVERS, { authoritative: false }));
      return 0;
    }
    const chain = this.#chainFor(request.name, question.type);
    if (chain === undefined) return this.#drop(request, writer);
    try {
      const served = chain(request, writer);
      if (typeof served === 'number') return finish(served, writer);
      return served.then(
        (rcode) => finish(rcode, writer),
        (error: unknown) => this.#failed(error, writer),
      );
    } catch (error) {
      return this.#failed(error, writer);
    }
  }

  #drop(request: Request, writer: ResponseWriter): Served {
    this.#dropped?.(request, writer);
    return finish(RCODE.REFUSED, writer);
  }

  #failed(error: unknown, writer: ResponseWriter): number {
    if (!(error instanceof ServeError)) this.#env.onPanic(error);
    return finish(rcodeOf(error), writer);
  }

  /** The block with the longest zone that holds the name; for DS, which the parent answers, the shortest but the root. */
  #chainFor(name: string, type: number): Handler | undefined {
    let delegated: Handler | undefined;
    for (let start = 0; ; ) {
      const config = this.#zones.get(start === 0 ? name : name.slice(start));
      if (config?.chain !== undefined && name !== '.') {
        if (type !== TYPE.DS) return config.chain;
        delegated = config.chain;
      }
      const dot = name.indexOf('.', start);
      if (dot < 0 || dot === name.length - 1) break;
      start = dot + 1;
    }
    return delegated ?? this.#zones.get('.')?.chain;
  }
}

/** Answers a code that no plugin has written. */
function finish(rcode: number, writer: ResponseWriter): number {
  if (mustWrite(rcode)) writer.write(errorReply(rcode));
  return 0;
}

function encodeRejection(decoded: Extract<DecodedQuery, { kind: 'reject' }>): Uint8Array | undefined {
  const { id, rcode, question } = decoded;
  // The query's header with the code in it; SERVFAIL is a reply like others.
  const kept = FLAG_TC | FLAG_RD | FLAG_RA | FLAG_AD | FLAG_CD;
  const opcode = rcode === RCODE.FORMERR ? 0 : decoded.flags & 0x7800;
  const flags = FLAG_QR | opcode | (decoded.flags & (rcode === RCODE.SERVFAIL ? FLAG_RD | FLAG_CD : kept));
  const nothing = { answer: [], authority: [], additional: [], edns: undefined };
  return encodeMessage({ id, flags, rcode, question, ...nothing }, 512);
}

class DatagramWriter implements ResponseWriter {
  readonly #udp: UdpPort;
  readonly #request: Request;
  readonly #to: Address;
  readonly #memo: AnswerMemo;
  /** The query, as long as its bytes are ours. */
  #query: Uint8Array | undefined;
  #written = false;

  constructor(udp: UdpPort, request: Request, to: Address, memo: AnswerMemo, query: Uint8Array) {
    this.#udp = udp;
    this.#request = request;
    this.#to = to;
    this.#memo = memo;
    this.#query = query;
  }

  /** The query's bytes are no longer to be looked at. */
  release(): void {
    this.#query = undefined;
  }

  write(reply: Reply): number {
    if (this.#written) return 0;
    this.#written = true;
    const bytes = encodeReply(this.#request, reply);
    // Before they are sent: then they are the socket's.
    if (reply.lasting !== undefined && this.#query !== undefined) this.#memo.keep(this.#query, bytes, reply.lasting);
    this.#udp.send(bytes, this.#to);
    return bytes.length;
  }
}

/** One TCP connection: cuts the stream into messages and answers them one after the other. */
class Conversation implements ResponseWriter {
  readonly #server: Server;
  readonly #env: ServerEnv;
  readonly #stream: Duplex;
  readonly #origin: Origin;
  #pending: Buffer = Buffer.alloc(0);
  #request: Request | undefined;
  #ended = false;
  /** Messages taken so far. */
  #answered = 0;
  #idle: Timer | undefined;

  constructor(server: Server, env: ServerEnv, { stream, remote }: TcpConnection) {
    this.#server = server;
    this.#env = env;
    this.#stream = stream;
    this.#origin = { proto: 'tcp', address: remote.address, port: remote.port };
    stream.on('data', (chunk: Buffer) => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      if (this.#pending.length > MAX_PENDING) stream.pause();
      this.#advance();
    });
    stream.on('end', () => {
      this.#ended = true;
      this.#advance();
    });
    stream.on('close', () => this.#idle?.cancel());
    this.#hangUpAfter(FIRST_READ_US);
  }

  write(reply: Reply): number {
    const request = this.#request;
    if (request === undefined) return 0;
    if (!reply.continues) this.#request = undefined;
    const bytes = encodeReply(request, reply);
    this.#send(bytes);
    return bytes.length;
  }

  /** Answers what is complete, until it has to wait for an answer or for more bytes. */
  #advance(afterAnswer = false): void {
    const before = this.#answered;
    while (this.#request === undefined && this.#pending.length >= 2) {
      const end = 2 + this.#pending.readUInt16BE(0);
      if (this.#pending.length < end) break;
      const bytes = this.#pending.subarray(2, end);
      this.#pending = this.#pending.subarray(end);
      this.#answered++;
      if (!this.#answer(bytes)) return;
    }
    if (this.#request !== undefined) return;
    if (this.#stream.isPaused() && this.#pending.length <= MAX_PENDING) this.#stream.resume();
    if (this.#ended) this.#stream.end();
    else if (this.#answered > before || afterAnswer) this.#hangUpAfter(IDLE_US);
  }

  /** False while the answer is not there yet. */
  #answer(bytes: Uint8Array): boolean {
    const decoded = decodeQuery(bytes);
    if (decoded.kind === 'ignore') return true;
    if (decoded.kind === 'reject') {
      const rejection = encodeRejection(decoded);
      if (rejection !== undefined) this.#send(rejection);
      return true;
    }
    this.#idle?.cancel();
    this.#request = new Request(decoded.query, this.#origin, this.#server, bytes.length);
    const served = this.#server.serve(this.#request, this);
    if (typeof served === 'number') {
      this.#request = undefined;
      return true;
    }
    const goOn = (): void => {
      this.#request = undefined;
      this.#advance(true);
    };
    served.then(goOn, (error: unknown) => {
      this.#env.onPanic(error);
      goOn();
    });
    return false;
  }

  #send(bytes: Uint8Array): void {
    if (this.#stream.destroyed) return;
    const framed = Buffer.allocUnsafe(bytes.length + 2);
    framed.writeUInt16BE(bytes.length);
    framed.set(bytes, 2);
    this.#stream.write(framed);
  }

  #hangUpAfter(us: number): void {
    this.#idle?.cancel();
    this.#idle = this.#stream.destroyed ? undefined : this.#env.clock.after(us, () => this.#stream.destroy());
  }
}
