// The plugin file: what may stand in a zone file, and what a zone answers. Answers are those of CoreDNS plugin/file/*_test.go in kind.
import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { FLAG_AA } from '../../../src/dns/message-writer.ts';
import { parseZoneFile } from '../../../src/dns/plugin/file/zone-file.ts';
import { type Dns, fakeUpstream, startDns, texts } from '../harness.ts';

const ZONE = `$TTL 1h
$ORIGIN example.org.
@   IN SOA ns1 hostmaster ( 2026010101 ; serial
        2h 30m 2w 5m )
    IN NS ns1
    IN NS ns2.example.net.
    MX 10 mail
ns1         A    192.0.2.1
mail 60 IN  A    192.0.2.2
     IN 60  AAAA 2001:db8::2
www         CNAME web
web         A    192.0.2.3
            A    192.0.2.4
chain       CNAME www
outside     CNAME host.example.com.
nowhere     CNAME none.example.com.
loop        CNAME loop2
loop2       CNAME loop
*.wild      TXT  "a \\"quoted\\" one" two
            MX   5 mail
a.b.deep    A    192.0.2.5
sub         NS   ns.sub
            NS   ns.elsewhere.example.net.
            DS   60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118
ns.sub      A    192.0.2.6
_x._tcp     SRV  1 2 443 web
old         DNAME new.example.com.
raw         TYPE65280 \\# 3 010203
Upper       A    192.0.2.7
caa         CAA  0 issue "ca.example"
`;

const SIGNED = `@ 300 IN SOA ns. host. 1 2 3 4 5
@ RRSIG SOA 8 1 300 20260201000000 20260101000000 12345 @ c2ln
@ NS ns.
@ NSEC b A SOA RRSIG NSEC
@ RRSIG NSEC 8 1 300 20260201000000 20260101000000 12345 @ c2ln
b A 192.0.2.1
b RRSIG A 8 1 300 20260201000000 20260101000000 12345 @ c2ln
b NSEC @ A RRSIG NSEC
`;

async function start(zone = ZONE, origin = 'example.org', options = ''): Promise<Dns> {
  const corefile = `.:53 {\n errors\n file /z/db ${origin} {\n ${options}\n }\n forward example.com 192.0.2.53\n}\n`;
  return startDns({
    corefile,
    readFile: (path) => (path === '/z/db' ? zone : undefined),
    upstream: fakeUpstream({
      'host.example.com. A': { rcode: 'NOERROR', answer: ['host.example.com. 60 IN A 192.0.2.9'] },
    }),
  });
}

/** Question; rcode and the AA bit where set; how the answer begins; whether the SOA is the authority. */
const CASES: readonly (readonly [question: string, head: string, answer?: string, authority?: string])[] = [
  ['web.example.org. A', 'NOERROR aa', 'web.example.org. 3600 1 192.0.2.3, web.example.org. 3600 1 192.0.2.4'],
  [
    'www.example.org. A',
    'NOERROR aa',
    'web.example.org. 3600 1 192.0.2.3, web.example.org. 3600 1 192.0.2.4, www.example.org. 3600 5 web.example.org.',
  ],
  ['www.example.org. CNAME', 'NOERROR aa', 'www.example.org. 3600 5 web.example.org.'],
  [
    'outside.example.org. A',
    'NOERROR aa',
    'host.example.com. 60 1 192.0.2.9, outside.example.org. 3600 5 host.example.com.',
  ],
  ['nowhere.example.org. A', 'NXDOMAIN aa', 'nowhere.example.org. 3600 5 none.example.com.'],
  ['loop.example.org. A', 'NOERROR aa'],
  ['mail.example.org. AAAA', 'NOERROR aa', 'mail.example.org. 60 28 2001:db8::2'],
  ['x.wild.example.org. TXT', 'NOERROR aa', 'x.wild.example.org. 3600 16 "a \\"quoted\\" one" "two"'],
  ['x.y.wild.example.org. TXT', 'NOERROR aa', 'x.y.wild.example.org. 3600 16 "a \\"quoted\\" one" "two"'],
  ['x.wild.example.org. A', 'NOERROR aa', '', 'SOA'],
  ['wild.example.org. A', 'NOERROR aa', '', 'SOA'],
  ['b.deep.example.org. A', 'NOERROR aa', '', 'SOA'],
  ['none.example.org. A', 'NXDOMAIN aa', '', 'SOA'],
  ['web.example.org. MX', 'NOERROR aa', '', 'SOA'],
  [
    'sub.example.org. DS',
    'NOERROR aa',
    'sub.example.org. 3600 43 \\# 24 ec4505012bb183af5f22588179a53b0a98631fad1a292118',
  ],
  ['UPPER.example.org. A', 'NOERROR aa', 'upper.example.org. 3600 1 192.0.2.7'],
  ['raw.example.org. TYPE65280', 'NOERROR aa', 'raw.example.org. 3600 65280 \\# 3 010203'],
  ['caa.example.org. CAA', 'NOERROR aa', 'caa.example.org. 3600 257 \\# 17 00056973737565'],
  [
    'example.org. SOA',
    'NOERROR aa',
    'example.org. 3600 6 ns1.example.org. hostmaster.example.org. 2026010101 7200 1800 1209600 300',
  ],
  ['example.org. AXFR', 'REFUSED'],
];

t.test('a zone answers', async (t) => {
  const dns = await start();
  for (const [question, head, answer, authority] of CASES) {
    const [name, type] = question.split(' ') as [string, string];
    const reply = await dns.ask(name, type);
    t.equal(`${rcodeText(reply.rcode)}${reply.flags & FLAG_AA ? ' aa' : ''}`, head, question);
    if (answer !== undefined)
      t.ok(texts(reply.answer).join(', ').startsWith(answer), `${question}: ${texts(reply.answer).join(', ')}`);
    if (authority === 'SOA')
      t.strictSame(
        reply.authority.map((r) => r.type),
        [6],
        `${question}: SOA`,
      );
  }
  const delegation = await dns.ask('x.sub.example.org.', 'A');
  t.equal(delegation.flags & FLAG_AA, 0, 'a delegation is not authoritative');
  t.strictSame(texts(delegation.authority), [
    'sub.example.org. 3600 2 ns.elsewhere.example.net.',
    'sub.example.org. 3600 2 ns.sub.example.org.',
  ]);
  t.strictSame(texts(delegation.additional), ['ns.sub.example.org. 3600 1 192.0.2.6'], 'glue');
  const mail = await dns.ask('example.org.', 'MX');
  t.strictSame(texts(mail.additional), ['mail.example.org. 60 1 192.0.2.2', 'mail.example.org. 60 28 2001:db8::2']);
  t.equal(mail.authority.length, 2, 'with the name servers');
  const moved = await dns.ask('a.old.example.org.', 'A');
  t.strictSame(
    moved.answer.map((r) => r.type),
    [39, 5],
    'DNAME and the CNAME it makes',
  );
  t.match(texts(moved.answer).join(), 'a.old.example.org. 3600 5 a.new.example.com.');
  await dns.stop();
});

t.test('signatures and denials in the file go to those who want them', async (t) => {
  const dns = await start(SIGNED, 'example.org');
  const types = async (name: string, type: string, dnssecOk: boolean): Promise<string> => {
    const { answer, authority } = await dns.ask(name, type, {
      edns: { udpSize: 4096, version: 0, dnssecOk, options: [] },
    });
    return `${answer.map((r) => r.type).join()} | ${authority.map((r) => r.type).join()}`;
  };
  t.equal(await types('b.example.org.', 'A', false), '1 | 2');
  t.equal(await types('b.example.org.', 'A', true), '1,46 | 2');
  t.equal(await types('b.example.org.', 'AAAA', true), ' | 6,46,47');
  t.equal(
    await types('a.example.org.', 'A', true),
    ' | 6,46,47,46',
    'NXDOMAIN: the NSEC before it covers the wildcard too',
  );
  await dns.stop();
});

t.test('a file is taken when its serial is another, and one that is missing is waited for', async (t) => {
  let zone: string | undefined;
  const corefile = '.:53 {\n errors\n file /z/db example.org {\n  reload 2s\n }\n}\n';
  const dns = await startDns({ corefile, readFile: () => zone });
  const ask = async (): Promise<string> => {
    const { rcode, answer } = await dns.ask('a.example.org.', 'A');
    return `${rcodeText(rcode)} ${texts(answer).join()}`;
  };
  const text = (serial: number, address: string): string => `@ 60 SOA ns. h. ${serial} 1 1 1 1\na 60 A ${address}\n`;
  t.match(
    dns.lines.join('\n'),
    '[WARNING] plugin/file: Failed to open "open /z/db: no such file or directory": trying again in 2s',
  );
  t.equal(await ask(), 'SERVFAIL ');
  zone = text(1, '192.0.2.1');
  await dns.clock.run(2.1e6);
  t.equal(await ask(), 'NOERROR a.example.org. 60 1 192.0.2.1');
  zone = text(1, '192.0.2.2');
  await dns.clock.run(2.1e6);
  t.equal(await ask(), 'NOERROR a.example.org. 60 1 192.0.2.1', 'the same serial');
  zone = 'a 60 A nonsense\n';
  await dns.clock.run(2.1e6);
  t.match(dns.lines.at(-1), /Parsing zone "example.org.": file \/z\/db: dns: bad data: a 60 A nonsense at line: 1/);
  zone = text(2, '192.0.2.2');
  await dns.clock.run(2.1e6);
  t.equal(await ask(), 'NOERROR a.example.org. 60 1 192.0.2.2');
  t.match(dns.lines.at(-1), 'Successfully reloaded zone "example.org." in "/z/db" with 2 SOA serial');
  await dns.stop();
});

t.test('what a zone file may not say is told with its line', async (t) => {
  const read = (text: string) => parseZoneFile(text, 'db', 'example.org.', () => undefined);
  for (const [text, message] of [
    ['a A', 'file db: dns: bad data: a A at line: 1'],
    ['\n\na 60 FOO x', 'file db: dns: unknown RR type: a 60 FOO x at line: 3'],
    ['a A 1.2.3', 'bad data'],
    ['a AAAA 1.2.3.4', 'bad data'],
    ['a TXT "open', 'quoted string is not closed at line: 1'],
    ['a SOA x y ( 1 2', 'unbalanced brace at line: 1'],
    ['a A 1.2.3.4 )', 'extra closing brace at line: 1'],
    ['  A 1.2.3.4', 'bad owner name'],
    ['$GENERATE 1-2 a$ A 1.2.3.$', '$GENERATE is not supported'],
    ['$INCLUDE other', 'failed to open other'],
    [`${'x'.repeat(64)} A 1.2.3.4`, 'bad owner name'],
  ] as const)
    t.throws(() => read(text), { message: new RegExp(message.replace(/[$.()]/g, '\\$&')) }, text);
  const included = parseZoneFile('$INCLUDE sub sub\nb A 192.0.2.2\n', 'db', 'example.org.', (path) =>
    path === 'sub' ? 'a A 192.0.2.1\n' : undefined,
  );
  t.strictSame(texts(included), ['a.sub.example.org. 3600 1 192.0.2.1', 'b.example.org. 3600 1 192.0.2.2']);
  const corefile = '.:53 {\n file db example.org\n}\n';
  await t.rejects(
    startDns({ corefile, readFile: () => 'a A 192.0.2.1\n' }),
    /has no SOA record for origin example.org\./,
  );
  await t.rejects(
    startDns({ corefile, readFile: () => '@ SOA a. b. 1 1 1 1 1\nx.com. A 192.0.2.1\n' }),
    /is not in the zone/,
  );
});
