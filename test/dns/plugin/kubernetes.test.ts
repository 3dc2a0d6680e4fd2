// How answers follow the objects. What the answers are is in ../cases.test.ts.
import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { FLAG_TC } from '../../../src/dns/message-writer.ts';
import { parseName } from '../../../src/dns/plugin/kubernetes/name-parts.ts';
import { fakeUpstream, startDns, texts } from '../harness.ts';
import { externalName, namespace, pod, service, slice } from '../support-objects.ts';

const PLAIN = '.:53 {\n errors\n kubernetes cluster.local in-addr.arpa\n}\n';
const WEB = 'web.default.svc.cluster.local.';
const HEADLESS = 'db.default.svc.cluster.local.';

t.test('a Service is known as soon as the API tells, and gone likewise', async (t) => {
  const dns = await startDns({ corefile: PLAIN, objects: [namespace('default')] });
  t.equal(rcodeText((await dns.ask(WEB, 'A')).rcode), 'NXDOMAIN');
  const web = service('web', '10.96.0.7');
  dns.objects.set(web);
  t.strictSame(texts((await dns.ask(WEB, 'A')).answer), [`${WEB} 5 1 10.96.0.7`]);
  t.strictSame(texts((await dns.ask('7.0.96.10.in-addr.arpa.', 'PTR')).answer), [
    `7.0.96.10.in-addr.arpa. 5 12 ${WEB}`,
  ]);
  dns.objects.set(service('web', '10.96.0.8'));
  t.strictSame(texts((await dns.ask(WEB, 'A')).answer), [`${WEB} 5 1 10.96.0.8`]);
  t.equal(rcodeText((await dns.ask('7.0.96.10.in-addr.arpa.', 'PTR')).rcode), 'NXDOMAIN', 'the old address is nobody');
  dns.objects.delete(web);
  t.equal(rcodeText((await dns.ask(WEB, 'A')).rcode), 'NXDOMAIN');
  t.equal(rcodeText((await dns.ask('8.0.96.10.in-addr.arpa.', 'PTR')).rcode), 'NXDOMAIN');
  await dns.stop();
});

t.test('a headless Service follows its slices: added, changed, moved, removed', async (t) => {
  const dns = await startDns({ corefile: PLAIN, objects: [namespace('default'), slice('db', ['10.244.0.5'])] });
  t.equal(rcodeText((await dns.ask(HEADLESS, 'A')).rcode), 'NXDOMAIN', 'slices without a Service are nothing');
  dns.objects.set(service('db', 'None'));
  t.strictSame(texts((await dns.ask(HEADLESS, 'A')).answer), [`${HEADLESS} 5 1 10.244.0.5`]);
  dns.objects.set(slice('db', ['10.244.0.6', '10.244.0.5'], 'second'));
  t.strictSame(
    texts((await dns.ask(HEADLESS, 'A')).answer),
    [`${HEADLESS} 5 1 10.244.0.5`, `${HEADLESS} 5 1 10.244.0.6`],
    'an address in two slices is shown once',
  );
  const gone = { addresses: ['10.244.0.5'], conditions: { ready: false, serving: true, terminating: true } };
  dns.objects.set(slice('db', [gone]));
  dns.objects.set(slice('db', ['10.244.0.6'], 'second'));
  t.strictSame(
    texts((await dns.ask(HEADLESS, 'A')).answer),
    [`${HEADLESS} 5 1 10.244.0.6`],
    'a deleted Pod is gone at once',
  );
  t.equal(rcodeText((await dns.ask('5.0.244.10.in-addr.arpa.', 'PTR')).rcode), 'NXDOMAIN');
  dns.objects.set({ ...slice('other', ['10.244.0.6']), metadata: slice('db', [], 'second').metadata });
  const moved = slice('db', ['10.244.0.6'], 'second');
  moved.metadata.labels = { 'kubernetes.io/service-name': 'other' };
  dns.objects.set(moved);
  t.equal(rcodeText((await dns.ask(HEADLESS, 'A')).rcode), 'NXDOMAIN', 'the slice belongs to another Service now');
  dns.objects.delete(moved);
  dns.objects.delete(slice('db', [gone]));
  t.equal(rcodeText((await dns.ask(HEADLESS, 'A')).rcode), 'NXDOMAIN');
  await dns.stop();
});

t.test('pods verified knows running Pods only', async (t) => {
  const corefile = '.:53 {\n kubernetes cluster.local {\n  pods verified\n }\n}\n';
  const dns = await startDns({ corefile, objects: [namespace('default'), namespace('other'), pod('a', '10.244.0.5')] });
  const ask = async (ns: string): Promise<string> =>
    rcodeText((await dns.ask(`10-244-0-5.${ns}.pod.cluster.local.`, 'A')).rcode);
  t.equal(await ask('default'), 'NOERROR');
  t.equal(await ask('other'), 'NXDOMAIN');
  dns.objects.set({
    ...pod('a', '10.244.0.5'),
    metadata: { name: 'a', namespace: 'default', deletionTimestamp: '2026-01-01T00:00:00Z' },
  });
  t.equal(await ask('default'), 'NXDOMAIN', 'a Pod that is being deleted has no name');
  dns.objects.set(pod('b', '10.244.0.5'));
  t.equal(await ask('default'), 'NOERROR', 'the address is used again');
  dns.objects.delete(pod('a', '10.244.0.5'));
  t.equal(await ask('default'), 'NOERROR', 'and the last of the old Pod does not matter');
  dns.objects.delete(pod('b', ''));
  t.equal(await ask('default'), 'NXDOMAIN');
  await dns.stop();
});

t.test(
  'until the objects are known: SERVFAIL, /ready says why, and the start is delayed by five seconds',
  async (t) => {
    const corefile = '.:53 {\n errors\n ready\n kubernetes cluster.local\n}\n';
    const dns = await startDns({ corefile, synced: false });
    t.equal(dns.clock.nowUs(), 5e6);
    const waits = dns.lines.filter(
      (line) => line === '[INFO] plugin/kubernetes: waiting for Kubernetes API before starting server',
    );
    t.equal(waits.length, 9);
    t.ok(dns.lines.includes('[WARNING] plugin/kubernetes: starting server with unsynced Kubernetes API'));
    const reply = await dns.ask(WEB, 'A');
    t.equal(rcodeText(reply.rcode), 'SERVFAIL');
    t.equal(reply.authority.length, 1, 'with the SOA, as CoreDNS has it');
    dns.objects.synced = true;
    t.equal(rcodeText((await dns.ask(WEB, 'A')).rcode), 'NXDOMAIN');
    await dns.stop();
  },
);

t.test('the SOA serial is the time of the last change', async (t) => {
  const dns = await startDns({
    corefile: PLAIN,
    objects: [namespace('default'), service('web', '10.96.0.7'), slice('web', ['10.244.0.5'])],
  });
  const serial = async (): Promise<number> =>
    Number(texts((await dns.ask('cluster.local.', 'SOA')).answer)[0]!.split(' ')[5]);
  const start = Date.UTC(2026, 0, 1) / 1000;
  t.equal(await serial(), start);
  await dns.clock.run(7e6);
  dns.objects.set(slice('web', ['10.244.0.5']));
  t.equal(await serial(), start, 'a slice that says the same is no change');
  dns.objects.set(slice('web', ['10.244.0.6']));
  t.equal(await serial(), start + 7);
  await dns.stop();
});

t.test('ExternalName: chains in the zone, loops, and targets elsewhere', async (t) => {
  const objects = [
    namespace('default'),
    service('web', '10.96.0.7'),
    externalName('one', 'two.default.svc.cluster.local'),
    externalName('two', 'web.default.svc.cluster.local'),
    externalName('self', 'self.default.svc.cluster.local'),
    externalName('ping', 'pong.default.svc.cluster.local'),
    externalName('pong', 'ping.default.svc.cluster.local'),
    externalName('out', 'Example.Net'),
    externalName('gone', 'gone.test'),
    externalName('address', '192.0.2.1'),
  ];
  const upstream = fakeUpstream({
    'example.net. A': { rcode: 'NOERROR', answer: ['example.net. 3600 IN A 192.0.2.9'] },
  });
  const corefile = '.:53 {\n errors\n kubernetes cluster.local\n forward . 192.0.2.53\n}\n';
  const dns = await startDns({ corefile, objects, upstream });
  const ask = async (name: string, type = 'A') => {
    const reply = await dns.ask(`${name}.default.svc.cluster.local.`, type);
    return [
      rcodeText(reply.rcode),
      ...reply.answer.map((r) => texts([r])[0]!.replaceAll('.default.svc.cluster.local.', '')),
    ];
  };
  t.strictSame(await ask('one'), ['NOERROR', 'one 5 5 two', 'two 5 5 web', 'web 5 1 10.96.0.7']);
  t.strictSame(await ask('one', 'AAAA'), ['NOERROR'], 'no AAAA at the end: no CNAMEs either');
  t.strictSame(await ask('one', 'CNAME'), ['NOERROR', 'one 5 5 two']);
  t.strictSame(await ask('self'), ['NOERROR']);
  t.strictSame(await ask('ping'), ['NOERROR']);
  t.strictSame(await ask('out'), ['NOERROR', 'out 5 5 Example.Net.', 'example.net. 3600 1 192.0.2.9']);
  t.strictSame(await ask('gone'), ['NOERROR', 'gone 5 5 gone.test.'], 'the CNAME is shown whatever the target has');
  t.strictSame(await ask('address'), ['NXDOMAIN'], 'an address is no name');
  t.strictSame(await ask('out', 'SRV'), ['NOERROR']);
  await dns.stop();
  const alone = await startDns({ corefile: PLAIN, objects });
  const reply = await alone.ask('out.default.svc.cluster.local.', 'A');
  t.strictSame(
    texts(reply.answer),
    ['out.default.svc.cluster.local. 5 5 Example.Net.'],
    'nobody to ask about the target',
  );
  await alone.stop();
});

t.test('the name servers are the Services in front of this server', async (t) => {
  const objects = [
    namespace('kube-system'),
    service('kube-dns', '10.96.0.10', undefined, 'kube-system'),
    slice('kube-dns', ['10.244.0.3'], 'x', 'kube-system'),
  ];
  const dns = await startDns({ corefile: PLAIN, objects });
  const reply = await dns.ask('cluster.local.', 'NS');
  t.strictSame(texts(reply.answer), ['cluster.local. 5 2 kube-dns.kube-system.svc.cluster.local.']);
  t.strictSame(texts(reply.additional), ['kube-dns.kube-system.svc.cluster.local. 5 1 10.96.0.10']);
  t.strictSame(texts((await dns.ask('ns.dns.cluster.local.', 'A')).answer), ['ns.dns.cluster.local. 5 1 10.96.0.10']);
  await dns.stop();
});

t.test('a large headless Service is cut to what the client takes, whole over EDNS', async (t) => {
  const addresses = Array.from({ length: 90 }, (_, i) => `10.244.1.${i + 1}`);
  const dns = await startDns({
    corefile: PLAIN,
    objects: [namespace('default'), service('db', 'None'), slice('db', addresses)],
  });
  const small = await dns.ask(HEADLESS, 'A');
  t.ok((small.flags & FLAG_TC) !== 0);
  t.equal(small.answer.length, (512 - 12 - 34) >> 4);
  const edns = {
    udpSize: 4096,
    version: 0,
    dnssecOk: true,
    options: [
      { code: 10, data: new Uint8Array(8) },
      { code: 8, data: new Uint8Array(4) },
    ],
  };
  const large = await dns.ask(HEADLESS, 'A', { edns });
  t.equal(large.flags & FLAG_TC, 0);
  t.equal(large.answer.length, 90);
  t.strictSame(
    large.edns,
    { ...edns, options: [edns.options[0]] },
    'size, DO and cookie come back, client subnet does not',
  );
  await dns.stop();
});

t.test('fallthrough passes only missing names of its zones on', async (t) => {
  const corefile =
    '.:53 {\n errors\n kubernetes cluster.local in-addr.arpa {\n  fallthrough in-addr.arpa\n }\n forward . 192.0.2.53\n}\n';
  let asked = 0;
  const upstream = fakeUpstream({});
  const dns = await startDns({
    ...{ corefile, objects: [namespace('default'), service('web', '10.96.0.7')] },
    upstream: (bytes, to) => {
      asked++;
      return upstream(bytes, to);
    },
  });
  await dns.ask('7.0.96.10.in-addr.arpa.', 'PTR');
  await dns.ask('nope.default.svc.cluster.local.', 'A');
  t.equal(asked, 0);
  await dns.ask('9.9.9.9.in-addr.arpa.', 'PTR');
  t.equal(asked, 1);
  await dns.stop();
});

t.test('names and what they ask for', async (t) => {
  t.equal(parseName(''), 'none');
  t.equal(parseName('svc'), 'none');
  t.equal(parseName('a.b.c'), undefined);
  t.equal(parseName('a.b.c.d.e.svc'), undefined);
  t.match(parseName('ns.svc'), { kind: 'svc', namespace: 'ns', service: '' });
  t.match(parseName('s.ns.svc'), { key: 's.ns', endpoint: '', port: '' });
  t.match(parseName('e.s.ns.svc'), { key: 's.ns', endpoint: 'e' });
  t.match(parseName('_http._tcp.s.ns.svc'), { key: 's.ns', endpoint: '', port: 'http', protocol: 'tcp' });
  t.match(parseName('http.tcp.s.ns.svc'), { port: 'http', protocol: 'tcp' });
  t.match(parseName('1-2-3-4.ns.pod'), { kind: 'pod', namespace: 'ns', service: '1-2-3-4' });
});
