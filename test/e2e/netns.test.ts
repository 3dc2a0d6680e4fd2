// The example on netns Pods with the real curl, dig, ping, traceroute and nslookup in them.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { canUseNetns, sh } from '../support/netns.ts';
import { eventually, Podwire } from '../support/podwire.ts';
import { playDown, playExample, status } from './example.ts';

const TOOLS = ['curl', 'dig', 'nslookup', 'ping', 'traceroute', 'wget', 'tshark', 'busybox'];

t.test('the example comes true in network namespaces', async (t) => {
  if (!canUseNetns(t, ...TOOLS)) return;
  const podwire = new Podwire(t);
  const capture = join(t.testdir(), 'x.pcapng');
  await podwire.up(t, '--runtime', 'netns', '-f', 'examples/sd-example.yml', '--capture', capture);
  const jump = `${podwire.netnsPrefix}dev_jump`;

  t.match(
    sh(`ip -n ${jump} route`),
    /^default via 10\.244\.0\.1 dev eth0 \n10\.244\.0\.1 dev eth0 scope link \n$/,
    'the default route, and how to reach it',
  );
  t.match(sh(`ip -n ${jump} -br addr show eth0`), /10\.244\.0\.\d+\/32/);
  t.match(
    sh(`ip netns exec ${jump} curl -sS --max-time 60 ent:8080`),
    'Hello form the DEV Namespace!',
    'ip netns exec finds the names, too',
  );
  await playExample(t, podwire);

  const wget = await podwire.exec('dev/jump', 'sh', '-c', 'cd /root && busybox wget ent:8080 && cat index.html');
  t.match(wget.stdout, 'Hello form the DEV Namespace!');
  t.match(wget.stderr, /saving to 'index\.html'/);
  t.notOk(existsSync('/root/index.html'), 'what a Pod writes stays in the Pod');
  t.match((await podwire.exec('dev/jump', 'ps', 'ax')).stdout, /^\s*1 /m, 'a PID namespace of its own');
  const absent = await podwire.exec('dev/jump', 'no-such-program');
  t.same([absent.code, absent.stderr], [127, 'exec: "no-such-program": executable file not found in $PATH\n']);

  const big = await podwire.exec('dev/jump', 'ping', '-c', '1', '-s', '4000', '10.244.0.1');
  t.match(big.stdout, '1 received', 'fragments are reassembled');

  await playDown(t, podwire);
  const checks = ['ip.check_checksum', 'tcp.check_checksum', 'udp.check_checksum'].flatMap((o) => ['-o', `${o}:TRUE`]);
  const bad = [
    '-Y',
    '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0',
  ];
  const found = execFileSync('tshark', ['-r', capture, ...checks, ...bad], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.equal(found, '', 'tshark finds no malformed frame and no bad checksum');
});

t.test('after kill -9 nothing runs on, and the next cluster removes the rest', async (t) => {
  if (!canUseNetns(t)) return;
  const podwire = new Podwire(t);
  const first = await podwire.up(t, '--runtime', 'netns', '-f', 'examples/tiny-web.yml');
  const tapsBefore = readdirSync('/run/netns').filter((n) => n.startsWith(podwire.netnsPrefix));
  t.ok(tapsBefore.length >= 2, `${tapsBefore.length} namespaces`);
  first.kill('SIGKILL');
  await eventually(
    'every process of every Pod is gone',
    () => !podwire.leftovers().some((l) => l.startsWith('process')),
  );
  await podwire.up(t, '--runtime', 'netns', '-f', 'examples/tiny-web.yml');
  t.match((await podwire.exec('test-pod', 'wget', '-qO-', 'tiny-web')).stdout, '<h1>It works</h1>');
  await playDown(t, podwire);
});

t.test('a crashed container comes back, and so does a deleted Pod of a Deployment', async (t) => {
  if (!canUseNetns(t)) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'netns', '-f', 'examples/tiny-web.yml');
  await podwire.exec('tiny-web', 'sh', '-c', 'kill -9 $(pgrep -f "web --port")');
  await eventually(
    'tiny-web answers again',
    async () => (await podwire.exec('test-pod', 'wget', '-qO-', 'tiny-web')).code === 0,
  );
  const { pods } = await status(podwire);
  const web = pods.find((p) => p.metadata.name === 'tiny-web') as unknown as {
    status: { containerStatuses: { restartCount: number }[] };
  };
  t.equal(web.status.containerStatuses[0]!.restartCount, 1);
  await playDown(t, podwire);
});
