import t from 'tap';
import { PodWorld } from '../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());
world.startWeb(['--port', '80', '--server', 'nginx', '--body', 'x'.repeat(615)]);
world.startWeb(['--port', '8081', '--server', 'netexec', '--netexec']);
world.serve(9001, (socket) => socket.once('data', () => socket.end()));
world.serve(9002, (socket) => socket.once('data', () => socket.resetAndDestroy()));
world.replyWith(9003, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
world.replyWith(9005, 'HTTP/1.1 302 Found\r\nLocation: http://ent:8081/hostname\r\nContent-Length: 4\r\n\r\nmove');
world.replyWith(9006, 'HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n');
world.serve(9008, (socket) => socket.resume());
world.replyWith(9013, 'HTTP/1.1 204 No Content\r\n\r\n');

t.test('as busybox prints it', async (t) => {
  const stars = '*'.repeat(32);
  const to = (port: number): string => `Connecting to ent:${port} (10.0.0.2:${port})\n`;
  const cases: readonly [string, number, string, string][] = [
    [
      'ent',
      0,
      '',
      `Connecting to ent (10.0.0.2:80)\nsaving to 'index.html'\nindex.html           100% |${stars}|   615  0:00:00 ETA\n'index.html' saved\n`,
    ],
    ['ent', 1, '', "Connecting to ent (10.0.0.2:80)\nwget: can't open 'index.html': File exists\n"],
    [
      '-O- ent:8081/hostname',
      0,
      'jump',
      `${to(8081)}writing to stdout\n-                    100% |${stars}|     4  0:00:00 ETA\nwritten to stdout\n`,
    ],
    ['-qO- ent:8081/hostname ent:8081/echo?msg=x', 0, 'jumpx', ''],
    [
      '-O /dev/null ent',
      0,
      '',
      `Connecting to ent (10.0.0.2:80)\nsaving to '/dev/null'\nnull                 100% |${stars}|   615  0:00:00 ETA\n'/dev/null' saved\n`,
    ],
    ['-P /tmp -q ent', 0, '', ''],
    [
      '-P /nosuch ent',
      1,
      '',
      "Connecting to ent (10.0.0.2:80)\nwget: can't open '/nosuch/index.html': No such file or directory\n",
    ],
    ['nosuch', 1, '', "wget: bad address 'nosuch'\n"],
    ['ent:81', 1, '', `${to(81)}wget: can't connect to remote host (10.0.0.2): Connection refused\n`],
    ['ent:8081/nosuch', 1, '', `${to(8081)}wget: server returned error: HTTP/1.1 404 Not Found\n`],
    ['-q ent:8081/nosuch', 1, '', 'wget: server returned error: HTTP/1.1 404 Not Found\n'],
    ['--spider ent:8081/hostname', 0, '', `${to(8081)}remote file exists\n`],
    [
      '--post-data a=b -O- ent:8081',
      1,
      '',
      `${to(8081)}wget: server returned error: HTTP/1.1 405 Method Not Allowed\n`,
    ],
    [
      '-S -O /dev/null ent:8081/hostname',
      0,
      '',
      `${to(8081)}  HTTP/1.1 200 OK\n  Server: netexec\n  Date: Thu, 01 Jan 2026 00:00:00 GMT\n  Content-Type: text/plain; charset=utf-8\n  Content-Length: 4\n  Connection: close\n  \nsaving to '/dev/null'\nnull                 100% |${stars}|     4  0:00:00 ETA\n'/dev/null' saved\n`,
    ],
    ['-O- ent:9001', 1, '', `${to(9001)}wget: error getting response\n`],
    ['-O- ent:9002', 1, '', `${to(9002)}wget: error getting response: Connection reset by peer\n`],
    ['-O- ent:9003', 1, 'abc', `${to(9003)}writing to stdout\nwget: connection closed prematurely\n`],
    ['-O- ent:9006', 1, '', `${to(9006)}wget: too many redirections\n`],
    ['-qO- ent:9005', 0, 'jump', ''],
    ['-O- ent:9013', 0, '', `${to(9013)}writing to stdout\nwritten to stdout\n`],
    ['https://ent', 1, '', 'wget: not an http or ftp url: https://ent\n'],
  ];
  for (const [args, code, stdout, stderr] of cases) {
    const result = await world.run(`wget ${args}`);
    t.equal(result.stdout, stdout, `${args}: stdout`);
    t.equal(result.stderr, stderr, `${args}: stderr`);
    t.equal(result.code, code, `${args}: exit code`);
  }
  t.equal(world.files.read('/index.html')?.length, 615);
  t.equal(world.files.read('/tmp/index.html')?.length, 615);
});

t.test('idle for longer than -T', async (t) => {
  const result = await world.run('wget -qO- -T 5 ent:9008');
  t.match(result, { code: 1, stderr: 'wget: download timed out\n' });
  t.ok(result.seconds >= 5 && result.seconds < 5.1, `${result.seconds} s`);
});

t.test('the bar is as wide as the terminal', async (t) => {
  const { stderr } = await world.run('wget -O /dev/null ent', { tty: true });
  t.match(stderr, /\n\rnull {17}100% \|\*{32}\| {3}615 {2}0:00:00 ETA\n/, '80 columns when nobody says');
});

t.test('a wrong command line', async (t) => {
  for (const [args, stderr] of [
    ['-Z', /^wget: invalid option -- 'Z'\nUsage: wget/],
    ['--zzz', /^wget: unrecognized option '--zzz'\nUsage: wget/],
    ['-O', /^wget: option requires an argument -- 'O'\nUsage: wget/],
  ] as const)
    t.match(await world.run(`wget ${args}`), { code: 1, stderr }, args);
});
