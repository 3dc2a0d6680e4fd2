// DNS questions from a Pod's stack: one file around dns-packet on the asking side. UDP, or TCP (RFC 1035 4.2, 7766). Who asks
// decides what to do about a cut answer; `askAll` asks again over TCP, as resolvers do.
import dnsPacket, { type DecodedPacket, type RecordType } from 'dns-packet';
import type { Clock, Timer } from '../../../lib/clock.ts';
import type { Rng } from '../../../lib/rng.ts';
import { ECONNREFUSED } from '../../../tcpip-ts/errno.ts';
import { TcpSocket } from '../../../tcpip-ts/socket/tcp-socket.ts';
import type { Stack } from '../../../tcpip-ts/stack.ts';
import { formatIPv4 } from '../../../tcpip-ts/wire/address.ts';

export type { Answer, DecodedPacket } from 'dns-packet';

export interface DnsQuery {
  /** Without the trailing dot; '.' is the root. */
  readonly name: string;
  /** `A`, `AAAA`, `SRV`, `PTR`, ... as dns-packet spells them. */
  readonly type: string;
  /** `IN` by default. */
  readonly class?: string;
  /** Header bits besides the opcode; recursion desired by default. */
  readonly flags?: number;
  readonly edns?: Edns;
}

export interface Edns {
  readonly udpPayloadSize: number;
  readonly dnssecOk: boolean;
  /** 8 bytes of RFC 7873. */
  readonly cookie?: Uint8Array;
}

export interface DnsTransport {
  readonly stack: Stack;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly signal: AbortSignal;
  /** Host order. */
  readonly server: number;
  readonly port: number;
  readonly timeoutMs: number;
}

type Reason = 'timed out' | 'connection refused' | 'network unreachable' | 'host unreachable' | 'end of file';

/** Why no answer came; the message is BIND's word for it. */
export class DnsFailure extends Error {
  readonly reason: Reason;
  /** TCP only: the connection never stood. */
  readonly connecting: boolean;

  constructor(reason: Reason, connecting = false) {
    super(reason);
    this.reason = reason;
    this.connecting = connecting;
  }
}

/** The process was told to end while it waited. */
export class Interrupted extends Error {}

export interface DnsReply {
  readonly packet: DecodedPacket;
  /** Bytes on the wire. */
  readonly size: number;
}

export const { RECURSION_DESIRED, AUTHENTIC_DATA, CHECKING_DISABLED, DNSSEC_OK } = dnsPacket;
const COOKIE = 10;

/** `NOERROR`, `NXDOMAIN`, ...: in decoded packets, but not in dns-packet's types. */
export function rcodeOf(packet: DecodedPacket): string {
  return (packet as unknown as { rcode: string }).rcode;
}

/** Whether a name fits into a question: labels of 1 to 63 bytes, 253 in all. */
export function isDomainName(name: string): boolean {
  if (name === '.') return true;
  return name.length <= 253 && name.split('.').every((label) => label.length > 0 && Buffer.byteLength(label) <= 63);
}

function encode(id: number, { name, type, flags, edns, ...query }: DnsQuery): Buffer {
  const opt = edns && {
    type: 'OPT',
    name: '.',
    udpPayloadSize: edns.udpPayloadSize,
    flags: edns.dnssecOk ? DNSSEC_OK : 0,
    options: edns.cookie ? [{ code: COOKIE, data: Buffer.from(edns.cookie) }] : [],
  };
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: flags ?? RECURSION_DESIRED,
    questions: [{ type: type as RecordType, name, class: (query.class ?? 'IN') as 'IN' }],
    additionals: opt ? [opt as never] : [], // its type wants fields that it fills itself
  });
}

function decode(bytes: Uint8Array): DnsReply | undefined {
  try {
    const packet = dnsPacket.decode(Buffer.from(bytes));
    return packet.type === 'response' ? { packet, size: bytes.length } : undefined;
  } catch {
    return undefined; // not an answer to anything
  }
}

/** Runs `start` until it finishes, the time is over (DnsFailure) or the process is signalled (Interrupted). */
function withDeadline<T>(
  { clock, signal, timeoutMs }: DnsTransport,
  start: (finish: (result: T | Error) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined;
    let cleanup: (() => void) | undefined;
    let done = false;
    const finish = (result: T | Error): void => {
      if (done) return;
      done = true;
      timer?.cancel();
      signal.removeEventListener('abort', interrupt);
      cleanup?.();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const interrupt = (): void => finish(new Interrupted('interrupted'));
    if (signal.aborted) return interrupt();
    signal.addEventListener('abort', interrupt);
    timer = clock.after(timeoutMs * 1000, () => finish(new DnsFailure('timed out')));
    cleanup = start(finish);
    if (done) cleanup();
  });
}

/** Asks all at once from one port, as glibc does for A and AAAA. Answers in the order of the questions; cut ones as they came. */
export function askUdp(transport: DnsTransport, queries: readonly DnsQuery[]): Promise<DnsReply[]> {
  const { stack, rng, server, port } = transport;
  return withDeadline<DnsReply[]>(transport, (finish) => {
    const socket = stack.udp.bind();
    const ids = queries.map(() => rng.below(0x10000));
    const replies = new Map<number, DnsReply>();
    socket.onError = (errno) => {
      if (errno === ECONNREFUSED) finish(new DnsFailure('connection refused')); // softer errors may pass
    };
    socket.onMessage = (bytes) => {
      const reply = decode(bytes);
      const i = ids.findIndex((id, n) => id === reply?.packet.id && !replies.has(n));
      if (!reply || i < 0) return;
      replies.set(i, reply);
      if (replies.size === queries.length) finish(queries.map((_, n) => replies.get(n)!));
    };
    let failed = socket.connect(server, port) < 0;
    for (const [i, query] of queries.entries()) failed ||= socket.send(encode(ids[i]!, query)) < 0;
    if (failed) finish(new DnsFailure('network unreachable'));
    return () => socket.close();
  });
}

/** Rejects with DnsFailure, or with Interrupted when the command is ended. */
export function askTcp(transport: DnsTransport, query: DnsQuery): Promise<DnsReply> {
  const { stack, rng, server, port } = transport;
  let connecting = true;
  return withDeadline<DnsReply>(transport, (finish) => {
    const socket = new TcpSocket(stack);
    const id = rng.below(0x10000);
    let received = Buffer.alloc(0);
    socket.on('error', (error) => finish(new DnsFailure(reasonOf(error), connecting)));
    socket.on('end', () => finish(new DnsFailure('end of file')));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const reply = decode(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (reply?.packet.id === id) finish(reply);
    });
    socket.on('connect', () => {
      connecting = false;
      const bytes = encode(id, query);
      socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]));
    });
    socket.connect(port, formatIPv4(server));
    return () => socket.destroy();
  }).catch((error: Error) => {
    // A deadline that passes before the connection stands is a failure to connect.
    throw error instanceof DnsFailure && connecting ? new DnsFailure(error.reason, true) : error;
  });
}

function reasonOf({ code }: NodeJS.ErrnoException): Reason {
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'EHOSTUNREACH') return 'host unreachable';
  if (code === 'ENETUNREACH') return 'network unreachable';
  return code === 'ETIMEDOUT' ? 'timed out' : 'end of file';
}

/** As askUdp; what was cut (TC) is asked again over TCP. */
export async function askAll(transport: DnsTransport, queries: readonly DnsQuery[]): Promise<DnsReply[]> {
  const replies = await askUdp(transport, queries);
  return Promise.all(
    replies.map((reply, i) => (reply.packet.flag_tc ? askTcp(transport, queries[i]!) : Promise.resolve(reply))),
  );
}
