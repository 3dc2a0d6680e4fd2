// DNS questions from a Pod's stack: one file around dns-packet on the asking side. UDP first, TCP when told or when the answer
// was cut (RFC 1035, 7766).
import dnsPacket, { type DecodedPacket, type RecordType } from 'dns-packet';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import type { Stack } from '../../tcpip-ts/stack.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';

export type { Answer, DecodedPacket, Question, RecordType } from 'dns-packet';

export interface DnsQuestion {
  readonly name: string;
  /** `A`, `AAAA`, `SRV`, `PTR`, ... */
  readonly type: string;
}

export interface DnsTransport {
  readonly stack: Stack;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Host order. */
  readonly server: number;
  readonly port: number;
  readonly timeoutMs: number;
  readonly edns: boolean;
}

export class DnsTimeout extends Error {}
export class DnsRefused extends Error {}

export interface DnsReply {
  readonly packet: DecodedPacket;
  /** Bytes on the wire. */
  readonly size: number;
}

function encode(id: number, { name, type }: DnsQuestion, edns: boolean): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: type as RecordType, name }],
    ...(edns
      ? { additionals: [{ type: 'OPT' as const, name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as never] }
      : {}),
  });
}

/** Asks all questions at once from one port, as glibc does for A and AAAA; each answer that was cut is asked again over TCP. */
export function askUdp(transport: DnsTransport, questions: readonly DnsQuestion[]): Promise<DnsReply[]> {
  const { stack, clock, rng, server, port, timeoutMs, edns } = transport;
  return new Promise((resolve, reject) => {
    const socket = stack.udp.bind();
    const ids = questions.map(() => rng.below(0x10000));
    const replies = new Map<number, DnsReply>();
    const finish = (error?: Error): void => {
      timer.cancel();
      socket.close();
      if (error) reject(error);
      else resolve(questions.map((_, i) => replies.get(i)!));
    };
    const timer = clock.after(timeoutMs * 1000, () =>
      finish(new DnsTimeout('connection timed out; no servers could be reached')),
    );
    socket.onError = () => finish(new DnsRefused('connection refused'));
    socket.onMessage = (bytes, saddr, sport) => {
      if (saddr !== server || sport !== port) return;
      let packet: DecodedPacket;
      try {
        packet = dnsPacket.decode(Buffer.from(bytes));
      } catch {
        return; // not an answer to anything
      }
      const i = ids.findIndex((id, n) => id === packet.id && !replies.has(n));
      if (i < 0 || packet.type !== 'response') return;
      if (!packet.flag_tc) {
        replies.set(i, { packet, size: bytes.length });
        if (replies.size === questions.length) finish();
        return;
      }
      askTcp(transport, questions[i]!).then((reply) => {
        replies.set(i, reply);
        if (replies.size === questions.length) finish();
      }, finish);
    };
    for (const [i, question] of questions.entries()) {
      const sent = socket.send(encode(ids[i]!, question, edns), server, port);
      if (sent < 0) return finish(new DnsTimeout('network unreachable'));
    }
  });
}

export function askTcp(transport: DnsTransport, question: DnsQuestion): Promise<DnsReply> {
  const { stack, clock, rng, server, port, timeoutMs, edns } = transport;
  return new Promise((resolve, reject) => {
    const socket = new TcpSocket(stack);
    const finish = (error: Error | null, reply?: DnsReply): void => {
      timer.cancel();
      socket.destroy();
      if (error) reject(error);
      else resolve(reply!);
    };
    const timer = clock.after(timeoutMs * 1000, () =>
      finish(new DnsTimeout('connection timed out; no servers could be reached')),
    );
    let received = Buffer.alloc(0);
    socket.on('error', () => finish(new DnsRefused('connection refused')));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const body = received.subarray(2, 2 + received.readUInt16BE(0));
      try {
        finish(null, { packet: dnsPacket.decode(body), size: body.length });
      } catch (error) {
        finish(error as Error);
      }
    });
    const query = encode(rng.below(0x10000), question, edns);
    socket.on('connect', () =>
      socket.write(Buffer.concat([Buffer.from([query.length >> 8, query.length & 255]), query])),
    );
    socket.connect(port, formatIPv4(server));
  });
}
