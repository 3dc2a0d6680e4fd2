// The endpoints of the kernel judge, as a process in their namespace: on every address and port given, TCP and UDP, it answers
// with where it was reached and by whom. argv: `{"addresses": [...], "tcp": 8080, "udp": 5353}`. Prints a line when it listens.
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

const { addresses, tcp, udp } = JSON.parse(process.argv[2]!) as { addresses: string[]; tcp: number; udp: number };

const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.end(`${socket.localAddress}:${socket.localPort} ${socket.remoteAddress}`);
});
server.listen({ port: tcp, host: '0.0.0.0', backlog: 4096 });
await once(server, 'listening');
for (const address of addresses) {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (_, from) =>
    socket.send(`${address}:${udp} ${from.address}`, from.port, from.address, () => {}),
  );
  socket.bind(udp, address);
  await once(socket, 'listening');
}
console.log('listening');
