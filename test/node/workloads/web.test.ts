import { PassThrough } from 'node:stream';
import t from 'tap';
import { web } from '../../../src/node/workloads/web.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { type PodWorld, podWorld } from '../../support/pod-world.ts';

/** Sends raw bytes to 10.0.0.2:PORT and tells all that comes back until the server closes, or for two seconds. */
async function talk(world: PodWorld, port: number, ...requests: readonly string[]): Promise<string> {
  const socket = new TcpSocket(world.pod);
  let got = '';
  let closed = false;
  socket.on('data', (chunk: Buffer) => void (got += chunk.toString()));
  socket.on('close', () => void (closed = true));
  socket.on('error', () => {});
  socket.connect(port, '10.0.0.2');
  for (const request of requests) socket.write(request);
  const end = world.clock.nowUs() + 2e6;
  world.clock.after(2_000_001, () => {});
  await world.until(() => closed || world.clock.nowUs() > end, 10, 'an answer');
  socket.destroy();
  return got;
}

const answer = (status: string, body: string, { type = 'text/plain; charset=utf-8', shown = body } = {}): string =>
  `HTTP/1.1 ${status}\r\nServer: test\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: keep-alive\r\n\r\n${shown}`;

t.test('the same page for every path, with the hostname in it, and a line in the log', async (t) => {
  const world = podWorld(t);
  const log = world.startWeb(['--port', '80', '--server', 'test', '--body', 'I am %h, %h\n']);
  const got = await talk(
    world,
    80,
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'HEAD /a?b HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  );
  t.equal(
    got,
    answer('200 OK', 'I am jump, jump\n') +
      answer('200 OK', 'I am jump, jump\n', { shown: '' }) +
      answer('405 Method Not Allowed', '405 Method Not Allowed\n'),
  );
  t.equal(
    (log.read() as Buffer).toString(),
    `10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 16 "-" "-"
10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "HEAD /a?b HTTP/1.1" 200 0 "-" "-"
10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "POST / HTTP/1.1" 405 23 "-" "-"
`,
  );
});

t.test('a page that begins with a tag is HTML', async (t) => {
  const world = podWorld(t);
  world.startWeb(['--port', '80', '--server', 'test', '--body', '<p>']);
  t.equal(await talk(world, 80, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), answer('200 OK', '<p>', { type: 'text/html' }));
});

t.test('netexec answers by path', async (t) => {
  const world = podWorld(t);
  world.startWeb(['--port', '8080', '--server', 'test', '--netexec']);
  for (const [path, status, body] of [
    ['/hostname', '200 OK', 'jump'],
    ['/echo?msg=a%20b', '200 OK', 'a b'],
    ['/healthz', '200 OK', 'OK\n'],
    ['/', '200 OK', 'OK\n'],
    ['//hostname', '404 Not Found', '404 Not Found\n'],
    ['/nosuch', '404 Not Found', '404 Not Found\n'],
  ] as const)
    t.equal(
      (await talk(world, 8080, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)).replace(
        /Date: .*\r/,
        'Date: Thu, 01 Jan 2026 00:00:00 GMT\r',
      ),
      answer(status, body),
      path,
    );
  t.match(await talk(world, 8080, 'GET /clientip HTTP/1.1\r\nHost: x\r\n\r\n'), /\r\n\r\n10\.0\.0\.1:\d+$/);
});

t.test('the connection stays for HTTP/1.1 and goes when asked', async (t) => {
  const world = podWorld(t);
  world.startWeb(['--port', '80', '--server', 'test', '--body', 'x']);
  for (const [request, stays] of [
    ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', true],
    ['GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', false],
    ['GET / HTTP/1.0\r\n\r\n', false],
  ] as const) {
    const startUs = world.clock.nowUs();
    const got = await talk(world, 80, request);
    t.match(got, stays ? /Connection: keep-alive/ : /Connection: close/, request);
    t.equal(world.clock.nowUs() - startUs > 1e6, stays, `${request}: closed by the server`);
  }
});

t.test('an idle connection costs no timer', async (t) => {
  const world = podWorld(t);
  world.startWeb(['--port', '80', '--server', 'test', '--body', 'x']);
  const socket = new TcpSocket(world.pod);
  let got = '';
  socket.on('data', (chunk: Buffer) => void (got += chunk.toString()));
  socket.connect(80, '10.0.0.2');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await world.until(() => got !== '', 10, 'the first answer');
  await world.clock.run(600e6); // ten minutes
  got = '';
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await world.until(() => got !== '', 10, 'the second answer');
  t.match(got, /^HTTP\/1\.1 200 OK/);
});

t.test('what is no HTTP is refused and logged', async (t) => {
  const world = podWorld(t);
  const log = world.startWeb(['--port', '80', '--server', 'test', '--body', 'x']);
  t.match(
    await talk(world, 80, 'nonsense\r\n\r\n'),
    /^HTTP\/1\.1 400 Bad Request\r\nServer: test\r\n.*\r\n\r\n400 Bad Request\n$/s,
  );
  t.match((log.read() as Buffer).toString(), /"- - -" 400 16 "-" "-"\n$/);
});

t.test('it ends with its signal, with the code of /exit, or when it cannot listen', async (t) => {
  const world = podWorld(t);
  const abort = new AbortController();
  world.clock.after(1_000_000, () => abort.abort('SIGTERM'));
  t.match(await world.play(web, ['web', '--port', '80'], { signal: abort.signal }), { code: 0, seconds: 1 });

  world.startWeb(['--port', '8080', '--netexec']);
  const log = new PassThrough();
  const exit = web(world.context(['web', '--port', '8081', '--netexec'], {}, world.far, log, log));
  await talk(world, 8081, 'GET /exit?code=3 HTTP/1.1\r\nHost: x\r\n\r\n');
  t.equal(await exit, 3);

  const second = new PassThrough();
  t.equal(await web(world.context(['web', '--port', '8080'], {}, world.far, log, second)), 1);
  t.match(String(second.read()), /^web: listen on port 8080: listen EADDRINUSE: address already in use/);
  t.match(await world.play(web, ['web', '--nope']), { code: 2, stderr: 'web: unexpected argument --nope\n' });
});
