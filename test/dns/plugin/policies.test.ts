// Plugins that change or refuse what others answer, or answer for names that are nobody's: acl, any, bufsize, chaos, header, local,
// minimal, nsid, root, whoami.
import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { rdataText } from '../../../src/dns/message.ts';
import { type Edns, FLAG_AA, FLAG_RA, FLAG_RD, FLAG_TC } from '../../../src/dns/message-writer.ts';
import { type AskOptions, type DnsSetup, startDns, texts } from '../harness.ts';
import { namespace, service, slice } from '../support-objects.ts';

const OBJECTS = [
  namespace('default'),
  service('web', '10.96.0.7'),
  service('many', 'None'),
  slice(
    'many',
    Array.from({ length: 60 }, (_, i) => `10.244.1.${i + 1}`),
  ),
];
const WEB = 'web.default.svc.cluster.local.';
const EDNS: Edns = { udpSize: 4096, version: 0, dnssecOk: false, options: [] };

/** One server, one question. */
async function ask(
  plugins: string,
  name: string,
  type: string,
  options: AskOptions = {},
  setup: Partial<DnsSetup> = {},
) {
  const corefile = `.:53 {\n errors\n ${plugins}\n kubernetes cluster.local\n}\n`;
  const dns = await startDns({ corefile, objects: OBJECTS, ...setup });
  try {
    return await dns.ask(name, type, options);
  } finally {
    await dns.stop();
  }
}

t.test('any: HINFO for ANY, the rest passes', async (t) => {
  t.strictSame(
    (await ask('any', WEB, 'ANY')).answer.map((r) => `${r.ttl} ${r.type}`),
    ['8482 13'],
  );
  t.strictSame(texts((await ask('any', WEB, 'A')).answer), [`${WEB} 5 1 10.96.0.7`]);
});

t.test('bufsize: no larger reply than it says, whatever the client takes', async (t) => {
  const many = ['many.default.svc.cluster.local.', 'A'] as const;
  t.equal((await ask('', ...many, { edns: EDNS })).flags & FLAG_TC, 0);
  const cut = await ask('bufsize 512', ...many, { edns: EDNS });
  t.ok(cut.flags & FLAG_TC);
  t.equal(cut.edns!.udpSize, 512);
  await t.rejects(ask('bufsize 100', WEB, 'A'), /size must be within 512 - 4096/);
});

t.test('chaos: about the server itself, in class CH only', async (t) => {
  const CH = { class: 3 };
  const text = async (plugins: string, name: string, options: AskOptions = CH) =>
    (await ask(plugins, name, 'TXT', options, { env: { HOSTNAME: 'coredns-1' } })).answer.map(rdataText);
  t.match(await text('chaos', 'version.bind.'), [/^"CoreDNS-1\.14\.7/]);
  t.strictSame(await text('chaos X-1 b a', 'VERSION.server.'), ['"X-1"']);
  t.strictSame((await text('chaos X-1 b a', 'authors.bind.')).sort(), ['"a"', '"b"']);
  t.strictSame(await text('chaos', 'id.server.'), ['"coredns-1"']);
  t.equal(rcodeText((await ask('chaos', 'version.bind.', 'TXT')).rcode), 'SERVFAIL', 'class IN passes');
  t.equal(rcodeText((await ask('', 'version.bind.', 'TXT', CH)).rcode), 'REFUSED', 'without it');
});

t.test('header: flags of replies and questions', async (t) => {
  const { flags } = await ask('header {\n response set ra\n response clear aa rd\n }', WEB, 'A');
  t.equal(flags & (FLAG_RA | FLAG_AA | FLAG_RD), FLAG_RA);
  t.equal((await ask('header {\n query clear rd\n }', WEB, 'A')).flags & FLAG_RD, 0);
  for (const [rule, message] of [
    ['reply set ra', 'setting up rule: invalid selector=reply should be query or response'],
    ['query', 'setting up rule: no flag action provided'],
    ['query on ra', 'setting up rule: unknown flag action=on, should be set or clear'],
    ['query set tc', 'setting up rule: unknown/unsupported flag=tc'],
  ] as const)
    await t.rejects(ask(`header {\n ${rule}\n }`, WEB, 'A'), { message: new RegExp(message) });
});

t.test('local: localhost and the zones that lead nowhere', async (t) => {
  const answer = async (name: string, type: string, options = ''): Promise<string> => {
    const reply = await ask(`local ${options}`, name, type);
    return `${rcodeText(reply.rcode)} ${[...reply.answer, ...reply.authority].map((r) => `${r.name} ${r.type} ${rdataText(r)}`).join()}`;
  };
  t.equal(await answer('localhost.', 'A'), 'NOERROR localhost. 1 127.0.0.1');
  t.equal(await answer('LocalHost.', 'AAAA'), 'NOERROR LocalHost. 28 ::1');
  t.equal(
    await answer('localhost.default.svc.cluster.local.', 'A'),
    'NOERROR localhost.default.svc.cluster.local. 1 127.0.0.1',
  );
  t.match(await answer('localhost.cluster.local.', 'A', '{\n disable_localhost_prefix\n }'), 'NXDOMAIN');
  t.equal(await answer('a.localhost.', 'MX'), 'NOERROR a.localhost. 6 localhost. root.localhost. 1 0 0 0 604800');
  t.equal(await answer('1.0.0.127.in-addr.arpa.', 'PTR'), 'NOERROR 1.0.0.127.in-addr.arpa. 12 localhost.');
  t.match(await answer('2.0.0.127.in-addr.arpa.', 'PTR'), /^NXDOMAIN 127\.in-addr\.arpa\. 6/);
  t.equal(await answer('0.in-addr.arpa.', 'NS'), 'NOERROR 0.in-addr.arpa. 2 localhost.');
  t.match(await answer(WEB, 'A'), 'NOERROR');
});

t.test('minimal: nothing but the answer, denials whole', async (t) => {
  const srv = await ask('minimal', WEB, 'SRV');
  t.match(srv, { additional: [], authority: [] });
  t.equal(srv.answer.length, 1);
  t.equal((await ask('minimal', 'nope.cluster.local.', 'A')).authority.length, 1);
});

t.test('nsid: for those who ask', async (t) => {
  const asked = { ...EDNS, options: [{ code: 3, data: new Uint8Array(0) }] };
  const { edns } = await ask('nsid the one', WEB, 'A', { edns: asked });
  t.strictSame(
    edns!.options.map(({ code, data }) => [code, Buffer.from(data).toString()]),
    [[3, 'the one']],
  );
  t.strictSame((await ask('nsid the one', WEB, 'A', { edns: EDNS })).edns!.options, []);
});

t.test('whoami: the client, behind everything else', async (t) => {
  const corefile = '.:53 {\n whoami\n}\n';
  const { additional, answer } = await ask('', 'x.org.', 'A', {}, { corefile });
  t.strictSame(answer, []);
  t.match(
    additional.map((r) => `${r.name} ${rdataText(r)}`),
    ['x.org. 10.244.0.9', /^_udp\.x\.org\. 0 0 \d+ \.$/],
  );
});

t.test('acl: the first policy that fits counts, by zone, type and address', async (t) => {
  const rcode = async (policies: string, name = WEB, type = 'A'): Promise<string> => {
    const reply = await ask(`acl cluster.local {\n ${policies}\n }`, name, type);
    return `${rcodeText(reply.rcode)} ${reply.answer.length}`;
  };
  t.equal(await rcode('block type A net 10.244.0.0/24'), 'REFUSED 0');
  t.equal(await rcode('block type A net 10.244.1.0/24'), 'NOERROR 1');
  t.equal(await rcode('block type AAAA net *'), 'NOERROR 1');
  t.equal(await rcode('block net 10.244.0.8/31'), 'REFUSED 0');
  t.equal(await rcode('block net 10.244.0.8'), 'NOERROR 1');
  t.equal(await rcode('filter'), 'NOERROR 0');
  t.equal(await rcode('allow net 10.244.0.9\n block'), 'NOERROR 1');
  t.equal(await rcode('allow net fd00::/8\n block'), 'REFUSED 0');
  t.equal(await rcode('block', 'example.org.'), 'SERVFAIL 0', 'another zone passes');
  await t.rejects(rcode('drop'), /no reply/);
  const { edns } = await ask('acl {\n block\n }', WEB, 'A', { edns: EDNS });
  t.strictSame(
    edns!.options.map(({ code, data }) => [code, ...data]),
    [[15, 0, 15]],
  );
  for (const [policy, message] of [
    ['refuse', `unexpected token "refuse"; expect 'allow', 'block', 'filter' or 'drop'`],
    ['block type FOO', 'unexpected token "FOO"; expect legal QTYPE'],
    ['block net 10.0.0.0/33', 'illegal CIDR notation "10.0.0.0/33"'],
    ['block net', 'no token specified in "net" section'],
  ] as const)
    await t.rejects(rcode(policy), { message: new RegExp(message.replace(/[/.]/g, '\\$&')) });
});

t.test('root: where file looks', async (t) => {
  const corefile = '.:53 {\n root /zones/\n file db example.org\n debug\n}\n';
  const readFile = (path: string): string | undefined =>
    path === '/zones/db' ? '@ 60 SOA a. b. 1 1 1 1 1\nw 60 A 192.0.2.1\n' : undefined;
  t.strictSame(texts((await ask('', 'w.example.org.', 'A', {}, { corefile, readFile })).answer), [
    'w.example.org. 60 1 192.0.2.1',
  ]);
});
