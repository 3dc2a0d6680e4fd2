import t from 'tap';
import { a, PodWorld } from '../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());

/** The output without what differs between two runs: ids and the cookie. */
function steady(text: string): string {
  return text.replace(/id: \d+/g, 'id: N').replace(/COOKIE: \w+/g, 'COOKIE: C');
}

async function dig(args: string): Promise<string> {
  const { stdout, stderr, code } = await world.run(`dig ${args}`.trim());
  t.equal(stderr, '', `${args}: nothing on stderr`);
  t.equal(code, 0, `${args}: exit code`);
  return steady(stdout);
}

await world.run('ping -c 1 10.0.0.2'); // so that no first question waits for ARP

t.test('the whole report of an answer', async (t) => {
  t.equal(
    await dig('ent.dev.svc.cluster.local'),
    `
; <<>> DiG 9.18.49 (podwire) <<>> ent.dev.svc.cluster.local
;; global options: +cmd
;; Got answer:
;; WARNING: .local is reserved for Multicast DNS
;; You are currently testing what happens when an mDNS query is leaked to DNS
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: N
;; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1
;; WARNING: recursion requested but not available

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags:; udp: 1232
; COOKIE: C (echoed)
;; QUESTION SECTION:
;ent.dev.svc.cluster.local.	IN	A

;; ANSWER SECTION:
ent.dev.svc.cluster.local. 30	IN	A	10.0.0.2

;; Query time: 1 msec
;; SERVER: 10.0.0.2#53(10.0.0.2) (UDP)
;; WHEN: Thu Jan 01 00:00:00 UTC 2026
;; MSG SIZE  rcvd: 107

`,
  );
});

t.test('NXDOMAIN shows the authority; +noedns sends no EDNS', async (t) => {
  t.equal(
    await dig('+noedns nosuch.cluster.local'),
    `
; <<>> DiG 9.18.49 (podwire) <<>> +noedns nosuch.cluster.local
;; global options: +cmd
;; Got answer:
;; WARNING: .local is reserved for Multicast DNS
;; You are currently testing what happens when an mDNS query is leaked to DNS
;; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: N
;; flags: qr aa rd; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 0
;; WARNING: recursion requested but not available

;; QUESTION SECTION:
;nosuch.cluster.local.		IN	A

;; AUTHORITY SECTION:
cluster.local.		30	IN	SOA	ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 30

;; Query time: 1 msec
;; SERVER: 10.0.0.2#53(10.0.0.2) (UDP)
;; WHEN: Thu Jan 01 00:00:00 UTC 2026
;; MSG SIZE  rcvd: 131

`,
  );
});

t.test('columns are tabs as far as they reach, then blanks', async (t) => {
  // As BIND 9.18 lays out names of these lengths.
  const zone = world.zone;
  t.teardown(() => {
    world.zone = zone;
  });
  world.zone = (name) => [a(name, '10.0.0.9')];
  for (const [name, line] of [
    ['a.b', 'a.b.\t\t\t30\tIN\tA\t10.0.0.9'],
    ['cluster.localdomain.abc', 'cluster.localdomain.abc. 30\tIN\tA\t10.0.0.9'],
    ['headless.dev.svc.cluster.local', 'headless.dev.svc.cluster.local.\t30 IN\tA\t10.0.0.9'],
    ['kubernetes.default.svc.cluster.local', 'kubernetes.default.svc.cluster.local. 30 IN A\t10.0.0.9'],
    [
      'a-very-long-name.kube-system.svc.cluster.local',
      'a-very-long-name.kube-system.svc.cluster.local.\t30 IN A\t10.0.0.9',
    ],
  ] as const)
    t.equal(await dig(`+noall +answer ${name}`), `${line}\n`);
});

t.test('what is shown is chosen by keywords, which may be shortened', async (t) => {
  const name = 'ent.dev.svc.cluster.local';
  for (const [args, shown] of [
    [`+short ${name}`, '10.0.0.2\n'],
    [`+short +identify ${name}`, '10.0.0.2 from server 10.0.0.2 in 1 ms.\n'],
    ['+short SRV _http._tcp.headless.dev.svc.cluster.local', '0 100 8080 10-0-0-2.headless.dev.svc.cluster.local.\n'],
    ['+short dns-version.cluster.local TXT', '"1.1.0"\n'],
    ['+short -x 10.0.0.2', 'ent.dev.svc.cluster.local.\n'],
    ['+short ext.dev.svc.cluster.local', 'ent.dev.svc.cluster.local.\n10.0.0.2\n'],
    ['+short +search ent', '10.0.0.2\n'],
    ['+short +domain=dev.svc.cluster.local ent', '10.0.0.2\n'],
    ['+short nosuch.cluster.local', ''],
    [`+noall ${name}`, ''],
    [`+noall +ans ${name}`, `${name}. 30\tIN\tA\t10.0.0.2\n`],
    [`+noall +answer +nottlid ${name}`, `${name}. IN\tA\t10.0.0.2\n`],
    [`+noall +answer +noclass ${name}`, `${name}. 30\tA\t10.0.0.2\n`],
    [`+nostats +nocomments +nocmd ${name}`, `;${name}.\tIN\tA\n${name}. 30\tIN\tA\t10.0.0.2\n`],
    [
      `+noall +answer ${name} kubernetes.cluster.local -x 10.0.0.2`,
      `${name}. 30\tIN\tA\t10.0.0.2\n2.0.0.10.in-addr.arpa.\t30\tIN\tPTR\t${name}.\n`,
    ],
  ] as const)
    t.equal(await dig(args), shown, args);
});

t.test('options after a name are that lookup’s, a type before it is everyone’s', async (t) => {
  world.asked.length = 0;
  await dig('TXT dns-version.cluster.local ent.dev.svc.cluster.local A +tcp ext.dev.svc.cluster.local');
  t.match(
    world.asked.map(({ name, type, transport }) => `${name} ${type} ${transport}`),
    ['dns-version.cluster.local TXT udp', 'ent.dev.svc.cluster.local A tcp', 'ext.dev.svc.cluster.local TXT udp'],
  );
});

t.test('without a name the root’s servers are asked for, ANY over TCP', async (t) => {
  world.asked.length = 0;
  t.match(await dig(''), /^;\.\t\t\t\tIN\tNS$/m);
  t.match(await dig('cluster.local ANY'), /\(TCP\)/);
  t.match(world.asked, [
    { name: '.', type: 'NS', transport: 'udp' },
    { name: 'cluster.local', type: 'ANY', transport: 'tcp' },
  ]);
});

t.test('flags go out as told', async (t) => {
  t.match(await dig('+norec ent.dev.svc.cluster.local'), /^;; flags: qr aa; QUERY/m);
  t.match(await dig('+dnssec ent.dev.svc.cluster.local'), /^; EDNS: version: 0, flags: do; udp: 1232$/m);
  t.match(await dig('+bufsize=512 +nocookie ent.dev.svc.cluster.local'), /udp: 512\n;; QUESTION/);
});

t.test('a cut answer is fetched over TCP, with +ignore shown as it is', async (t) => {
  world.truncates = true;
  t.teardown(() => {
    world.truncates = false;
  });
  const whole = await dig('ent.dev.svc.cluster.local');
  t.match(whole, /^;; Truncated, retrying in TCP mode\.\n\n; <<>> DiG/);
  t.match(whole, /ANSWER: 1, .*\(TCP\)/s);
  t.match(await dig('+ignore ent.dev.svc.cluster.local'), /flags: qr aa tc rd; QUERY: 1, ANSWER: 0/);
});

t.test('nobody answers: each try is told, then the command line, exit code 9', async (t) => {
  const { stdout, code, seconds } = await world.run('dig @10.0.0.2 -p 54 ent +time=1 +tries=2');
  const refused = ';; communications error to 10.0.0.2#54: connection refused\n';
  const heading =
    '\n; <<>> DiG 9.18.49 (podwire) <<>> @10.0.0.2 -p 54 ent +time=1 +tries=2\n; (1 server found)\n;; global options: +cmd\n';
  t.equal(stdout, `${refused}${refused}${heading};; no servers could be reached\n`);
  t.equal(code, 9);
  t.ok(seconds < 0.1, 'a refusal is not waited for');

  world.zone = () => 'silence';
  const silent = await world.run('dig ent +nocmd');
  t.equal(
    silent.stdout,
    `${';; communications error to 10.0.0.2#53: timed out\n'.repeat(3)};; no servers could be reached\n`,
  );
  t.equal(silent.seconds, 15);

  const tcp = await world.run('dig ent +tcp -p 54 +tries=1');
  t.equal(
    tcp.stdout,
    ';; Connection to 10.0.0.2#54(10.0.0.2) for ent failed: connection refused.\n;; no servers could be reached\n',
  );
  t.equal(tcp.code, 9);
});

t.test('a wrong command line', async (t) => {
  for (const [args, code, stdout, stderr] of [
    ['-Z a', 1, /^$/, /^Invalid option: -Z\nUsage:/],
    ['+nope a', 1, /^$/, /^Invalid option: \+nope\nUsage:/],
    ['-x', 1, /^$/, /^Invalid option: -x\nUsage:/],
    ['+tries a', 1, /^$/, /^Invalid option: \+tries\nUsage:/],
    ['+time=x a', 10, /^invalid timeout 'x': not a valid number\n$/, /^dig: Couldn't parse timeout\n$/],
    ['-p x a', 1, /^invalid port number 'x': not a valid number\n$/, /^dig: Couldn't parse port number\n$/],
    ['-v', 0, /^$/, /^DiG 9\.18\.49 \(podwire\)\n$/],
  ] as const) {
    const result = await world.run(`dig ${args}`);
    t.equal(result.code, code, args);
    t.match(result.stdout, stdout, args);
    t.match(result.stderr, stderr, args);
  }
  const unknown = await world.run('dig @nosuch.cluster.local. a');
  t.equal(
    unknown.stderr,
    "dig: couldn't get address for 'nosuch.cluster.local.': failure\n",
    'nobody answers: see above',
  );
  t.equal(unknown.code, 1);
});
