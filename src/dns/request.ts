// One query on its way through the plugin chain, and the reply it gets. Stands for CoreDNS request/request.go and
// plugin/plugin.go: a plugin either writes a reply and returns a code that says so, or returns a code that the server must
// answer with, or passes the request to the next plugin. Plugins that alter replies wrap the writer.
//
// Handlers answer at once where they can and return a promise only when they must wait (forwarding), so that a cluster name
// costs no turn of the event loop. An error is thrown as a ServeError.
import type { Lasting } from './answer-memo.ts';
import { MAX_MESSAGE_SIZE, MIN_MESSAGE_SIZE, OPCODE_QUERY, RCODE } from './constants.ts';
import type { Query } from './message.ts';
import {
  type Edns,
  type EdnsOption,
  encodeMessage,
  FLAG_AA,
  FLAG_AD,
  FLAG_CD,
  FLAG_QR,
  FLAG_RA,
  FLAG_RD,
  FLAG_TC,
  type Question,
} from './message-writer.ts';
import type { ResourceRecord } from './record.ts';

export interface Reply {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly answer: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
  readonly additional: readonly ResourceRecord[];
  /** Seconds; when set, every record goes out with it. */
  readonly ttl: number | undefined;
  /** EDNS options an upstream sent along. */
  readonly options: readonly EdnsOption[] | undefined;
  /** Set when the same query may get the same reply again (answer-memo.ts). Who changes the reply on its way decides anew. */
  readonly lasting: Lasting | undefined;
  /** Whether further messages answer the same request (zone transfers). */
  readonly continues: boolean;
  /** The plugin that made it; '' for the server itself. */
  readonly plugin: string;
}

export interface ResponseWriter {
  /** Returns the bytes that went out; 0 when the reply was kept. One reply is written for a request, or several that continue. */
  write(reply: Reply): number;
}

/** The rcode, or 0 when a reply has been written. */
export type Served = number | Promise<number>;
export type Handler = (request: Request, writer: ResponseWriter) => Served;
/** Makes a plugin's handler from the one that follows it. */
export type Middleware = (next: Handler | undefined) => Handler;

/** A failure with the code the client is told; the `errors` plugin logs the message. */
export class ServeError extends Error {
  readonly rcode: number;

  constructor(rcode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rcode = rcode;
  }
}

export interface Origin {
  readonly proto: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
}

/** Whoever took the request in; answers questions that plugins ask on behalf of it. */
export interface RequestServer {
  /** `dns://:53`, as in the metrics' label. */
  readonly label: string;
  serve(request: Request, writer: ResponseWriter): Served;
}

export class Request {
  readonly id: number;
  readonly opcode: number;
  /** The plugin header may change it. */
  flags: number;
  readonly question: Question;
  /** The plugin bufsize may change it. */
  edns: Edns | undefined;
  /** The question's name in lower case. */
  readonly name: string;
  readonly origin: Origin;
  readonly server: RequestServer;
  /** The serial the client has, of an IXFR. */
  readonly serial: number | undefined;
  /** Bytes of the query. */
  readonly size: number;
  /** How many questions of our own led to this one. */
  readonly depth: number;

  constructor(query: Query, origin: Origin, server: RequestServer, size: number, depth = 0) {
    this.id = query.id;
    this.opcode = query.opcode;
    this.flags = query.flags;
    this.question = query.question;
    this.edns = query.edns;
    this.serial = query.serial;
    this.name = query.question.name.toLowerCase();
    this.origin = origin;
    this.server = server;
    this.size = size;
    this.depth = depth;
  }

  get dnssecOk(): boolean {
    return this.edns?.dnssecOk ?? false;
  }

  get authenticData(): boolean {
    return (this.flags & FLAG_AD) !== 0;
  }

  /** The most bytes a reply may have: the EDNS size over UDP, at least 512. */
  get limit(): number {
    if (this.origin.proto === 'tcp') return MAX_MESSAGE_SIZE;
    return Math.max(this.edns?.udpSize ?? 0, MIN_MESSAGE_SIZE);
  }

  /** The same client's question about another name. */
  withQuestion(name: string, type: number, cls: number = this.question.class): Request {
    const query = { id: this.id, opcode: this.opcode, flags: this.flags, edns: this.edns };
    const question = { name, type, class: cls };
    return new Request({ ...query, question }, this.origin, this.server, this.size, this.depth + 1);
  }

  /** Flags of a reply: what is copied from the query (miekg/dns SetReply). */
  get replyFlags(): number {
    const copied = this.opcode === OPCODE_QUERY ? this.flags & (FLAG_RD | FLAG_CD) : 0;
    return FLAG_QR | (this.opcode << 11) | copied;
  }
}

const NOTHING: readonly never[] = [];

/** A reply of our own with the given parts; authoritative unless said otherwise. */
export function makeReply(plugin: string, rcode: number, parts: Partial<Reply> = {}): Reply {
  return {
    rcode,
    authoritative: parts.authoritative ?? true,
    truncated: parts.truncated ?? false,
    recursionAvailable: parts.recursionAvailable ?? false,
    authenticData: parts.authenticData ?? false,
    answer: parts.answer ?? NOTHING,
    authority: parts.authority ?? NOTHING,
    additional: parts.additional ?? NOTHING,
    ttl: parts.ttl,
    options: parts.options,
    lasting: parts.lasting,
    continues: parts.continues ?? false,
    plugin,
  };
}

/** The bare reply with which the server itself reports a code. */
export function errorReply(rcode: number): Reply {
  return makeReply('', rcode, { authoritative: false });
}

export const EDNS_NSID = 3;
/** EDNS options that go back to the client as they came (CoreDNS request/edns0.go): NSID, EXPIRE, COOKIE, keepalive, padding. */
const ECHOED_OPTIONS = new Set([EDNS_NSID, 9, 10, 11, 12]);

/** The reply on the wire, cut to what the client takes, with its OPT record answered; SERVFAIL when it cannot be written. */
export function encodeReply(request: Request, reply: Reply): Uint8Array {
  let flags = request.replyFlags;
  if (reply.authoritative) flags |= FLAG_AA;
  if (reply.truncated) flags |= FLAG_TC;
  if (reply.recursionAvailable) flags |= FLAG_RA;
  if (reply.authenticData) flags |= FLAG_AD;
  const { id, question, limit } = request;
  const edns = replyEdns(request, reply);
  const { rcode, answer, authority, additional, ttl } = reply;
  // Spelled out: with a spread of a common head in its place a query took five times as long.
  const bytes = encodeMessage({ id, flags, rcode, question, answer, authority, additional, edns, ttl }, limit);
  if (bytes !== undefined) return bytes;
  flags = request.replyFlags;
  const bare = { answer: NOTHING, authority: NOTHING, additional: NOTHING, edns, ttl: undefined };
  return encodeMessage({ id, flags, rcode: RCODE.SERVFAIL, question, ...bare }, limit)!;
}

/** CoreDNS gives the client's own size and DO bit back, and its options when the reply brings none (request.go SizeAndDo). */
function replyEdns(request: Request, reply: Reply): Edns | undefined {
  const { edns } = request;
  if (edns === undefined) return undefined;
  const options = reply.options ?? echoedOptions(edns);
  return { udpSize: edns.udpSize, version: 0, dnssecOk: edns.dnssecOk, options };
}

/** The options of a question that its reply repeats. */
export function echoedOptions({ options }: Edns): readonly EdnsOption[] {
  return options.length === 0 ? options : options.filter((option) => ECHOED_OPTIONS.has(option.code));
}

/** `next`, or the failure CoreDNS reports when a plugin wants to pass on and is the last. */
export function nextOrFailure(
  plugin: string,
  next: Handler | undefined,
  request: Request,
  writer: ResponseWriter,
): Served {
  if (next === undefined) throw new ServeError(RCODE.SERVFAIL, `plugin/${plugin}: no next plugin found`);
  return next(request, writer);
}

/**
 * Calls the rest of the chain and, when it is through, `done` with its code; a failure comes as its code and the error, which
 * `done` may throw again.
 */
export function afterwards(serve: () => Served, done: (rcode: number, error: unknown) => number): Served {
  let served: Served;
  try {
    served = serve();
  } catch (error) {
    return done(rcodeOf(error), error);
  }
  if (typeof served === 'number') return done(served, undefined);
  return served.then(
    (rcode) => done(rcode, undefined),
    (error: unknown) => done(rcodeOf(error), error),
  );
}

/** The code a client is told of a failure. */
export function rcodeOf(error: unknown): number {
  return error instanceof ServeError ? error.rcode : RCODE.SERVFAIL;
}

/** Whether the plugins have left the writing to the server (CoreDNS plugin.ClientWrite, the other way round). */
export function mustWrite(rcode: number): boolean {
  return rcode === RCODE.SERVFAIL || rcode === RCODE.REFUSED || rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP;
}

/** Passes replies on that must not be given again without asking: they depend on more than the query's bytes. */
export class OnlyOnce implements ResponseWriter {
  readonly #inner: ResponseWriter;

  constructor(inner: ResponseWriter) {
    this.#inner = inner;
  }

  write(reply: Reply): number {
    return this.#inner.write({ ...reply, lasting: undefined });
  }
}

/** Keeps the reply instead of sending it. */
export class ReplyKeeper implements ResponseWriter {
  reply: Reply | undefined;

  write(reply: Reply): number {
    this.reply ??= reply;
    return 0;
  }
}
