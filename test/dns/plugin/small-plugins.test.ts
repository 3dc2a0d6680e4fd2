// health, ready, prometheus, log, loadbalance, reload: what they do besides answering questions.
import { request as httpRequest } from 'node:http';
import { duplexPair } from 'node:stream';
import t from 'tap';
import { type Dns, fakeUpstream, startDns, texts } from '../harness.ts';
import { namespace, service, slice } from '../support-objects.ts';

const OBJECTS = [
  namespace('default'),
  service('web', '10.96.0.7'),
  service('db', 'None'),
  slice('db', ['10.244.0.5', '10.244.0.6', '10.244.0.7']),
];

/** GET over a connection in memory. */
async function get(dns: Dns, port: number, path: string): Promise<{ status: number; body: string }> {
  const accept = dns.sockets.tcp.get(port);
  if (accept === undefined) throw new Error(`nobody listens at port ${port}`);
  const [near, far] = duplexPair();
  accept({ stream: far, remote: { address: '10.244.0.9', port: 50000 } });
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '10.244.0.3', path, createConnection: () => near as never }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

t.test('health says OK to the end, ready does not, and questions are answered while lame', async (t) => {
  const dns = await startDns({
    corefile: '.:53 {\n ready\n health {\n  lameduck 5s\n }\n kubernetes cluster.local\n}\n',
    objects: OBJECTS,
  });
  t.strictSame(await get(dns, 8080, '/health'), { status: 200, body: 'OK' });
  t.match(await get(dns, 8181, '/ready'), { status: 200 });
  t.match(await get(dns, 8080, '/other'), { status: 404 });
  const startUs = dns.clock.nowUs();
  const stopped = dns.stop();
  t.strictSame(await get(dns, 8080, '/health'), { status: 200, body: 'OK' });
  await t.rejects(get(dns, 8181, '/ready'), 'ready is gone first');
  t.equal((await dns.ask('web.default.svc.cluster.local.', 'A')).answer.length, 1);
  t.equal(await stopped, 0);
  t.ok(dns.clock.nowUs() - startUs >= 5e6);
  t.strictSame(dns.lines.slice(-2), [
    '[INFO] SIGTERM: Shutting down servers then terminating',
    '[INFO] plugin/health: Going into lameduck mode for 5s',
  ]);
  t.equal(dns.sockets.tcp.size, 0, 'no port is left open');
});

t.test('ready waits for the objects', async (t) => {
  const dns = await startDns({ corefile: '.:53 {\n ready\n kubernetes cluster.local\n}\n', synced: false });
  t.strictSame(await get(dns, 8181, '/ready'), { status: 503, body: 'kubernetes' });
  t.equal(dns.lines.at(-1), '[INFO] plugin/ready: Plugins not ready: "kubernetes"');
  dns.objects.synced = true;
  t.strictSame(await get(dns, 8181, '/ready'), { status: 200, body: 'OK' });
  dns.objects.synced = false;
  t.strictSame(await get(dns, 8181, '/ready'), { status: 200, body: 'OK' }, 'once ready is ready');
  await dns.stop();
});

t.test('metrics have the names, labels and counts of CoreDNS', async (t) => {
  const corefile = '.:53 {\n prometheus :9153\n cache\n kubernetes cluster.local\n}\n';
  const dns = await startDns({ corefile, objects: OBJECTS });
  for (const name of ['web', 'web', 'nope']) await dns.ask(`${name}.default.svc.cluster.local.`, 'A');
  await dns.ask('web.default.svc.cluster.local.', 'TYPE999');
  const { body } = await get(dns, 9153, '/metrics');
  const has = (line: string): void => void t.ok(body.includes(`${line}\n`), line);
  const at = 'server="dns://:53",zone=".",view=""';
  has(`coredns_dns_requests_total{${at},proto="udp",family="1",type="A"} 3`);
  has(`coredns_dns_requests_total{${at},proto="udp",family="1",type="other"} 1`);
  has(`coredns_dns_responses_total{${at},rcode="NOERROR",plugin="kubernetes"} 2`);
  has(`coredns_dns_responses_total{${at},rcode="NOERROR",plugin="cache"} 1`);
  has(`coredns_dns_responses_total{${at},rcode="NXDOMAIN",plugin="kubernetes"} 1`);
  has(`coredns_dns_request_duration_seconds_count{${at}} 4`);
  has(`coredns_dns_request_size_bytes_bucket{${at},proto="udp",le="100"} 4`);
  has('coredns_cache_hits_total{server="dns://:53",type="success",zones=".",view=""} 1');
  has('coredns_cache_entries{server="dns://:53",type="denial",zones=".",view=""} 2');
  has(`coredns_plugin_enabled{${at},name="kubernetes"} 1`);
  has('# TYPE coredns_dns_requests_total counter');
  await dns.stop();
});

t.test('each zone of a block has its own counts; what is in none is counted as dropped', async (t) => {
  const corefile = 'cluster.local 10.in-addr.arpa {\n prometheus :9153\n kubernetes\n}\n';
  const dns = await startDns({ corefile, objects: OBJECTS });
  await dns.ask('web.default.svc.cluster.local.', 'A');
  await dns.ask('7.0.96.10.in-addr.arpa.', 'PTR');
  await dns.ask('example.org.', 'A');
  const { body } = await get(dns, 9153, '/metrics');
  const rest = 'view="",proto="udp",family="1"';
  const has = (line: string): void => void t.ok(body.includes(`${line}\n`), line);
  has(`coredns_dns_requests_total{server="dns://:53",zone="cluster.local.",${rest},type="A"} 1`);
  has(`coredns_dns_requests_total{server="dns://:53",zone="10.in-addr.arpa.",${rest},type="PTR"} 1`);
  has(`coredns_dns_requests_total{server="dns://:53",zone="dropped",${rest},type="A"} 1`);
  has('coredns_dns_responses_total{server="dns://:53",zone="dropped",view="",rcode="REFUSED",plugin=""} 1');
  has('coredns_plugin_enabled{server="dns://:53",zone="10.in-addr.arpa.",view="",name="kubernetes"} 1');
  has('coredns_panics_total 0');
  t.match(body, /^coredns_build_info\{version="1\.14\.7[^"]*",revision="",goversion="node[^"]*"\} 1$/m);
  await dns.stop();
});

t.test('the time from a change of Pods to its answer is measured for headless Services', async (t) => {
  const corefile = '.:53 {\n prometheus :9153\n kubernetes cluster.local\n}\n';
  const dns = await startDns({ corefile, objects: [...OBJECTS, service('nobody', '10.96.0.9')] });
  const changed = (of: string, agoMs: number | string, ip: string): void => {
    const written = typeof agoMs === 'string' ? agoMs : new Date(dns.clock.unixMs() - agoMs).toISOString();
    const object = slice(of, [ip]);
    object.metadata.annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': written };
    dns.objects.set(object);
  };
  changed('db', 2000, '10.244.0.8');
  changed('db', 1000, '10.244.0.9');
  changed('db', 500, '10.244.0.9'); // changes nothing
  changed('web', 4000, '10.244.0.8');
  changed('db', 'wrong', '10.244.0.10');
  const { body } = await get(dns, 9153, '/metrics');
  const name = 'coredns_kubernetes_dns_programming_duration_seconds';
  const kind = 'service_kind="headless_with_selector"';
  for (const [le, count] of [
    ['0.512', 0],
    ['1.024', 1],
    ['2.048', 2],
    ['524.288', 2],
  ] as const)
    t.ok(body.includes(`${name}_bucket{${kind},le="${le}"} ${count}\n`), `${le}: ${count}`);
  t.ok(body.includes(`${name}_sum{${kind}} 3\n`));
  t.match(dns.lines.at(-1), `DnsProgrammingLatency cannot be calculated for Endpoints 'default/db-abc12'; invalid`);
  await dns.stop();
});

t.test('forward, cache, hosts and reload count as CoreDNS does', async (t) => {
  const corefile =
    '.:53 {\n prometheus :9153\n reload 2s 1s\n cache {\n  success 1\n }\n hosts /hosts h.org {\n 192.0.2.1 a.h.org\n }\n forward . 192.0.2.53\n}\n';
  let text = corefile;
  const answers = (name: string) => ({ rcode: 'NOERROR', answer: [`${name} 60 IN A 192.0.2.9`] });
  const upstream = fakeUpstream({ 'a.org. A': answers('a.org.'), 'b.org. A': answers('b.org.') });
  const dns = await startDns({ corefile: { path: 'Corefile', read: () => text }, upstream });
  await dns.ask('a.org.', 'A');
  await dns.ask('b.org.', 'A');
  text = 'nonsense {';
  await dns.clock.run(3e6);
  const { body } = await get(dns, 9153, '/metrics');
  const has = (line: string): void => void t.ok(body.includes(`${line}\n`), line);
  has('coredns_proxy_request_duration_seconds_count{proxy_name="forward",to="192.0.2.53:53",rcode="NOERROR"} 2');
  has('coredns_proxy_conn_cache_misses_total{proxy_name="forward",to="192.0.2.53:53",proto="udp"} 2');
  has('coredns_forward_max_concurrent_rejects_total 0');
  has('coredns_forward_healthcheck_broken_total 0');
  has('coredns_cache_evictions_total{server="dns://:53",type="success",zones=".",view=""} 1');
  has('coredns_hosts_entries 2');
  has('coredns_reload_failed_total 1');
  t.match(body, /^coredns_reload_version_info\{hash="sha512",value="[0-9a-f]{128}"\} 1$/m);
  await dns.stop();
});

t.test('template counts what it matched, and what made no record', async (t) => {
  const corefile =
    '.:53 {\n prometheus :9153\n template IN A t.org {\n  answer "{{ .Name }} 60 IN A 192.0.2.{{ index .Match 0 }}"\n  match "^[0-9]+"\n }\n}\n';
  const dns = await startDns({ corefile });
  for (const name of ['1.t.org.', '999.t.org.', 'x.t.org.']) await dns.ask(name, 'A');
  const { body } = await get(dns, 9153, '/metrics');
  const of = 'server="dns://:53",zone="t.org.",view="",class="IN",type="A"';
  t.match(body, `coredns_template_matches_total{${of}} 2\n`);
  const made = 'section="answer",template="{{ .Name }} 60 IN A 192.0.2.{{ index .Match 0 }}"';
  t.match(body, `coredns_template_rr_failures_total{${of},${made}} 1\n`);
  await dns.stop();
});

t.test('log writes a line a query, by name and class', async (t) => {
  const corefile =
    '.:53 {\n errors\n log cluster.local {\n  class denial error\n }\n log . "{remote} {name} {rcode} {>rflags}"\n kubernetes cluster.local\n}\n';
  const dns = await startDns({ corefile, objects: OBJECTS });
  const start = dns.lines.length;
  await dns.ask('Nope.default.svc.cluster.local.', 'A');
  await dns.ask('web.default.svc.cluster.local.', 'A');
  await dns.ask('example.net.', 'A');
  const [denial, failure, error] = dns.lines.slice(start);
  t.match(
    denial,
    /^\[INFO\] 10\.244\.0\.9:\d+ - 4711 "A IN nope\.default\.svc\.cluster\.local\. udp 48 false 512" NXDOMAIN qr,aa,rd 102 0s$/,
  );
  t.equal(dns.lines.length - start, 3);
  t.equal(failure, '[INFO] 10.244.0.9 example.net. SERVFAIL qr,rd');
  t.equal(error, '[ERROR] plugin/errors: 2 example.net. A: plugin/kubernetes: no next plugin found');
  await dns.stop();
});

t.test('loadbalance turns the order, and only the order', async (t) => {
  const dns = await startDns({
    corefile: '.:53 {\n loadbalance\n cache\n kubernetes cluster.local\n}\n',
    objects: OBJECTS,
  });
  const orders = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const { answer } = await dns.ask('db.default.svc.cluster.local.', 'A');
    const order = answer.map((record) => (record.rdata as Uint8Array)[3]).join('');
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  t.strictSame([...orders.keys()].sort(), ['567', '576', '657', '675', '756', '765']);
  t.ok(
    [...orders.values()].every((n) => n > 60),
    'none is rare',
  );
  await dns.stop();
});

t.test('reload takes a changed Corefile, keeps the old one when the new is wrong', async (t) => {
  const first = '.:53 {\n errors\n reload 2s 1s\n kubernetes cluster.local\n}\n';
  let text = first;
  const dns = await startDns({ corefile: { path: '/etc/coredns/Corefile', read: () => text }, objects: OBJECTS });
  t.match(dns.lines[1], /^\[INFO\] plugin\/reload: Running configuration SHA512 = [0-9a-f]{128}$/);
  const ttl = async (): Promise<string> =>
    texts((await dns.ask('web.default.svc.cluster.local.', 'A')).answer)[0]!.split(' ')[1]!;
  t.equal(await ttl(), '5');
  text = first.replace('kubernetes cluster.local', 'kubernetes cluster.local {\n  ttl 17\n }');
  await dns.clock.run(3e6);
  t.equal(await ttl(), '17');
  t.equal(dns.lines.at(-1), '[INFO] Reloading complete');
  text = '. {\n  nonsense\n}\n';
  await dns.clock.run(3e6);
  t.equal(await ttl(), '17');
  t.match(
    dns.lines.at(-1),
    "[ERROR] Corefile changed but reload failed: starting with listener file descriptors: /etc/coredns/Corefile:2 - Error during parsing: Unknown directive 'nonsense'",
  );
  const count = dns.lines.length;
  await dns.clock.run(9e6);
  t.equal(dns.lines.length, count, 'the same mistake is reported once');
  text = first.replace('.:53', '.:1053');
  await dns.clock.run(3e6);
  t.equal((await dns.ask('web.default.svc.cluster.local.', 'A', { port: 1053 })).answer.length, 1, 'another port');
  t.equal(await dns.sockets.send(new Uint8Array(12)), undefined, 'the old port is closed');
  await dns.stop();
});

t.test('the start reads as that of CoreDNS', async (t) => {
  const corefile = '.:53 {\n errors\n reload\n}\ncluster.local {\n errors\n}\n';
  const dns = await startDns({ corefile, upstream: fakeUpstream({}) });
  t.match(dns.lines.slice(0, 2), ['.:53', 'cluster.local.:53']);
  t.match(dns.lines[2], /^\[INFO\] plugin\/reload: Running configuration SHA512 = /);
  t.match(dns.lines[3], /^CoreDNS-1\.\d+\.\d+ \(emulated by podwire/);
  t.match(dns.lines[4], /^linux\/\w+, node v/);
  t.equal(await dns.stop(), 0);
});
