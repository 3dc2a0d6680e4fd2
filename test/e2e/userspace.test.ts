// The example on userspace Pods, from the command line: no root, no tools.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { canRun } from '../support/netns.ts';
import { Podwire } from '../support/podwire.ts';
import { playDown, playExample } from './example.ts';

t.test('the example comes true on the userspace stack', async (t) => {
  const podwire = new Podwire(t);
  const capture = join(t.testdir(), 'x.pcapng');
  await podwire.up(t, '--runtime', 'userspace', '-f', 'examples/sd-example.yml', '--capture', capture);
  const second = await podwire.run('up');
  t.equal(second.code, 1);
  t.match(second.stderr, /a cluster is already running \(process \d+\); end it with `podwire down`/);
  await playExample(t, podwire);
  await playDown(t, podwire);
  await t.test('tshark finds nothing wrong in the capture', async (t) => {
    if (!canRun(t, 'tshark')) return;
    const read = (...args: string[]): string =>
      execFileSync('tshark', ['-r', capture, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const checks = ['ip.check_checksum', 'tcp.check_checksum', 'udp.check_checksum'].flatMap((o) => [
      '-o',
      `${o}:TRUE`,
    ]);
    t.equal(
      read(
        ...checks,
        '-Y',
        '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0',
      ),
      '',
    );
    t.match(read('-T', 'fields', '-e', 'frame.interface_name'), /^dev\/jump$/m);
    t.match(read('-N', 'n', '-Y', 'tcp.dstport == 8080 && tcp.flags.syn == 1'), /jump\.dev\.pod/);
  });
});

t.test('errors say what went wrong and what to do', async (t) => {
  const podwire = new Podwire(t);
  const cases: [string[], number, RegExp][] = [
    [['exec', 'dev/jump', '--', 'true'], 1, /no cluster is running; start one with `podwire up`/],
    [['up', '-f', 'no-such-file.yml'], 1, /^podwire: open no-such-file\.yml: no such file or directory$/m],
    [['up', '--nodes', '0'], 1, /expected a whole number of 1 or more/],
    [['trace', '--to', 'x:1'], 2, /expected either --pod NAMESPACE\/NAME or --from/],
    [['bench', 'nothing'], 2, /there is no such bench; expected wire, kernel/],
    [['nonsense'], 1, /unknown command 'nonsense'/],
  ];
  for (const [args, code, message] of cases) {
    const result = await podwire.run(...args);
    t.equal(result.code, code, args.join(' '));
    t.match(result.stderr, message);
    t.notMatch(result.stderr, /\n {4}at /, 'no stack');
  }
  t.same(podwire.leftovers(), []);
});
