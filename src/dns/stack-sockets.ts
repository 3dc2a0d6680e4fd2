// The sockets of a Pod's own TCP/IP stack.
import { TcpServer } from '../tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../tcpip-ts/socket/tcp-socket.ts';
import { UdpSocket } from '../tcpip-ts/socket/udp-socket.ts';
import type { Stack } from '../tcpip-ts/stack.ts';
import { type DnsSockets, socketsFrom } from './sockets.ts';

/** The stack stays the caller's. */
export function stackSockets(stack: Stack): DnsSockets {
  return socketsFrom({
    anyAddress: '0.0.0.0',
    createUdp: () => new UdpSocket(stack),
    createTcpServer: () => new TcpServer(stack, { allowHalfOpen: true }),
    connectTcp: (to) => new TcpSocket(stack).connect({ host: to.address, port: to.port }),
  });
}
