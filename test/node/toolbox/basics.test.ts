import { PassThrough } from 'node:stream';
import t from 'tap';
import { PodWorld } from '../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());
world.files.write('/data/one', 'b 1\na 2\nb 1\n');
world.files.write('/data/two', 'no newline');

t.test('as coreutils print it', async (t) => {
  const cases: readonly [string | readonly string[], string, string?, number?][] = [
    ['cat /etc/hostname', 'jump\n'],
    [
      'cat /etc/hostname /nosuch /etc',
      'jump\n',
      'cat: /nosuch: No such file or directory\ncat: /etc: Is a directory\n',
      1,
    ],
    ['echo a  b', 'a  b\n'],
    ['echo -n a', 'a'],
    [['echo', '-e', 'a\\tb\\x41\\0102\\\\'], 'a\tbAB\\\n'],
    [['echo', '-ne', 'a\\c never'], 'a'],
    [['echo', 'a\\tb'], 'a\\tb\n'],
    ['echo -x', '-x\n'],
    ['hostname', 'jump\n'],
    ['hostname -i', '10.0.0.1\n'],
    ['hostname -I', '10.0.0.1 \n'],
    ['hostname -d', ''],
    ['env A=b', 'HOME=/root\nHOSTNAME=jump\nA=b\n'],
    ['env nosuch', '', "env: 'nosuch': No such file or directory\n", 127],
    ['printenv HOME', '/root\n'],
    ['printenv NOPE', '', '', 1],
    ['pwd', '/\n'],
    ['whoami', 'root\n'],
    ['true', ''],
    ['false', '', '', 1],
    ['sleep', '', "sleep: missing operand\nTry 'sleep --help' for more information.\n", 1],
    ['sleep x', '', "sleep: invalid time interval 'x'\nTry 'sleep --help' for more information.\n", 1],
    ['ls /data', 'one\ntwo\n'],
    ['ls /data/one', '/data/one\n'],
    ['ls /nosuch', '', "ls: cannot access '/nosuch': No such file or directory\n", 2],
    ['ls -d /data', '/data\n'],
    ['rm /data/nosuch', '', "rm: cannot remove '/data/nosuch': No such file or directory\n", 1],
    ['rm -f /data/nosuch', ''],
    ['rm /data', '', "rm: cannot remove '/data': Is a directory\n", 1],
    ['seq 2', '1\n2\n'],
    ['seq 3 -1 1', '3\n2\n1\n'],
    ['seq x', '', "seq: invalid floating point argument: 'x'\nTry 'seq --help' for more information.\n", 1],
    ['head -n 1 /data/one', 'b 1\n'],
    ['head -c 3 /data/two', 'no '],
    ['tail -1 /data/one', 'b 1\n'],
    ['tail -n +2 /data/one', 'a 2\nb 1\n'],
    ['sort /data/one', 'a 2\nb 1\nb 1\n'],
    ['sort -ru /data/one', 'b 1\na 2\n'],
    ['uniq -c /data/one', '      1 b 1\n      1 a 2\n      1 b 1\n'],
    ['wc /data/one', ' 3  6 12 /data/one\n'],
    ['wc -l /data/one', '3 /data/one\n'],
    ['grep a /data/one', 'a 2\n'],
    ['grep -c b /data/one /data/two', '/data/one:2\n/data/two:0\n'],
    ['grep -v b /data/one', 'a 2\n'],
    ['grep -in A /data/one', '2:a 2\n'],
    ['grep -o [0-9] /data/one', '1\n2\n1\n'],
    ['grep -E (a|c).2 /data/one', 'a 2\n'],
    ['grep x /data/one', '', '', 1],
    ['grep x /nosuch', '', 'grep: /nosuch: No such file or directory\n', 2],
    ['busybox cat /etc/hostname', 'jump\n'],
    ['busybox nosuch', '', 'nosuch: applet not found\n', 127],
    ['date', 'Thu Jan  1 00:00:00 UTC 2026\n'],
    [['date', '+%F %T'], '2026-01-01 00:00:00\n'],
    ['date +%s', '1767225600\n'],
  ];
  for (const [command, stdout, stderr = '', code = 0] of cases) {
    const name = typeof command === 'string' ? command : command.join(' ');
    const result = await world.run(command);
    t.equal(result.stdout, stdout, `${name}: stdout`);
    t.equal(result.stderr, stderr, `${name}: stderr`);
    t.equal(result.code, code, `${name}: exit code`);
  }
});

t.test('filters read stdin', async (t) => {
  const stdin = 'b\na\nb\n';
  for (const [command, stdout] of [
    ['cat', stdin],
    ['cat -', stdin],
    ['sort', 'a\nb\nb\n'],
    ['wc', '      3       3       6\n'],
    ['wc -l', '3\n'],
    ['grep -c b', '2\n'],
    ['head -1', 'b\n'],
    ['tee /tmp/copy', stdin],
  ] as const)
    t.equal((await world.run(command, { stdin })).stdout, stdout, command);
  t.equal(world.files.read('/tmp/copy'), stdin);
});

t.test('sleep is on the Pod’s clock, and a signal ends it', async (t) => {
  t.match(await world.run('sleep 1.5 0.5s'), { code: 0, seconds: 2 });
  t.match(await world.run('sleep 1m'), { seconds: 60 });
  const abort = new AbortController();
  world.clock.after(3_000_000, () => abort.abort('SIGTERM'));
  t.match(await world.run('sleep infinity', { signal: abort.signal }), { code: 143, seconds: 3 });
});

t.test('a reader of stdin ends with its signal', async (t) => {
  const abort = new AbortController();
  world.clock.after(1_000_000, () => abort.abort('SIGINT'));
  t.match(await world.run('cat', { stdin: new PassThrough(), signal: abort.signal }), { seconds: 1 });
});
