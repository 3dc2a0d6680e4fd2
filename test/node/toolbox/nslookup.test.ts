import t from 'tap';
import { a, clusterZone, PodWorld } from '../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());

const server = 'Server:\t\t10.0.0.2\nAddress:\t10.0.0.2#53\n\n';
const noRecursion = ';; Got recursion not available from 10.0.0.2\n';

t.test('what BIND 9.18 prints', async (t) => {
  const cases: readonly [string, number, string][] = [
    ['ent', 0, `${noRecursion}${server}Name:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n${noRecursion}\n`],
    [
      'headless',
      0,
      `${noRecursion}${server}Name:\theadless.dev.svc.cluster.local\nAddress: 10.0.0.2\nName:\theadless.dev.svc.cluster.local\nAddress: 10.0.0.3\n${noRecursion}\n`,
    ],
    [
      'ext',
      0,
      `${noRecursion}${server}ext.dev.svc.cluster.local\tcanonical name = ent.dev.svc.cluster.local.\nName:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n${noRecursion}\n`,
    ],
    [
      'ent.dev.svc.cluster.local.',
      0,
      `${noRecursion}${server}Name:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n${noRecursion}\n`,
    ],
    [
      'nosuch',
      1,
      `${noRecursion.repeat(3)};; Got SERVFAIL reply from 10.0.0.2\n${server}** server can't find nosuch: SERVFAIL\n\n`,
    ],
    ['nosuch.cluster.local.', 1, `${noRecursion}${server}** server can't find nosuch.cluster.local: NXDOMAIN\n\n`],
    ['-nosearch ent', 1, `;; Got SERVFAIL reply from 10.0.0.2\n${server}** server can't find ent: SERVFAIL\n\n`],
    ['10.0.0.2', 0, `${noRecursion}2.0.0.10.in-addr.arpa\tname = ent.dev.svc.cluster.local.\n\n`],
    ['10.0.0.77', 1, ";; Got SERVFAIL reply from 10.0.0.2\n** server can't find 77.0.0.10.in-addr.arpa: SERVFAIL\n\n"],
    ['-type=aaaa ent', 0, `${noRecursion}${server}*** Can't find ent: No answer\n\n`],
    [
      '-type=srv _http._tcp.headless',
      0,
      `${noRecursion}${server}_http._tcp.headless.dev.svc.cluster.local\tservice = 0 100 8080 10-0-0-2.headless.dev.svc.cluster.local.\n\n`,
    ],
    [
      '-query=TXT dns-version.cluster.local.',
      0,
      `${noRecursion}${server}dns-version.cluster.local\ttext = "1.1.0"\n\n`,
    ],
    [
      '-type=bogus ent.dev.svc.cluster.local.',
      0,
      `unknown query type: bogus\n${noRecursion}${server}Name:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n${noRecursion}\n`,
    ],
    [
      'ent kube-dns.kube-system.svc.cluster.local',
      0,
      'Server:\t\tkube-dns.kube-system.svc.cluster.local\nAddress:\t10.0.0.2#53\n\nName:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n\n',
    ],
    ['-norecurse ent', 0, `${server}Name:\tent.dev.svc.cluster.local\nAddress: 10.0.0.2\n\n`],
  ];
  for (const [args, code, stdout] of cases) {
    const result = await world.run(`nslookup ${args}`);
    t.equal(result.stdout, stdout, args);
    t.equal(result.code, code, args);
    t.equal(result.stderr, '', args);
  }
});

t.test('a name without addresses', async (t) => {
  world.zone = (name, type) => (name === 'empty.dev.svc.cluster.local' ? [] : clusterZone(name, type));
  const { stdout, code } = await world.run('nslookup empty');
  t.equal(stdout, `${noRecursion}${server}${noRecursion}*** Can't find empty.dev.svc.cluster.local: No answer\n\n`);
  t.equal(code, 0);
});

t.test('only NXDOMAIN walks the search list on', async (t) => {
  world.zone = (name) => (name === 'x.svc.cluster.local' ? 'SERVFAIL' : 'NXDOMAIN');
  world.asked.length = 0;
  const { stdout } = await world.run('nslookup x');
  t.match(stdout, /server can't find x\.svc\.cluster\.local: SERVFAIL/);
  t.same(
    world.asked.map((q) => q.name),
    ['x.dev.svc.cluster.local', 'x.svc.cluster.local'],
  );
});

t.test('nobody answers', async (t) => {
  const refused = await world.run('nslookup -port=54 ent');
  t.equal(
    refused.stdout,
    `${';; communications error to 10.0.0.2#54: connection refused\n'.repeat(3)};; no servers could be reached\n\n`,
  );
  t.equal(refused.code, 1);
  world.zone = () => 'silence';
  const silent = await world.run('nslookup -timeout=2 -retry=2 ent');
  t.equal(
    silent.stdout,
    `${';; communications error to 10.0.0.2#53: timed out\n'.repeat(2)};; no servers could be reached\n\n`,
  );
  t.equal(silent.seconds, 4);
});

t.test('a second server is asked when the first fails', async (t) => {
  world.zone = (name) => [a(name, '10.0.0.9')];
  world.files.write('/etc/resolv.conf', 'nameserver 10.0.0.99\nnameserver 10.0.0.2\n');
  const { stdout } = await world.run('nslookup -timeout=1 x.y');
  t.match(
    stdout,
    /^;; communications error to 10\.0\.0\.99#53: timed out\n;; Got recursion not available from 10\.0\.0\.2\nServer:\t\t10\.0\.0\.2\n/,
  );
});

t.test('a wrong command line', async (t) => {
  t.match(await world.run(['nslookup']), { code: 1, stderr: /^Usage:/ });
  t.match(await world.run('nslookup a b c'), { code: 1, stderr: /^Usage:/ });
  t.match(await world.run('nslookup -version'), { code: 0, stderr: /^nslookup 9/ });
  t.match(await world.run('nslookup -foo x.y'), { stdout: /^\*\*\* Invalid option: foo\n/ });
});
