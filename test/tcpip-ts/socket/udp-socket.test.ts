// The same assertions as one would make of node:dgram; where it matters they are made of both.
import { createSocket } from 'node:dgram';
import t from 'tap';
import { UdpSocket } from '../../../src/tcpip-ts/socket/udp-socket.ts';
import { twoHosts } from '../../support/hosts.ts';

t.test('bind, message, answer, close: the shape of dgram', async (t) => {
  const { clock, a, b } = twoHosts();
  const server = new UdpSocket(b);
  const events: string[] = [];
  server.on('listening', () => events.push(`listening ${server.address().address}:${server.address().port}`));
  server.on('message', (message, rinfo) => {
    events.push(`${message} from ${rinfo.address} ${rinfo.family} ${rinfo.size}`);
    t.ok(Buffer.isBuffer(message));
    server.send(`re: ${message}`, rinfo.port, rinfo.address);
  });
  server.bind(53);
  const client = new UdpSocket(a, (message, rinfo) => events.push(`${message} from ${rinfo.address}:${rinfo.port}`));
  client.send('hello', 53, '10.0.0.2', (error, n) => events.push(`sent ${error} ${n}`));
  client.send(Buffer.from('..part..'), 2, 4, 53, '10.0.0.2');
  client.send([Buffer.from('one '), 'two'], 53, '10.0.0.2');
  await clock.run(10_000);
  t.same(events, [
    'listening 0.0.0.0:53',
    'sent null 5',
    'hello from 10.0.0.1 IPv4 5',
    'part from 10.0.0.1 IPv4 4',
    'one two from 10.0.0.1 IPv4 7',
    're: hello from 10.0.0.2:53',
    're: part from 10.0.0.2:53',
    're: one two from 10.0.0.2:53',
  ]);
  await new Promise<void>((done) => client.close(done));
  t.throws(() => client.send('x', 1, '10.0.0.2'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
  t.throws(() => client.close(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
  t.equal([...a.udp.endpoints()].length, 0);
});

t.test('a connected socket sends without a port and gets ECONNREFUSED as node gives it', async (t) => {
  const { clock, a, b } = twoHosts();
  const ours = new UdpSocket(a);
  const port = b.udp.bind().port;
  ours.connect(port, '10.0.0.2');
  await clock.run(10);
  t.same(ours.remoteAddress(), { address: '10.0.0.2', family: 'IPv4', port });
  t.throws(() => ours.send('x', 5), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
  for (const endpoint of [...b.udp.endpoints()]) endpoint.close();
  const ourError = new Promise<Error>((done) => ours.once('error', done));
  ours.send('anyone?');
  await clock.run(10_000);

  const theirs = createSocket('udp4');
  const closed = createSocket('udp4');
  await new Promise<void>((done) => closed.bind(0, '127.0.0.1', done));
  const closedPort = closed.address().port;
  await new Promise<void>((done) => closed.close(done));
  await new Promise<void>((done) => theirs.connect(closedPort, '127.0.0.1', done));
  const theirError = new Promise<Error>((done) => theirs.once('error', done));
  theirs.send('anyone?');
  const { code, errno, syscall, message } = (await theirError) as NodeJS.ErrnoException;
  t.match(await ourError, { code, errno, syscall, message });
  theirs.close();
  ours.disconnect();
  t.throws(() => ours.remoteAddress(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
});

t.test('errors are worded as node words them', async (t) => {
  const { clock, a } = twoHosts();
  const first = new UdpSocket(a).bind(53);
  const second = new UdpSocket(a);
  const bindError = new Promise<Error>((done) => second.once('error', done));
  second.bind(53, '0.0.0.0');
  await clock.run(1);
  t.match(await bindError, { code: 'EADDRINUSE', message: 'bind EADDRINUSE 0.0.0.0:53', syscall: 'bind', port: 53 });
  const sendError = await new Promise<Error | null>((done) => first.send('x', 53, '8.8.8.8', done));
  t.match(sendError, { code: 'ENETUNREACH', message: 'send ENETUNREACH 8.8.8.8:53', syscall: 'send' });
  const nameError = await new Promise<Error | null>((done) => first.send('x', 53, 'example.org', done));
  t.match(nameError, { code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND example.org' });
  const unheard = new Promise<Error>((done) => first.once('error', done));
  first.send('x', 53, '8.8.8.8');
  t.match(await unheard, { code: 'ENETUNREACH' });
  t.throws(() => first.bind(54), { code: 'ERR_SOCKET_ALREADY_BOUND' });
  t.throws(() => first.send('x', 0, '10.0.0.2'), { code: 'ERR_SOCKET_BAD_PORT' });
  t.throws(() => new UdpSocket(a).address(), { message: 'getsockname EINVAL' });
});

t.test('a listener that throws does not disturb packet processing', async (t) => {
  const { clock, a, b, pool } = twoHosts();
  const server = new UdpSocket(b).bind(7);
  const got: string[] = [];
  const thrown: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  server.on('message', (m) => {
    got.push(String(m));
    throw new Error(`bad ${m}`);
  });
  const client = new UdpSocket(a);
  for (const word of ['one', 'two', 'three']) client.send(word, 7, '10.0.0.2');
  await clock.run(10_000);
  t.same(got, ['one', 'two', 'three']);
  t.equal(thrown.length, 3);
  t.equal(pool.available, pool.size);
});

t.test('setTTL and setBroadcast take effect before and after binding', async (t) => {
  const { clock, wire, a } = twoHosts();
  const socket = new UdpSocket(a);
  socket.setTTL(9);
  socket.setBroadcast(true);
  socket.send('x', 7, '255.255.255.255');
  await clock.run(1);
  t.equal(wire.frames.at(-1)!.bytes[14 + 8], 9);
  socket.setTTL(10);
  socket.setBroadcast(false);
  const error = await new Promise<Error | null>((done) => socket.send('x', 7, '255.255.255.255', done));
  t.match(error, { code: 'EACCES' });
  await socket[Symbol.asyncDispose]();
});
