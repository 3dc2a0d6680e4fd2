// The machine's own sockets, for `podwire dns` and for tests over loopback.
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { type DgramLike, type DnsSockets, socketsFrom } from './sockets.ts';

/** `host` is where servers listen whose Corefile names no address. */
export function nodeSockets(host = '127.0.0.1'): DnsSockets {
  return socketsFrom({
    anyAddress: host,
    createUdp: (family) => createSocket(family === 6 ? 'udp6' : 'udp4') as DgramLike,
    createTcpServer: () => createServer({ noDelay: true, allowHalfOpen: true }),
    connectTcp: (to) => connect({ host: to.address, port: to.port, noDelay: true }),
  });
}
