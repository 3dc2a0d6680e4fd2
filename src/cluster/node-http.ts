// HTTP on the Node's own stack: what its kube-proxy serves. Reached as any port of the Node is, by Pods and from outside; and from the
// Node itself, by which what listens on its loopback address can be had.
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ListenAddress } from '../proxy/config.ts';
import { TcpServer } from '../tcpip-ts/socket/tcp-server.ts';
import { type TcpHost, TcpSocket } from '../tcpip-ts/socket/tcp-socket.ts';

/** `failed` hears when the address cannot be had. Closing ends its connections, too. */
export function serveHttp(
  stack: TcpHost,
  at: ListenAddress,
  answer: RequestListener,
  failed: (error: Error) => void,
): { close(): void } {
  const http = createServer(answer);
  http.keepAliveTimeout = 0; // no timer outlives a virtual clock
  http.on('clientError', (_error, socket) => socket.destroy());
  const sockets = new Set<TcpSocket>();
  const listener = new TcpServer(stack, { allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    http.emit('connection', socket as unknown as Socket); // a Duplex with the parts of net.Socket that node:http uses
  });
  listener.on('error', failed);
  listener.listen({ host: at.host, port: at.port });
  return {
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A connection from the Node to itself, the caller's to destroy. Rejects when nothing listens, on either address. */
export async function connectLocally(stack: TcpHost, address: string, port: number): Promise<Duplex> {
  return connect(stack, address, port).catch(() => connect(stack, '127.0.0.1', port));
}

function connect(stack: TcpHost, host: string, port: number): Promise<Duplex> {
  const socket = new TcpSocket(stack, { allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(port, host, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
