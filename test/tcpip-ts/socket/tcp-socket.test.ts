import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, request } from 'node:http';
import type { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import { TcpServer } from '../../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { TwoStacks } from '../../support/two-stacks.ts';

const SECOND = 1e6;

/** Two stacks whose clock moves on while `work` is under way. */
async function within<T>(stacks: TwoStacks, work: Promise<T>, limitUs = 600 * SECOND): Promise<T> {
  let isDone = false;
  const finished = work.finally(() => {
    isDone = true;
  });
  finished.catch(() => {});
  await stacks.clock.until(() => isDone, limitUs);
  return finished;
}

async function listening(stacks: TwoStacks, options = {}): Promise<TcpServer> {
  const server = new TcpServer(stacks.b, options).listen(7);
  await once(server, 'listening');
  return server;
}

t.test('an echo: connect, data both ways, end, close', async (t) => {
  const stacks = new TwoStacks();
  const server = await listening(stacks);
  server.on('connection', (socket) => socket.pipe(socket));
  t.same(server.address(), { address: '0.0.0.0', family: 'IPv4', port: 7 });
  const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  t.equal(socket.connecting, true);
  t.equal(socket.readyState, 'opening');
  await within(stacks, once(socket, 'connect'));
  t.equal(socket.readyState, 'open');
  t.equal(socket.remoteAddress, '10.0.0.2');
  t.equal(socket.remotePort, 7);
  t.equal(socket.localAddress, '10.0.0.1');
  t.match(socket.address(), { address: '10.0.0.1', family: 'IPv4', port: socket.localPort });
  socket.end('hello');
  t.equal(await within(stacks, text(socket)), 'hello');
  const [hadError] = socket.closed ? [false] : await within(stacks, once(socket, 'close'));
  t.equal(hadError, false);
  t.equal(socket.bytesWritten, 5);
  t.equal(socket.bytesRead, 5);
  const closed = once(server, 'close');
  server.close();
  await within(stacks, closed);
  await stacks.clock.run(70 * SECOND);
  t.equal(stacks.a.tcp.connectionCount + stacks.b.tcp.connectionCount, 0);
  stacks.close();
});

t.test('a megabyte piped each way over a lossy wire, with backpressure', async (t) => {
  const stacks = new TwoStacks({ features: LINK_F_CSUM | LINK_F_TSO4 });
  let n = 0;
  stacks.wire.drop = () => ++n % 23 === 0;
  const server = await listening(stacks, { allowHalfOpen: true });
  const up = createHash('sha256');
  const sent = createHash('sha256');
  const chunks = function* (hash: ReturnType<typeof createHash>): Generator<Buffer> {
    for (let i = 0; i < 64; i++) {
      const chunk = Buffer.alloc(16_384, i + 1);
      hash.update(chunk);
      yield chunk;
    }
  };
  const reply = createHash('sha256');
  const received = createHash('sha256');
  const sink = (hash: ReturnType<typeof createHash>): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        setImmediate(done); // a slow reader
      },
    });
  const served = once(server, 'connection').then(async ([socket]: TcpSocket[]) => {
    await pipeline(socket!, sink(up), { end: true });
    await pipeline(Readable.from(chunks(reply)), socket!);
  });
  const socket = new TcpSocket(stacks.a, { allowHalfOpen: true }).connect(7, '10.0.0.2');
  const all = Promise.all([
    served,
    pipeline(Readable.from(chunks(sent)), socket, { end: true }),
    pipeline(socket, sink(received)),
  ]);
  await within(stacks, all);
  t.equal(up.digest('hex'), sent.digest('hex'));
  t.equal(received.digest('hex'), reply.digest('hex'));
  stacks.close();
});

t.test('errors are worded as Node words them', async (t) => {
  const stacks = new TwoStacks();
  const failing = async (socket: TcpSocket): Promise<Error> => (await within(stacks, once(socket, 'error')))[0];
  t.match(await failing(new TcpSocket(stacks.a).connect(81, '10.0.0.2')), {
    message: 'connect ECONNREFUSED 10.0.0.2:81',
    code: 'ECONNREFUSED',
    errno: -111,
    syscall: 'connect',
    address: '10.0.0.2',
    port: 81,
  });
  t.match(await failing(new TcpSocket(stacks.a).connect(81, '11.0.0.2')), {
    message: 'connect ENETUNREACH 11.0.0.2:81',
  });
  t.match(await failing(new TcpSocket(stacks.a).connect(81, '10.0.0.77')), {
    message: 'connect EHOSTUNREACH 10.0.0.77:81',
  });
  t.match(await failing(new TcpSocket(stacks.a).connect(81, 'example.org')), {
    message: 'getaddrinfo ENOTFOUND example.org',
    code: 'ENOTFOUND',
  });
  stacks.wire.drop = () => true;
  t.match(await failing(new TcpSocket(stacks.a).connect(81, '10.0.0.2')), { message: 'connect ETIMEDOUT 10.0.0.2:81' });
  stacks.wire.drop = null;
  const server = await listening(stacks);
  const twice = new TcpServer(stacks.b).listen(7);
  t.match(await once(twice, 'error'), [
    { message: 'listen EADDRINUSE: address already in use 0.0.0.0:7', code: 'EADDRINUSE' },
  ]);
  const elsewhere = new TcpServer(stacks.b).listen(8, '10.9.9.9');
  t.match(await once(elsewhere, 'error'), [{ code: 'EADDRNOTAVAIL' }]);
  const accepted = once(server, 'connection');
  const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  const [peer] = (await within(stacks, accepted)) as [TcpSocket];
  peer.resetAndDestroy();
  t.match(await failing(socket), { message: 'read ECONNRESET', code: 'ECONNRESET', syscall: 'read' });
  stacks.close();
});

t.test('writing to a socket that the peer has reset fails', async (t) => {
  const stacks = new TwoStacks();
  const server = await listening(stacks);
  server.on('connection', (socket) => socket.resetAndDestroy());
  const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  socket.on('error', () => {});
  const closed = new Promise<boolean>((resolve) => socket.on('close', resolve as () => void));
  t.equal(await within(stacks, closed), true);
  t.ok(await new Promise((resolve) => socket.write('x', resolve)));
  stacks.close();
});

t.test('setTimeout tells of silence and is put off by traffic', async (t) => {
  const stacks = new TwoStacks();
  const server = await listening(stacks);
  server.on('connection', (socket) => socket.resume());
  const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  await within(stacks, once(socket, 'connect'));
  let timeouts = 0;
  socket.setTimeout(1000, () => timeouts++);
  for (let i = 0; i < 5; i++) {
    await stacks.clock.run(0.7 * SECOND);
    socket.write('x');
  }
  t.equal(timeouts, 0);
  await stacks.clock.run(1.1 * SECOND);
  t.equal(timeouts, 1);
  socket.destroy();
  stacks.close();
});

t.test('allowHalfOpen decides who ends after the peer has', async (t) => {
  for (const allowHalfOpen of [false, true]) {
    const stacks = new TwoStacks();
    const server = await listening(stacks, { allowHalfOpen });
    const accepted = once(server, 'connection');
    const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
    const [peer] = (await within(stacks, accepted)) as [TcpSocket];
    peer.resume();
    socket.end();
    await within(stacks, once(peer, 'end'));
    await stacks.clock.run(SECOND);
    t.equal(peer.writable, allowHalfOpen);
    peer.end('late');
    if (allowHalfOpen) t.equal(await within(stacks, text(socket)), 'late');
    else peer.on('error', () => {});
    stacks.close();
  }
});

t.test('a listener that throws does not break the stack', async (t) => {
  const stacks = new TwoStacks();
  const server = await listening(stacks);
  server.on('connection', (socket) => socket.pipe(socket));
  const socket = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  await within(stacks, once(socket, 'connect'));
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  socket.once('data', () => {
    throw new Error('mine');
  });
  socket.write('one');
  await stacks.clock.run(SECOND);
  t.match(await thrown, { message: 'mine' });
  socket.write('two');
  const [chunk] = await within(stacks, once(socket, 'data'));
  t.equal(String(chunk), 'two');
  stacks.close();
});

t.test('loopback: a stack talks to itself', async (t) => {
  const stacks = new TwoStacks();
  const server = new TcpServer(stacks.a, (socket) => socket.end('to itself')).listen(9, '127.0.0.1');
  await once(server, 'listening');
  const socket = new TcpSocket(stacks.a).connect(9);
  t.equal(await within(stacks, text(socket)), 'to itself');
  stacks.close();
});

t.test('node:http runs on it', async (t) => {
  const stacks = new TwoStacks();
  const http = createServer((req, res) => {
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
    });
    req.on('end', () => {
      res.setHeader('content-type', 'text/plain');
      if (req.url === '/big') res.end('x'.repeat(300_000));
      else res.end(`${req.method} ${req.url} ${size} from ${req.socket.remoteAddress}\n`);
    });
  });
  const server = new TcpServer(stacks.b, { allowHalfOpen: true }, (socket) => http.emit('connection', socket)).listen(
    80,
  );
  await once(server, 'listening');
  const createConnection = (): Socket => new TcpSocket(stacks.a).connect(80, '10.0.0.2') as unknown as Socket;

  await t.test('get', async (t) => {
    const answered = new Promise<string>((resolve, reject) => {
      get('http://10.0.0.2/index', { createConnection }, (res) => text(res).then(resolve, reject)).on('error', reject);
    });
    t.equal(await within(stacks, answered), 'GET /index 0 from 10.0.0.1\n');
  });
  await t.test('a large answer', async (t) => {
    const answered = new Promise<string>((resolve, reject) => {
      get('http://10.0.0.2/big', { createConnection }, (res) => text(res).then(resolve, reject)).on('error', reject);
    });
    t.equal((await within(stacks, answered)).length, 300_000);
  });
  await t.test('post with a body', async (t) => {
    const answered = new Promise<string>((resolve, reject) => {
      const req = request('http://10.0.0.2/upload', { method: 'POST', createConnection }, (res) =>
        text(res).then(resolve, reject),
      );
      req.on('error', reject);
      req.end(Buffer.alloc(200_000, 'y'));
    });
    t.equal(await within(stacks, answered), 'POST /upload 200000 from 10.0.0.1\n');
  });
  await t.test('several requests on one connection', async (t) => {
    const socket = new TcpSocket(stacks.a).connect(80, '10.0.0.2');
    let all = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      all += chunk;
    });
    socket.write(
      'GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    await within(stacks, once(socket, 'close'));
    t.match(all, /GET \/1[\s\S]*GET \/2[\s\S]*GET \/3/);
  });
  await t.test('refused', async (t) => {
    const refused = new Promise<Error>((resolve) => {
      const socket = (): Socket => new TcpSocket(stacks.a).connect(81, '10.0.0.2') as unknown as Socket;
      get('http://10.0.0.2:81/', { createConnection: socket }).on('error', resolve);
    });
    t.match(await within(stacks, refused), { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.2:81' });
  });
  stacks.close();
  http.close();
});

t.test('ws runs on it', async (t) => {
  const stacks = new TwoStacks();
  const http = createServer();
  const wss = new WebSocketServer({ server: http });
  const serverClosed = new Promise<void>((done) => {
    wss.on('connection', (ws) => {
      ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
      ws.on('close', () => done());
    });
  });
  const server = new TcpServer(stacks.b, { allowHalfOpen: true }, (socket) => http.emit('connection', socket)).listen(
    80,
  );
  await once(server, 'listening');
  const createConnection = (): Socket => new TcpSocket(stacks.a).connect(80, '10.0.0.2') as unknown as Socket;
  const ws = new WebSocket('ws://10.0.0.2/', { createConnection } as ClientOptions);
  await within(stacks, once(ws, 'open'));
  const large = Buffer.alloc(300_000, 'z');
  const echoes: Buffer[] = [];
  const both = new Promise<void>((done) => {
    ws.on('message', (data) => {
      if (echoes.push(data as Buffer) === 2) done();
    });
  });
  ws.send('hello');
  ws.send(large);
  await within(stacks, both);
  t.equal(String(echoes[0]), 'hello');
  t.ok(echoes[1]!.equals(large));
  ws.close(1000, 'done');
  const [code, reason] = await within(stacks, once(ws, 'close'));
  t.same([code, String(reason)], [1000, 'done']);
  await within(stacks, serverClosed);
  wss.close();
  stacks.close();
});

t.test('maxConnections closes what is too many', async (t) => {
  const stacks = new TwoStacks();
  const server = await listening(stacks);
  server.maxConnections = 1;
  const first = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  await within(stacks, once(first, 'connect'));
  const second = new TcpSocket(stacks.a).connect(7, '10.0.0.2');
  second.resume();
  await within(stacks, once(second, 'close'));
  t.equal(first.destroyed, false);
  server.getConnections((_error, count) => t.equal(count, 1));
  first.destroy();
  await stacks.clock.run(SECOND);
  stacks.close();
});
