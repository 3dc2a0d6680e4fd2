import { PassThrough } from 'node:stream';
import t from 'tap';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { podWorld } from '../../support/pod-world.ts';

t.test('-z, as netcat-openbsd says it', async (t) => {
  const world = podWorld(t);
  for (const port of [80, 8080, 5000]) world.serve(port, () => {});
  for (const [args, code, stderr] of [
    ['-zv ent 8080', 0, 'Connection to ent (10.0.0.2) 8080 port [tcp/http-alt] succeeded!\n'],
    ['-zv 10.0.0.2 80', 0, 'Connection to 10.0.0.2 80 port [tcp/http] succeeded!\n'],
    ['-zvn 10.0.0.2 80', 0, 'Connection to 10.0.0.2 80 port [tcp/*] succeeded!\n'],
    ['-zv 10.0.0.2 http', 0, 'Connection to 10.0.0.2 80 port [tcp/http] succeeded!\n'],
    ['-zv 10.0.0.2 5000', 0, 'Connection to 10.0.0.2 5000 port [tcp/*] succeeded!\n'],
    ['-z 10.0.0.2 80', 0, ''],
    ['-zv ent 81', 1, 'nc: connect to ent (10.0.0.2) port 81 (tcp) failed: Connection refused\n'],
    ['-z ent 81', 1, ''],
    [
      '-zv 10.0.0.2 81-79',
      0,
      'nc: connect to 10.0.0.2 port 79 (tcp) failed: Connection refused\nConnection to 10.0.0.2 80 port [tcp/http] succeeded!\nnc: connect to 10.0.0.2 port 81 (tcp) failed: Connection refused\n',
    ],
    ['-zvu 10.0.0.2 53', 0, 'Connection to 10.0.0.2 53 port [udp/domain] succeeded!\n'],
    ['-zvu 10.0.0.2 54', 1, ''],
    ['-zv 8.8.8.8 80', 1, 'nc: connect to 8.8.8.8 port 80 (tcp) failed: Network is unreachable\n'],
    ['-zvu 8.8.8.8 80', 1, 'nc: connect to 8.8.8.8 port 80 (udp) failed: Network is unreachable\n'],
    ['-zv nosuch 80', 1, 'nc: getaddrinfo for host "nosuch" port 80: Temporary failure in name resolution\n'],
    ['ent', 1, 'nc: missing port number\n'],
    ['-l', 1, 'nc: missing port number\n'],
    ['ent foo', 1, 'nc: port number invalid: foo\n'],
    ['ent 99999', 1, 'nc: port number too large: 99999\n'],
    ['ent 0', 1, 'nc: port number too small: 0\n'],
  ] as const) {
    const result = await world.run(`nc ${args}`);
    t.equal(result.stderr, stderr, args);
    t.equal(result.code, code, args);
  }
  t.match(await world.run('nc -Y'), { code: 1, stderr: /^nc: invalid option -- 'Y'\nusage: nc/ });
});

t.test('-w limits the connect and the silence after it', async (t) => {
  const world = podWorld(t);
  world.serve(80, (socket) => socket.resume());
  await world.run('ping -c 1 10.0.0.2');
  const idle = await world.run('nc -v -w 3 10.0.0.2 80');
  t.match(idle, { code: 0, stderr: /succeeded!\n$/ });
  t.ok(idle.seconds >= 3 && idle.seconds < 3.1);
  world.hosts.wire.drop = () => true;
  const late = await world.run('nc -z -w 2 10.0.0.2 80');
  t.match(late, {
    code: 1,
    seconds: 2,
    stderr: 'nc: connect to 10.0.0.2 port 80 (tcp) timed out: Operation now in progress\n',
  });
});

t.test('stdin goes out, what comes is written, until the peer closes', async (t) => {
  const world = podWorld(t);
  world.serve(7, (socket) => socket.once('data', (chunk: Buffer) => socket.end(`got ${chunk}`)));
  t.match(await world.run('nc 10.0.0.2 7', { stdin: 'hello' }), { code: 0, stdout: 'got hello' });
  // Without -N the end of stdin is not told to the peer.
  let ended = false;
  world.serve(9, (socket) => {
    socket.resume();
    socket.on('end', () => {
      ended = true;
      socket.end('bye');
    });
  });
  t.match(await world.run('nc -w 1 10.0.0.2 9', { stdin: 'x' }), { code: 0, stdout: '' });
  t.match(await world.run('nc -N 10.0.0.2 9', { stdin: 'x' }), { code: 0, stdout: 'bye' });
  t.ok(ended);
});

t.test('-l serves one connection', async (t) => {
  const world = podWorld(t);
  world.clock.after(1_000_000, () => {
    const client = new TcpSocket(world.far);
    client.on('error', () => {});
    client.connect(8000, '10.0.0.1', () => client.end('over the wire\n'));
    client.on('data', () => {});
  });
  const { stdout, stderr, code } = await world.run('nc -lv 8000', { stdin: new PassThrough() });
  t.equal(stdout, 'over the wire\n');
  t.match(stderr, /^Listening on 0\.0\.0\.0 8000\nConnection received on ent\.dev\.svc\.cluster\.local \d+\n$/);
  t.equal(code, 0);
});

t.test('udp: lines out, answers back, for as long as -w says', async (t) => {
  const world = podWorld(t);
  const echo = world.far.udp.bind({ port: 7 });
  echo.onMessage = (bytes, saddr, sport) => void echo.send(bytes, saddr, sport);
  t.match(await world.run('nc -u -w 1 10.0.0.2 7', { stdin: 'ping\n' }), { code: 0, stdout: 'ping\n' });
});

t.test('SIGINT ends a listener', async (t) => {
  const world = podWorld(t);
  const abort = new AbortController();
  world.clock.after(1_000_000, () => abort.abort('SIGINT'));
  t.match(await world.run('nc -l 8000', { signal: abort.signal }), { code: 130, seconds: 1 });
});
