// Node's own stream code over two ways: the stack's sockets (both ends and a wire in memory in this process) and node:net over the kernel's
// loopback. The same work in the same process: what differs is the stack beneath. CPU time, the kernel's share counted.
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../src/tcpip-ts/link.ts';
import { linkPair } from '../../src/tcpip-ts/link-pair.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { TcpServer } from '../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../src/tcpip-ts/socket/tcp-socket.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';

/** A listener that hands over its connections, and how to reach it. */
export interface Way {
  readonly name: string;
  readonly connect: () => Socket;
  readonly close: () => void;
}

export type OnSocket = (socket: Socket) => void;

export function overStack(features: number, onSocket: OnSocket): Way {
  const env = { clock: new RealClock(), rng: new SeededRng(1), pool: new SkbPool(1024) };
  const stacks = [new Stack(env), new Stack(env)] as const;
  linkPair({ features, queue: 1024 }).forEach((link, i) => {
    stacks[i]!.addInterface(link, { addr: ipv4(`10.0.0.${i + 1}`), prefixLen: 24 });
  });
  new TcpServer(stacks[1]).on('connection', (socket) => onSocket(socket as unknown as Socket)).listen(80);
  return {
    name: features === 0 ? 'this stack, MTU 1500' : 'this stack, segments of 64 KiB',
    connect: () => new TcpSocket(stacks[0]).connect(80, '10.0.0.2') as unknown as Socket,
    close: () => {
      for (const stack of stacks) stack.close();
    },
  };
}

export async function overLoopback(onSocket: OnSocket): Promise<Way> {
  const server = createServer(onSocket).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { name: 'kernel loopback', connect: () => connect(port, '127.0.0.1'), close: () => server.close() };
}

/** The three ways, one after the other, each with its own listener that does `serve`. */
export async function forEachWay<T>(serve: () => OnSocket, measure: (way: Way) => Promise<T>): Promise<[string, T][]> {
  const results: [string, T][] = [];
  for (const make of [
    (s: OnSocket) => overLoopback(s),
    (s: OnSocket) => overStack(0, s),
    (s: OnSocket) => overStack(LINK_F_CSUM | LINK_F_TSO4, s),
  ]) {
    const way = await make(serve());
    results.push([way.name, await measure(way)]);
    way.close();
  }
  return results;
}

/** Requests a second of CPU time: GET of 100 bytes, one at a time on a kept connection. */
export async function httpRequests({ connect }: Way, cpuMs: () => number, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // The agent asks for a connection when it has none.
  agent.createConnection = (() => connect()) as typeof agent.createConnection;
  const ask = (): Promise<void> =>
    new Promise((done, fail) => {
      request({ agent, host: '10.0.0.2', path: '/' }, (res) => res.resume().on('end', done))
        .on('error', fail)
        .end();
    });
  for (let i = 0; i < 2000; i++) await ask();
  const startMs = cpuMs();
  let n = 0;
  while (cpuMs() - startMs < seconds * 1000) {
    for (let i = 0; i < 100; i++) await ask();
    n += 100;
  }
  const perSecond = (n * 1000) / (cpuMs() - startMs);
  agent.destroy();
  return perSecond;
}

export function httpServer(): OnSocket {
  const body = Buffer.alloc(100, 'x');
  const http = createHttpServer((_req, res) => res.end(body));
  return (socket) => http.emit('connection', socket);
}

/** Gbit a second of CPU time through one connection, in writes of 64 KiB. */
export async function streamThroughput({ connect }: Way, cpuMs: () => number, seconds: number): Promise<number> {
  const socket = connect();
  const chunk = Buffer.alloc(65_536, 7);
  const send = async (bytes: number): Promise<void> => {
    for (let i = 0; i < bytes; i += chunk.length) if (!socket.write(chunk)) await once(socket, 'drain');
  };
  await send(64 << 20);
  const startMs = cpuMs();
  let sent = 0;
  for (; cpuMs() - startMs < seconds * 1000; sent += 16 << 20) await send(16 << 20);
  const gbps = (sent * 8) / (cpuMs() - startMs) / 1e6;
  socket.destroy();
  return gbps;
}
