// The plugins hosts and rewrite; errors consolidated; what the cache gives beyond its time.
import t from 'tap';
import { fakeUpstream, startDns, texts } from '../harness.ts';
import { namespace, service } from '../support-objects.ts';

t.test('hosts: file, lines, reverse, another family, fallthrough, a changed file', async (t) => {
  let file = '192.0.2.1 a.example.org A2.example.org # comment\n::1 a.example.org\nbogus x\n';
  const corefile = `.:53 {
  hosts /hosts example.org in-addr.arpa {
    192.0.2.9 inline.example.org
    ttl 60
    reload 1s
    fallthrough through.example.org
  }
  kubernetes cluster.local through.example.org
}
`;
  const dns = await startDns({ corefile, readFile: (path) => (path === '/hosts' ? file : undefined) });
  const answer = async (name: string, type: string): Promise<string[]> => texts((await dns.ask(name, type)).answer);
  t.strictSame(await answer('a.example.org.', 'A'), ['a.example.org. 60 1 192.0.2.1']);
  t.strictSame(await answer('a2.example.org.', 'A'), ['a2.example.org. 60 1 192.0.2.1']);
  t.strictSame(await answer('a.example.org.', 'AAAA'), ['a.example.org. 60 28 ::1']);
  t.strictSame(await answer('inline.example.org.', 'A'), ['inline.example.org. 60 1 192.0.2.9']);
  t.strictSame(await answer('9.2.0.192.in-addr.arpa.', 'PTR'), ['9.2.0.192.in-addr.arpa. 60 12 inline.example.org.']);
  t.match(await dns.ask('inline.example.org.', 'AAAA'), { rcode: 0, answer: [] });
  t.equal((await dns.ask('none.example.org.', 'A')).rcode, 2, 'no SOA, so no NXDOMAIN');
  t.equal((await dns.ask('x.through.example.org.', 'A')).rcode, 3);
  file = '192.0.2.5 a.example.org\n';
  await dns.clock.run(1.1e6);
  t.strictSame(await answer('a.example.org.', 'A'), ['a.example.org. 60 1 192.0.2.5']);
  await dns.stop();
});

t.test('rewrite: kinds of match, stop and continue, names in the reply', async (t) => {
  const objects = [namespace('default'), service('web', '10.96.0.7')];
  const target = 'web.default.svc.cluster.local';
  const ask = async (rules: string, name: string): Promise<{ rcode: number; answer: string[] }> => {
    const dns = await startDns({ corefile: `.:53 {\n ${rules}\n kubernetes cluster.local\n}\n`, objects });
    const { rcode, answer } = await dns.ask(name, 'A');
    await dns.stop();
    return { rcode, answer: texts(answer) };
  };
  const found = (name: string): { rcode: number; answer: string[] } => ({
    rcode: 0,
    answer: [`${name} 5 1 10.96.0.7`],
  });
  t.strictSame(await ask(`rewrite name Foo.example.org ${target}`, 'foo.EXAMPLE.org.'), found('foo.EXAMPLE.org.'));
  t.strictSame(
    await ask(`rewrite name suffix .example.org .svc.cluster.local`, 'web.default.example.org.'),
    found(`${target}.`),
  );
  t.strictSame(
    await ask(`rewrite name suffix .example.org .svc.cluster.local answer auto`, 'web.default.example.org.'),
    found('web.default.example.org.'),
  );
  t.strictSame(await ask('rewrite name prefix old- web.', `old-default.svc.cluster.local.`), found(`${target}.`));
  t.strictSame(await ask('rewrite name substring wib web', `wib.default.svc.cluster.local.`), found(`${target}.`));
  t.strictSame(
    await ask(
      'rewrite {\n name regex (.*)-(.*)\\.org {2}.{1}.svc.cluster.local\n answer name (.*)\\.(.*)\\.svc\\.cluster\\.local {2}-{1}.org\n }',
      'default-web.org.',
    ),
    found('default-web.org.'),
  );
  const two = (word: string): string => `rewrite ${word} name one.org two.org\n rewrite name two.org ${target}`;
  t.equal((await ask(two('stop'), 'one.org.')).rcode, 2);
  t.strictSame(await ask(two('continue'), 'one.org.'), found('one.org.'));
  await t.rejects(startDns({ corefile: '.:53 {\n rewrite edns0 x\n}\n' }), /field 'edns0' is not supported/);
});

t.test('errors of a kind are counted and told of once', async (t) => {
  const corefile =
    '.:53 {\n errors {\n consolidate 30s "no .* plugin found$" warning\n }\n kubernetes cluster.local\n}\n';
  const dns = await startDns({ corefile });
  for (let i = 0; i < 3; i++) await dns.ask('example.org.', 'A');
  const told = (): string[] => dns.lines.filter((line) => line.includes('plugin/errors'));
  t.strictSame(told(), []);
  await dns.clock.run(31e6);
  t.strictSame(told(), ["[WARNING] plugin/errors: 3 errors like 'no .* plugin found$' occurred in last 30s"]);
  await dns.stop();
});

t.test('serve_stale gives what has run out, with TTL 0, and asks anew', async (t) => {
  for (const mode of ['immediate', 'verify']) {
    let up = true;
    const answer = fakeUpstream({ 'example.org. A': { rcode: 'NOERROR', answer: ['example.org. 10 IN A 192.0.2.1'] } });
    const corefile = `.:53 {\n cache 30 {\n serve_stale 1m ${mode}\n }\n forward . 192.0.2.53 {\n max_fails 0\n }\n}\n`;
    const dns = await startDns({ corefile, upstream: (query, to) => (up ? answer(query, to) : new Error('down')) });
    const ttl = async (): Promise<number | undefined> => (await dns.ask('example.org.', 'A')).answer[0]?.ttl;
    t.equal(await ttl(), 10);
    await dns.clock.run(11e6);
    up = false;
    t.equal(await ttl(), 0, `${mode}: stale`);
    up = true;
    if (mode === 'immediate') {
      await ttl();
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.equal(await ttl(), 10, `${mode}: fresh again`);
    up = false;
    await dns.clock.run(75e6);
    t.equal((await dns.ask('example.org.', 'A')).rcode, 2, `${mode}: too old`);
    await dns.stop();
  }
});

t.test('prefetch asks anew for what is in demand before it runs out', async (t) => {
  let asked = 0;
  const answer = fakeUpstream({ 'example.org. A': { rcode: 'NOERROR', answer: ['example.org. 10 IN A 192.0.2.1'] } });
  const corefile = '.:53 {\n cache 30 {\n prefetch 2 1m 20%\n }\n forward . 192.0.2.53\n}\n';
  const dns = await startDns({
    corefile,
    upstream(query, to) {
      asked++;
      return answer(query, to);
    },
  });
  const ttl = async (): Promise<number> => (await dns.ask('example.org.', 'A')).answer[0]!.ttl;
  t.equal(await ttl(), 10);
  t.equal(await ttl(), 10);
  t.equal(asked, 1);
  await dns.clock.run(8.5e6);
  t.equal(await ttl(), 2);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(asked, 2);
  t.equal(await ttl(), 10, 'the new one');
  await dns.stop();
});

t.test('rewrite: types, classes and TTLs', async (t) => {
  const ttls = async (rules: string, name = 'Web.default.svc.cluster.local.', type = 'A'): Promise<number[]> => {
    const dns = await startDns({
      corefile: `.:53 {\n ${rules}\n kubernetes cluster.local\n}\n`,
      objects: [namespace('default'), service('web', '10.96.0.7')],
    });
    const { answer, authority } = await dns.ask(name, type);
    await dns.stop();
    return [...answer, ...authority].map((record) => record.ttl);
  };
  const web = 'web.default.svc.cluster.local';
  t.strictSame(await ttls(`rewrite ttl ${web} 60`), [60]);
  t.strictSame(await ttls(`rewrite ttl other.${web} 60`), [5]);
  t.strictSame(await ttls('rewrite ttl suffix .svc.cluster.local 30-60'), [30]);
  t.strictSame(await ttls('rewrite continue ttl regex ^web 60-\n rewrite ttl regex . -40'), [40]);
  t.strictSame(await ttls('rewrite ttl regex . 7', `no.${web}.`), [7], 'the SOA too');
  t.strictSame(await ttls('rewrite type AAAA A', undefined, 'AAAA'), [5]);
  t.strictSame(await ttls('rewrite class CH IN'), [5]);
  for (const [rule, message] of [
    ['ttl a', /too few \(1\) arguments for a ttl rule/],
    ['ttl a -', /invalid TTL '-' for a ttl rule/],
    ['ttl a 9-5', /invalid TTL '9-5' for a ttl rule/],
    ['ttl some a 5', /ttl rule supports only exact/],
    ['type A', /type rules must have exactly two arguments/],
    ['type A NOPE', /invalid type "NOPE"/],
    ['class A IN', /invalid class "A"/],
  ] as const)
    await t.rejects(startDns({ corefile: `.:53 {\n rewrite ${rule}\n}\n` }), message);
});

t.test('template: records made from the question', async (t) => {
  const corefile = `.:53 {
  template IN A ip.example.org {
    match "^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)\\.ip\\.example\\.org\\.$"
    answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ index .Match 2 }}"
    authority "{{ .Zone }} 60 IN NS ns.example.org."
  }
  template ANY ANY gone.example.org {
    rcode NXDOMAIN
    authority "gone.example.org. 30 IN SOA ns.example.org. root.example.org. 1 2 3 4 5"
  }
  template IN MX example.org {
    answer "{{ .Name }} IN MX 10 mail.example.org."
  }
}
`;
  const dns = await startDns({ corefile });
  const found = await dns.ask('ip-3-4.ip.example.org.', 'A');
  t.strictSame(texts(found.answer), ['ip-3-4.ip.example.org. 60 1 10.0.3.4']);
  t.strictSame(texts(found.authority), ['ip.example.org. 60 2 ns.example.org.']);
  t.equal((await dns.ask('other.ip.example.org.', 'A')).rcode, 3);
  const gone = await dns.ask('x.gone.example.org.', 'AAAA');
  t.equal(gone.rcode, 3);
  t.strictSame(texts(gone.authority), ['gone.example.org. 30 6 ns.example.org. root.example.org. 1 2 3 4 5']);
  t.strictSame(texts((await dns.ask('example.org.', 'MX')).answer), ['example.org. 3600 15 10 mail.example.org.']);
  t.equal((await dns.ask('ip-3-400.ip.example.org.', 'A')).rcode, 2, 'no address comes of it');
  t.ok(dns.lines.every((line) => !line.includes('panic')));
  await dns.stop();
  const wrong = '.:53 {\n template IN A {\n answer "{{ .Name | upper }} A 1.2.3.4"\n }\n}\n';
  await t.rejects(startDns({ corefile: wrong }), /could not compile template/);
});
