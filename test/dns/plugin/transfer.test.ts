// Whole zones over TCP: who gets them, in what form, and what is in them.
import { duplexPair } from 'node:stream';
import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { type DecodedReply, decodeMessage } from '../../../src/dns/message.ts';
import { encodeMessage, FLAG_AA } from '../../../src/dns/message-writer.ts';
import { soaRecord } from '../../../src/dns/record.ts';
import { type Dns, query, startDns, texts } from '../harness.ts';
import { externalName, namespace, service, slice } from '../support-objects.ts';

const OBJECTS = [
  namespace('default'),
  service('web', '10.96.0.7'),
  service('db', 'None'),
  slice('db', [{ addresses: ['10.244.0.5'], hostname: 'db-0', conditions: { ready: true } }, '10.244.0.6']),
  externalName('ext', 'example.net'),
  service('hidden', '10.96.0.8', undefined, 'nowhere'),
];
const ZONE_FILE = '@ 60 SOA ns. h. 7 1 1 1 1\n@ NS ns.\na A 192.0.2.1\n';

function corefile(to: string): string {
  return `.:53 {\n errors\n transfer cluster.local example.org {\n  to ${to}\n }\n kubernetes cluster.local 10.in-addr.arpa\n file db example.org\n}\n`;
}

async function start(to: string, objects = OBJECTS): Promise<Dns> {
  return startDns({ corefile: corefile(to), objects, readFile: () => ZONE_FILE });
}

/** Sends the message over a TCP connection in memory; resolves with all replies. */
async function overTcp(dns: Dns, message: Uint8Array): Promise<DecodedReply[]> {
  const [near, far] = duplexPair();
  dns.sockets.tcp.get(53)!({ stream: far, remote: { address: '10.244.0.9', port: 50000 } });
  let got = Buffer.alloc(0);
  near.on('data', (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]);
  });
  const ended = new Promise((resolve) => near.once('end', resolve));
  near.end(Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]));
  await ended;
  const replies: DecodedReply[] = [];
  for (let at = 0; at < got.length; at += 2 + got.readUInt16BE(at))
    replies.push(decodeMessage(got.subarray(at + 2, at + 2 + got.readUInt16BE(at)))!);
  return replies;
}

function ixfr(name: string, serial: number): Uint8Array {
  const timers = { serial, refreshS: 1, retryS: 1, expireS: 1, minimumS: 1 };
  return encodeMessage(
    {
      ...{ id: 1, flags: 0, rcode: 0, question: { name, type: 251, class: 1 }, edns: undefined },
      ...{ answer: [], authority: [soaRecord(name, 0, 'a.', 'b.', timers)], additional: [] },
    },
    65535,
  )!;
}

t.test('a cluster zone: SOA, name servers, every name of exposed Services, SOA', async (t) => {
  const dns = await start('*');
  const [reply, ...more] = await overTcp(dns, query('cluster.local.', 'AXFR'));
  t.equal(more.length, 0);
  t.ok(reply!.flags & FLAG_AA);
  t.equal(reply!.answer[0]!.type, 6);
  t.equal(reply!.answer.at(-1)!.type, 6);
  t.strictSame(
    texts(reply!.answer).filter((text) => !/ 6 /.test(text)),
    [
      '_http._tcp.db.default.svc.cluster.local. 5 33 0 50 80 10-244-0-6.db.default.svc.cluster.local.',
      '_http._tcp.db.default.svc.cluster.local. 5 33 0 50 80 db-0.db.default.svc.cluster.local.',
      '_http._tcp.web.default.svc.cluster.local. 5 33 0 100 80 web.default.svc.cluster.local.',
      '10-244-0-6.db.default.svc.cluster.local. 5 1 10.244.0.6',
      'cluster.local. 5 2 ns.dns.cluster.local.',
      'db-0.db.default.svc.cluster.local. 5 1 10.244.0.5',
      'db.default.svc.cluster.local. 5 1 10.244.0.5',
      'db.default.svc.cluster.local. 5 1 10.244.0.6',
      'ext.default.svc.cluster.local. 5 5 example.net.',
      'ns.dns.cluster.local. 5 1 10.244.0.3',
      'web.default.svc.cluster.local. 5 1 10.96.0.7',
      'web.default.svc.cluster.local. 5 33 0 100 80 web.default.svc.cluster.local.',
    ].sort(),
  );
  t.match(
    dns.lines.at(-1),
    /Outgoing transfer of 14 records of zone "cluster.local." to 10.244.0.9 for \d+ SOA serial/,
  );
  const rcodes = async (name: string, type: string): Promise<string[]> =>
    (await overTcp(dns, query(name, type))).map(({ rcode }) => rcodeText(rcode));
  t.strictSame(await rcodes('default.svc.cluster.local.', 'AXFR'), ['REFUSED'], 'not a zone');
  t.strictSame(await rcodes('10.in-addr.arpa.', 'AXFR'), ['REFUSED'], 'no reverse zones');
  t.strictSame(await rcodes('example.org.', 'IXFR'), ['SERVFAIL'], 'an IXFR without a serial');
  t.equal(rcodeText((await dns.ask('cluster.local.', 'AXFR')).rcode), 'REFUSED', 'never over UDP');
  t.equal((await overTcp(dns, query('web.default.svc.cluster.local.', 'A')))[0]!.answer.length, 1, 'others pass');
  await dns.stop();
});

t.test('an external zone', async (t) => {
  const external = (name: string, ...ips: string[]) => ({
    ...service(name, '10.96.1.1'),
    spec: {
      clusterIP: '10.96.1.1',
      clusterIPs: ['10.96.1.1'],
      externalIPs: ips,
      ports: [
        { name: 'http', port: 80, protocol: 'TCP' },
        { name: 'quic', port: 443, protocol: 'UDP' },
      ],
    },
  });
  const objects = [...OBJECTS, external('shop', '192.0.2.1', '2001:db8::1')];
  const text =
    '.:53 {\n transfer {\n  to *\n }\n kubernetes cluster.local\n k8s_external example.com {\n  headless\n }\n}\n';
  const dns = await startDns({ corefile: text, objects });
  const [reply] = await overTcp(dns, query('example.com.', 'AXFR'));
  t.strictSame(
    texts(reply!.answer).filter((line) => !/ 6 /.test(line)),
    [
      '10-244-0-6.db.default.example.com. 5 1 10.244.0.6',
      '_http._tcp.db.default.example.com. 5 33 0 50 80 10-244-0-6.db.default.example.com.',
      '_http._tcp.db.default.example.com. 5 33 0 50 80 db-0.db.default.example.com.',
      '_http._tcp.shop.default.example.com. 5 33 0 50 80 shop.default.example.com.',
      '_quic._udp.shop.default.example.com. 5 33 0 50 443 shop.default.example.com.',
      'db-0.db.default.example.com. 5 1 10.244.0.5',
      'db.default.example.com. 5 1 10.244.0.5',
      'db.default.example.com. 5 1 10.244.0.6',
      'db.default.example.com. 5 33 0 50 80 10-244-0-6.db.default.example.com.',
      'db.default.example.com. 5 33 0 50 80 db-0.db.default.example.com.',
      'example.com. 5 2 ns1.dns.example.com.',
      'ns1.dns.example.com. 5 1 10.244.0.3',
      'shop.default.example.com. 5 1 192.0.2.1',
      'shop.default.example.com. 5 28 2001:db8::1',
      'shop.default.example.com. 5 33 0 25 443 shop.default.example.com.',
      'shop.default.example.com. 5 33 0 25 80 shop.default.example.com.',
    ],
  );
  for (const { name, type } of reply!.answer) {
    if (type === 33 || type === 1)
      t.ok((await dns.ask(name, type === 1 ? 'A' : 'SRV')).answer.length > 0, `${name} ${type} is answered`);
  }
  const { rdata } = reply!.answer[0]! as { rdata: { after: Uint8Array } };
  const serial = new DataView(rdata.after.buffer, rdata.after.byteOffset).getUint32(0);
  t.equal((await overTcp(dns, ixfr('example.com.', serial)))[0]!.answer.length, 1);
  await dns.stop();
});

t.test('a file zone; IXFR: the SOA alone when up to date, else everything', async (t) => {
  const dns = await start('10.244.0.8 10.244.0.9:5353');
  const [whole] = await overTcp(dns, query('example.org.', 'AXFR'));
  t.strictSame(
    whole!.answer.map((record) => record.type),
    [6, 2, 1, 6],
  );
  const [same] = await overTcp(dns, ixfr('example.org.', 7));
  t.strictSame(
    same!.answer.map((record) => record.type),
    [6],
  );
  t.match(dns.lines.at(-1), 'Outgoing noop, incremental transfer for up to date zone "example.org." to 10.244.0.9');
  const [older] = await overTcp(dns, ixfr('example.org.', 6));
  t.equal(older!.answer.length, 4);
  await dns.stop();
});

t.test('those who are not named are refused', async (t) => {
  const dns = await start('10.244.0.1');
  t.strictSame(
    (await overTcp(dns, query('cluster.local.', 'AXFR'))).map(({ rcode }) => rcodeText(rcode)),
    ['REFUSED'],
  );
  await dns.stop();
  await t.rejects(startDns({ corefile: '.:53 {\n transfer\n}\n' }), /'to' is required/);
  await t.rejects(startDns({ corefile: '.:53 {\n transfer {\n to nobody\n }\n}\n' }), /not an IP address: "nobody"/);
});

t.test('a large zone comes in several messages, complete and each within its limit', async (t) => {
  const services = Array.from({ length: 1000 }, (_, i) => service(`svc-${i}`, `10.96.${i >> 8}.${i & 255}`));
  const dns = await start('*', [namespace('default'), ...services]);
  const replies = await overTcp(dns, query('cluster.local.', 'AXFR'));
  t.ok(replies.length > 4, `${replies.length} messages`);
  t.ok(replies.every(({ answer, flags, id }) => answer.length <= 500 && (flags & 0x200) === 0 && id === 4711));
  const all = replies.flatMap(({ answer }) => answer);
  t.equal(all.length, 2 + 2 + 3 * 1000);
  t.equal(all.filter(({ type }) => type === 6).length, 2);
  await dns.stop();
});
