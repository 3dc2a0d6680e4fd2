// The sockets the server stands on, as an interface: in a Pod those of the Pod's own TCP/IP stack, for `podwire dns` the
// machine's. Both speak Node's language (node:dgram, node:net), so one adapter serves both; it only needs to be told how to make
// a socket. Ports are numbers, addresses dotted text.
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';

export interface Address {
  readonly address: string;
  readonly port: number;
}

/** A UDP socket: one that is bound, or one with a port of its own for questions to others. */
export interface UdpPort {
  readonly local: Address;
  onMessage(handler: (bytes: Uint8Array, from: Address) => void): void;
  /** Errors that belong to no call, such as an ICMP unreachable. */
  onError(handler: (error: Error) => void): void;
  send(bytes: Uint8Array, to: Address): void;
  close(): void;
}

export interface ConnectedUdpPort {
  readonly local: Address;
  onMessage(handler: (bytes: Uint8Array) => void): void;
  onError(handler: (error: Error) => void): void;
  send(bytes: Uint8Array): void;
  close(): void;
}

export interface TcpConnection {
  readonly stream: Duplex;
  readonly remote: Address;
}

export interface TcpPort {
  readonly local: Address;
  close(): void;
}

export interface DnsSockets {
  /** Port 0: any free one. `address` '' listens on all. Rejects with a system error, EADDRINUSE and the like. */
  listenUdp(address: string, port: number): Promise<UdpPort>;
  listenTcp(address: string, port: number, onConnection: (connection: TcpConnection) => void): Promise<TcpPort>;
  /** A UDP socket that talks to one server only, and hears of it when that server's port is closed. */
  openUdp(to: Address): Promise<ConnectedUdpPort>;
  connectTcp(to: Address): Promise<Duplex>;
}

/** The part of node:dgram's Socket that is used; @tcpip-ts has the same. */
export interface DgramLike extends EventEmitter {
  bind(port: number, address?: string): unknown;
  connect(port: number, address: string, callback: (error?: Error) => void): void;
  send(message: Uint8Array, port: number, address: string, callback?: (error: Error | null) => void): void;
  send(message: Uint8Array, callback?: (error: Error | null) => void): void;
  address(): { address: string; port: number };
  close(): void;
}

/** The part of node:net's Server that is used. */
export interface TcpServerLike extends EventEmitter {
  listen(port: number, host?: string): unknown;
  address(): unknown;
  close(): void;
}

/** The part of node:net's Socket that is used beyond Duplex. */
export interface TcpSocketLike extends Duplex {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

export interface SocketFactory {
  /** `family` of the peer or of the address to bind; tcpip-ts has IPv4 only and may ignore it. */
  createUdp(family: 4 | 6): DgramLike;
  createTcpServer(): TcpServerLike;
  connectTcp(to: Address): TcpSocketLike;
  /** The address '' stands for. */
  readonly anyAddress: string;
}

export function socketsFrom(factory: SocketFactory): DnsSockets {
  return {
    listenUdp: (address, port) => bindUdp(factory, address || factory.anyAddress, port),
    openUdp: (to) => openUdp(factory, to),
    listenTcp: (address, port, onConnection) => listenTcp(factory, address || factory.anyAddress, port, onConnection),
    connectTcp: (to) => connectTcp(factory, to),
  };
}

async function bindUdp(factory: SocketFactory, address: string, port: number): Promise<UdpPort> {
  const socket = factory.createUdp(address.includes(':') ? 6 : 4);
  await once(socket, 'listening', () => socket.bind(port, address));
  return portOver(socket);
}

async function openUdp(factory: SocketFactory, to: Address): Promise<ConnectedUdpPort> {
  const socket = factory.createUdp(to.address.includes(':') ? 6 : 4);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(to.port, to.address, (error) => (error ? reject(error) : resolve()));
  });
  return portOver(socket);
}

/** A socket as both kinds of port: one that is connected sends without an address. */
function portOver(socket: DgramLike) {
  let open = true;
  let onError: ((error: Error) => void) | undefined;
  const failed = (error: Error | null): void => {
    if (error) onError?.(error);
  };
  socket.on('error', failed);
  return {
    local: socket.address(),
    onMessage: (handler: (bytes: Uint8Array, from: Address) => void) => void socket.on('message', handler),
    onError(handler: (error: Error) => void) {
      onError = handler;
    },
    send(bytes: Uint8Array, to?: Address) {
      if (!open) return;
      if (to) socket.send(bytes, to.port, to.address, failed);
      else socket.send(bytes, failed);
    },
    close() {
      if (open) socket.close();
      open = false;
    },
  };
}

/** Starts something and waits for its event; rejects at 'error'. */
function once(emitter: EventEmitter, event: string, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    emitter.once('error', reject);
    emitter.once(event, () => {
      emitter.removeListener('error', reject);
      resolve();
    });
    start();
  });
}

async function listenTcp(
  factory: SocketFactory,
  address: string,
  port: number,
  onConnection: (connection: TcpConnection) => void,
): Promise<TcpPort> {
  const server = factory.createTcpServer();
  const connections = new Set<Duplex>();
  server.on('connection', (stream: TcpSocketLike) => {
    connections.add(stream);
    stream.once('close', () => connections.delete(stream));
    // Whoever takes the connection may listen too; without any listener a reset peer would end the process.
    stream.on('error', () => {});
    onConnection({ stream, remote: { address: stream.remoteAddress ?? '', port: stream.remotePort ?? 0 } });
  });
  await once(server, 'listening', () => server.listen(port, address));
  server.on('error', () => {});
  let open = true;
  return {
    local: server.address() as Address,
    close() {
      if (!open) return;
      open = false;
      server.close();
      for (const stream of connections) stream.destroy();
    },
  };
}

async function connectTcp(factory: SocketFactory, to: Address): Promise<Duplex> {
  const socket = factory.connectTcp(to);
  await once(socket, 'connect', () => {});
  socket.on('error', () => {});
  return socket;
}
