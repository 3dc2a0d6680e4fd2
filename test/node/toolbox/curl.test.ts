import t from 'tap';
import type { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { PodWorld } from '../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());
world.startWeb(['--port', '8080', '--server', 'k8sbook', '--body', 'Hello\nHostname: %h\n']);
world.startWeb(['--port', '8081', '--server', 'netexec', '--netexec']);
world.serve(9001, (socket) => socket.once('data', () => socket.end()));
world.serve(9002, (socket) => socket.once('data', () => socket.resetAndDestroy()));
world.replyWith(9003, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
world.replyWith(9004, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', true);
world.replyWith(9005, 'HTTP/1.1 302 Found\r\nLocation: http://ent:9004/next\r\nContent-Length: 4\r\n\r\nmove', true);
world.replyWith(9006, 'HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n');
world.replyWith(9007, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', true);
world.serve(9008, (socket) => socket.resume());
world.replyWith(9009, 'garbage\n');
world.replyWith(9010, 'HTTP/1.0 200 OK\r\n\r\nold\n');
world.replyWith(9012, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nde');
world.replyWith(9013, 'HTTP/1.1 204 No Content\r\n\r\n', true);
await world.run('ping -c 1 10.0.0.2'); // so that no first packet waits for ARP

interface Case {
  readonly args: string | readonly string[];
  readonly code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly seconds?: number;
}

async function check(
  t: { equal(found: unknown, wanted: unknown, what: string): boolean },
  { args, code = 0, stdout = '', stderr = '', seconds }: Case,
): Promise<void> {
  const argv = ['curl', ...(typeof args === 'string' ? args.split(' ') : args)];
  const result = await world.run(argv);
  const name = argv.join(' ');
  t.equal(result.stdout, stdout, `${name}: stdout`);
  t.equal(result.stderr, stderr, `${name}: stderr`);
  t.equal(result.code, code, `${name}: exit code`);
  if (seconds !== undefined) t.equal(result.seconds, seconds, `${name}: time`);
}

const head = `HTTP/1.1 200 OK\r
Server: k8sbook\r
Date: Thu, 01 Jan 2026 00:00:00 GMT\r
Content-Type: text/plain; charset=utf-8\r
Content-Length: 21\r
Connection: keep-alive\r
\r
`;
const greeting = 'Hello\nHostname: jump\n';

t.test('what comes back', async (t) => {
  for (const one of [
    { args: 'ent:8080', stdout: greeting },
    { args: 'http://ent.dev.svc.cluster.local:8080/any?path', stdout: greeting },
    { args: '-i ent:8080', stdout: head + greeting },
    { args: '-I ent:8080', stdout: head },
    { args: '-sI -X GET ent:8080', stdout: head },
    { args: '-s -D - -o /dev/null ent:8080', stdout: head },
    { args: '-s ent:8081/hostname ent:8081/echo?msg=a%20b', stdout: 'jumpa b' },
    { args: '-o /dev/null ent:8080' },
    { args: '10.0.0.2:9004', stdout: 'abc' },
    { args: '10.0.0.2:9010', stdout: 'old\n' },
    { args: '-X DELETE ent:8080', stdout: '405 Method Not Allowed\n' },
    { args: '-d a=b ent:8080', stdout: '405 Method Not Allowed\n' },
    { args: '--resolve foo:8081:10.0.0.2 foo:8081/hostname', stdout: 'jump' },
    { args: '-L ent:9005', stdout: 'abc' },
    { args: 'ent:9005', stdout: 'move' },
    { args: '-s -G -d msg=x ent:8081/echo', stdout: 'x' },
  ])
    await check(t, one);
});

t.test('errors and exit codes', async (t) => {
  const partial = 'curl: (18) transfer closed with 7 bytes remaining to read\n';
  for (const one of [
    { args: 'nosuch', code: 6, stderr: 'curl: (6) Could not resolve host: nosuch\n' },
    { args: '-s nosuch', code: 6 },
    { args: '-sS nosuch', code: 6, stderr: 'curl: (6) Could not resolve host: nosuch\n' },
    {
      args: '10.0.0.2:81',
      code: 7,
      stderr: "curl: (7) Failed to connect to 10.0.0.2 port 81 after 1 ms: Couldn't connect to server\n",
    },
    {
      args: '10.0.0.2:0',
      code: 7,
      stderr: "curl: (7) Failed to connect to 10.0.0.2 port 0 after 0 ms: Couldn't connect to server\n",
    },
    { args: '-f ent:8081/nosuch', code: 22, stderr: 'curl: (22) The requested URL returned error: 404\n' },
    {
      args: '--fail-with-body ent:8081/nosuch',
      code: 22,
      stdout: '404 Not Found\n',
      stderr: 'curl: (22) The requested URL returned error: 404\n',
    },
    { args: 'ent:8081/nosuch', stdout: '404 Not Found\n' },
    { args: 'ent:9001', code: 52, stderr: 'curl: (52) Empty reply from server\n' },
    { args: 'ent:9002', code: 56, stderr: 'curl: (56) Recv failure: Connection reset by peer\n' },
    { args: 'ent:9003', code: 18, stdout: 'abc', stderr: partial },
    { args: 'ent:9009', code: 1, stderr: 'curl: (1) Received HTTP/0.9 when not allowed\n' },
    {
      args: 'ent:9012',
      code: 18,
      stdout: 'de',
      stderr: 'curl: (18) transfer closed with outstanding read data remaining\n',
    },
    { args: '-L --max-redirs 2 ent:9006', code: 47, stderr: 'curl: (47) Maximum (2) redirects followed\n' },
    { args: 'foo://ent', code: 1, stderr: 'curl: (1) Protocol "foo" not supported or disabled in libcurl\n' },
    { args: ['http://a b/'], code: 3, stderr: 'curl: (3) URL using bad/illegal format or missing URL\n' },
    { args: 'ent:99999', code: 3, stderr: 'curl: (3) URL using bad/illegal format or missing URL\n' },
    { args: '-s -o /nosuch/x ent:8080', code: 23 },
    {
      args: '-O ent:8080',
      code: 23,
      stderr: 'curl: Remote file name has no length!\ncurl: (23) Failed writing received data to disk/application\n',
    },
    {
      args: '-sS 10.0.0.2:81 ent:8080',
      stdout: greeting,
      stderr: "curl: (7) Failed to connect to 10.0.0.2 port 81 after 1 ms: Couldn't connect to server\n",
    },
  ])
    await check(t, one);
});

t.test('a wrong command line', async (t) => {
  const help = "curl: try 'curl --help' or 'curl --manual' for more information\n";
  for (const one of [
    { args: [], code: 2, stderr: help },
    { args: '--nope', code: 2, stderr: `curl: option --nope: is unknown\n${help}` },
    { args: '-y9 ent', code: 2, stderr: `curl: option -y9: is unknown\n${help}` },
    { args: '-m', code: 2, stderr: `curl: option -m: requires parameter\n${help}` },
    { args: '-m abc ent', code: 2, stderr: `curl: option -m: expected a proper numerical parameter\n${help}` },
  ])
    await check(t, one);
});

t.test('time limits run on the Pod’s clock', async (t) => {
  for (const one of [
    {
      args: '-m 1 10.0.0.2:9008',
      code: 28,
      stderr: 'curl: (28) Operation timed out after 1000 milliseconds with 0 bytes received\n',
      seconds: 1,
    },
    {
      args: '-m 2.5 10.0.0.2:9007',
      code: 28,
      stdout: 'abc',
      stderr: 'curl: (28) Operation timed out after 2500 milliseconds with 3 out of 10 bytes received\n',
      seconds: 2.5,
    },
  ])
    await check(t, one);

  world.hosts.wire.drop = (skb) => skb.bytes[skb.nh + 9] === 6; // TCP
  t.teardown(() => {
    world.hosts.wire.drop = null;
  });
  for (const one of [
    {
      args: '-m 3 10.0.0.2',
      code: 28,
      stderr: 'curl: (28) Connection timed out after 3000 milliseconds\n',
      seconds: 3,
    },
    {
      args: '--connect-timeout 2 10.0.0.2',
      code: 28,
      stderr: 'curl: (28) Failed to connect to 10.0.0.2 port 80 after 2000 ms: Timeout was reached\n',
      seconds: 2,
    },
    {
      args: '-v --connect-timeout 2 10.0.0.2',
      code: 28,
      stderr: `*   Trying 10.0.0.2:80...
* ipv4 connect timeout after 2000ms, move on!
* Failed to connect to 10.0.0.2 port 80 after 2000 ms: Timeout was reached
* Closing connection 0
curl: (28) Failed to connect to 10.0.0.2 port 80 after 2000 ms: Timeout was reached
`,
    },
  ])
    await check(t, one);
  world.zone = () => 'silence';
  await check(t, {
    args: '-m 4 ent',
    code: 28,
    stderr: 'curl: (28) Resolving timed out after 4000 milliseconds\n',
    seconds: 4,
  });
});

t.test('-v tells every step', async (t) => {
  const fresh = new PodWorld();
  t.teardown(() => fresh.close());
  fresh.startWeb(['--port', '8080', '--server', 'k8sbook', '--body', 'Hi']);
  const { stdout, stderr } = await fresh.run('curl -sv ent:8080/a ent:8080/b -o /dev/null');
  const request = (path: string): string => `> GET ${path} HTTP/1.1\r
> Host: ent:8080\r
> User-Agent: curl/7.88.1\r
> Accept: */*\r
> \r
< HTTP/1.1 200 OK\r
< Server: k8sbook\r
< Date: Thu, 01 Jan 2026 00:00:00 GMT\r
< Content-Type: text/plain; charset=utf-8\r
< Content-Length: 2\r
< Connection: keep-alive\r
< \r
{ [2 bytes data]
* Connection #0 to host ent left intact
`;
  t.equal(stdout, 'Hi', 'the second URL has no -o');
  t.equal(
    stderr,
    `*   Trying 10.0.0.2:8080...
* Connected to ent (10.0.0.2) port 8080 (#0)
${request('/a')}* Re-using existing connection #0 with host ent
${request('/b')}`,
  );

  t.equal(
    (await fresh.run('curl -v 10.0.0.2:81')).stderr,
    `*   Trying 10.0.0.2:81...
* connect to 10.0.0.2 port 81 failed: Connection refused
* Failed to connect to 10.0.0.2 port 81 after 1 ms: Couldn't connect to server
* Closing connection 0
curl: (7) Failed to connect to 10.0.0.2 port 81 after 1 ms: Couldn't connect to server
`,
  );
  t.equal(
    (await fresh.run('curl -v nosuch')).stderr,
    '* Could not resolve host: nosuch\n* Closing connection 0\ncurl: (6) Could not resolve host: nosuch\n',
  );
  t.notMatch(
    (await fresh.run('curl -v ent:8080', { tty: true })).stderr,
    /bytes data/,
    'a terminal shows the data itself',
  );
});

t.test('redirects are told and counted', async (t) => {
  world.zone = new PodWorld().zone;
  const { stdout, stderr } = await world.run([
    'curl',
    '-sSvL',
    '-o',
    '/tmp/got',
    '-w',
    '%{num_redirects} %{url_effective} %{num_connects} %{http_code}\n',
    'ent:9005',
  ]);
  t.equal(stdout, '1 http://ent:9004/next 2 200\n');
  t.equal(world.files.read('/tmp/got'), 'abc');
  t.match(
    stderr,
    /\* Ignoring the response-body\n\{ \[4 bytes data\]\n\* Connection #0 to host ent left intact\n\* Clear auth, redirects to port from 9005 to 9004\n\* Issue another request to this URL: 'http:\/\/ent:9004\/next'\n\* {3}Trying 10\.0\.0\.2:9004\.\.\.\n\* Connected to ent \(10\.0\.0\.2\) port 9004 \(#1\)\n/,
  );
});

t.test('-w', async (t) => {
  const format =
    '%{http_code} %{remote_ip}:%{remote_port} %{local_ip} %{size_download} %{url_effective} %{url} %{method} %{content_type}|%{size_header} %{size_request} %{http_version} %header{server} %{exitcode} 100%% \\t%{stderr}to stderr\\n';
  await check(t, {
    args: ['-s', '-o', '/dev/null', '-w', format, 'ent:8080'],
    stdout:
      '200 10.0.0.2:8080 10.0.0.1 21 http://ent:8080/ ent:8080 GET text/plain; charset=utf-8|158 72 1.1 k8sbook 0 100% \t',
    stderr: 'to stderr\n',
  });
  await check(t, {
    args: ['-s', '-w', '%{http_code} %{exitcode} %{errormsg}%{nope}\n', 'nosuch'],
    code: 6,
    stdout: '000 6 Could not resolve host: nosuch\n',
    stderr: "curl: unknown --write-out variable: 'nope'\n",
  });
  const { stdout } = await world.run([
    'curl',
    '-so',
    '/dev/null',
    '-w',
    '%{time_namelookup} %{time_connect} %{time_total}',
    'ent:8080',
  ]);
  t.equal(stdout, '0.001000 0.002000 0.003000', 'a millisecond for each round trip');
});

t.test('the request as it goes out', async (t) => {
  const seen: string[] = [];
  world.serve(9100, (socket: TcpSocket) => {
    socket.once('data', (chunk: Buffer) => {
      seen.push(chunk.toString());
      socket.end('HTTP/1.1 204 No Content\r\n\r\n');
    });
  });
  world.files.write('/tmp/body', 'from a\nfile\n');
  const agent = 'User-Agent: curl/7.88.1\r\n';
  const form = 'Content-Type: application/x-www-form-urlencoded\r\n';
  for (const [args, expected] of [
    [['ent:9100/x?y=1'], `GET /x?y=1 HTTP/1.1\r\nHost: ent:9100\r\n${agent}Accept: */*\r\n\r\n`],
    [
      ['-H', 'X-A: b', '-H', 'Host: foo', '-H', 'Accept:', '-A', 'me', 'ent:9100'],
      'GET / HTTP/1.1\r\nHost: foo\r\nUser-Agent: me\r\nX-A: b\r\n\r\n',
    ],
    [
      ['-d', 'a=b', '--data-urlencode', 'c=d e', 'ent:9100'],
      `POST / HTTP/1.1\r\nHost: ent:9100\r\n${agent}Accept: */*\r\nContent-Length: 11\r\n${form}\r\na=b&c=d%20e`,
    ],
    [
      ['-d', '@/tmp/body', '-X', 'PUT', 'ent:9100'],
      `PUT / HTTP/1.1\r\nHost: ent:9100\r\n${agent}Accept: */*\r\nContent-Length: 10\r\n${form}\r\nfrom afile`,
    ],
    [
      ['--json', '{}', 'ent:9100'],
      `POST / HTTP/1.1\r\nHost: ent:9100\r\n${agent}Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    ],
    [
      ['-u', 'a:b', '-e', 'ref', 'ent:9100'],
      `GET / HTTP/1.1\r\nHost: ent:9100\r\nAuthorization: Basic YTpi\r\n${agent}Accept: */*\r\nReferer: ref\r\n\r\n`,
    ],
  ] as const) {
    seen.length = 0;
    await world.run(['curl', ...args]);
    t.equal(seen[0], expected, args.join(' '));
  }
});

t.test('SIGINT ends a transfer', async (t) => {
  const abort = new AbortController();
  world.clock.after(500_000, () => abort.abort('SIGINT'));
  const result = await world.run(['sh', '-c', 'curl 10.0.0.2:9008; echo not reached'], { signal: abort.signal });
  t.match(result, { code: 130, stdout: '', seconds: 0.5 });
});
