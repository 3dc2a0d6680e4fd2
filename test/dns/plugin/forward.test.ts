import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { decodeQuery } from '../../../src/dns/message.ts';
import { encodeMessage, FLAG_AA, FLAG_QR, FLAG_RA } from '../../../src/dns/message-writer.ts';
import { nameserversOf } from '../../../src/dns/resolv-conf.ts';
import { type Exchange, fakeUpstream, startDns, texts } from '../harness.ts';

const ANSWERS = { 'example.net. A': { rcode: 'NOERROR', answer: ['example.net. 3600 IN A 192.0.2.9'] } };

t.test('the upstream of resolv.conf is asked, and its reply handed on as it is', async (t) => {
  const asked: string[] = [];
  const upstream = fakeUpstream(ANSWERS);
  const dns = await startDns({
    corefile: '.:53 {\n errors\n forward . /etc/resolv.conf\n}\n',
    resolvConf: '# comment\nsearch a.b\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n',
    upstream: (bytes, to) => {
      asked.push(`${to.address}:${to.port}`);
      return upstream(bytes, to);
    },
  });
  const reply = await dns.ask('Example.NET.', 'A');
  t.strictSame(texts(reply.answer), ['example.net. 3600 1 192.0.2.9']);
  t.equal(reply.question!.name, 'Example.NET.', "the question is the client's");
  t.equal(reply.flags & (FLAG_AA | FLAG_RA), FLAG_RA);
  t.equal(reply.id, 4711);
  t.equal(rcodeText((await dns.ask('missing.test.', 'A')).rcode), 'NXDOMAIN');
  t.strictSame(asked, ['192.0.2.53:53', '192.0.2.53:53']);
  await dns.stop();
});

t.test('without a name server: SERVFAIL at once, and the log says why', async (t) => {
  const dns = await startDns({
    corefile: '.:53 {\n errors\n forward . /etc/resolv.conf\n loop\n}\n',
    resolvConf: 'search a.b\n',
  });
  const startUs = dns.clock.nowUs();
  t.equal(rcodeText((await dns.ask('example.net.', 'A')).rcode), 'SERVFAIL');
  t.equal(dns.clock.nowUs(), startUs, 'no waiting');
  t.strictSame(
    dns.lines.filter((line) => line.startsWith('[ERROR]')),
    ['[ERROR] plugin/errors: 2 example.net. A: no nameserver in /etc/resolv.conf to forward to'],
  );
  await dns.stop();
});

t.test('without the plugin a foreign name is refused by nobody and fails', async (t) => {
  const dns = await startDns({ corefile: 'cluster.local:53 {\n errors\n loop\n}\n' });
  t.equal(rcodeText((await dns.ask('example.net.', 'A')).rcode), 'REFUSED', 'no server block for it');
  t.equal(rcodeText((await dns.ask('cluster.local.', 'A')).rcode), 'SERVFAIL', 'no plugin that answers');
  t.match(dns.lines.at(-1), '[ERROR] plugin/errors: 2 cluster.local. A: plugin/loop: no next plugin found');
  await dns.stop();
});

t.test('a closed upstream port fails fast, another upstream takes over', async (t) => {
  const closed = Object.assign(new Error('recvmsg ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const upstream = fakeUpstream(ANSWERS);
  const dns = await startDns({
    corefile: '.:53 {\n errors\n forward . 192.0.2.1 192.0.2.2 {\n  policy sequential\n }\n}\n',
    upstream: (bytes, to) => (to.address === '192.0.2.1' ? closed : upstream(bytes, to)),
  });
  t.equal(texts((await dns.ask('example.net.', 'A')).answer).length, 1);
  await dns.stop();
  const alone = await startDns({ corefile: '.:53 {\n errors\n forward . 192.0.2.1\n}\n', upstream: () => closed });
  t.equal(rcodeText((await alone.ask('example.net.', 'A')).rcode), 'SERVFAIL');
  t.equal(
    alone.lines.at(-1),
    '[ERROR] plugin/errors: 2 example.net. A: read udp 10.244.0.3:33333->192.0.2.1:53: read: connection refused',
  );
  await alone.stop();
});

t.test('a silent upstream times out, is found down, and comes back', async (t) => {
  let silent = true;
  const asked: string[] = [];
  const upstream = fakeUpstream(ANSWERS);
  const exchange: Exchange = (bytes, to) => {
    const decoded = decodeQuery(bytes);
    asked.push(`${to.address} ${decoded.kind === 'query' ? decoded.query.question.name : '?'}`);
    return silent && to.address === '192.0.2.1' ? undefined : upstream(bytes, to);
  };
  const dns = await startDns({
    corefile: '.:53 {\n errors\n forward . 192.0.2.1 192.0.2.2 {\n  policy sequential\n }\n}\n',
    upstream: exchange,
  });
  const first = dns.ask('example.net.', 'A');
  await dns.clock.run(2.1e6);
  t.equal((await first).answer.length, 1, 'after two seconds the other one is asked');
  await dns.clock.run(4e6);
  asked.length = 0;
  t.equal(texts((await dns.ask('example.net.', 'A')).answer).length, 1);
  t.strictSame(asked, ['192.0.2.2 example.net.'], 'the one that is down is left out');
  silent = false;
  await dns.clock.run(2e6);
  asked.length = 0;
  await dns.ask('example.net.', 'A');
  t.strictSame(asked, ['192.0.2.1 example.net.'], 'and back after it answered a check');
  await dns.stop();
});

t.test('too many questions at once are refused; except and from limit what is forwarded', async (t) => {
  const dns = await startDns({
    corefile: '.:53 {\n errors\n forward net 192.0.2.1 {\n  max_concurrent 1\n  except private.net\n }\n}\n',
  });
  const hanging = dns.ask('one.net.', 'A').catch(() => {});
  t.equal(rcodeText((await dns.ask('two.net.', 'A')).rcode), 'REFUSED');
  t.match(dns.lines.at(-1), '[ERROR] plugin/errors: 5 two.net. A: concurrent queries exceeded maximum 1');
  t.equal(rcodeText((await dns.ask('a.private.net.', 'A')).rcode), 'SERVFAIL');
  t.match(dns.lines.at(-1), /plugin\/forward: no next plugin found/);
  t.equal(rcodeText((await dns.ask('example.org.', 'A')).rcode), 'SERVFAIL');
  await dns.clock.run(10e6);
  await hanging;
  await dns.stop();
});

t.test('a reply to another question is a format error; junk and wrong ids are waited over', async (t) => {
  const nothing = { rcode: 0, answer: [], authority: [], additional: [], edns: undefined };
  const wrong: Exchange = (bytes) => {
    const decoded = decodeQuery(bytes);
    if (decoded.kind !== 'query') return undefined;
    const question = { ...decoded.query.question, name: 'other.test.' };
    return encodeMessage({ id: decoded.query.id, flags: FLAG_QR, question, ...nothing }, 512);
  };
  const dns = await startDns({ corefile: '.:53 {\n errors\n forward . 192.0.2.1\n}\n', upstream: wrong });
  t.equal(rcodeText((await dns.ask('example.net.', 'A')).rcode), 'FORMERR');
  await dns.stop();
  const junk = await startDns({
    corefile: '.:53 {\n errors\n forward . 192.0.2.1\n}\n',
    upstream: () => Uint8Array.of(1, 2, 3),
  });
  await t.rejects(junk.ask('example.net.', 'A'), /no reply/);
  await junk.stop();
});

t.test('loop: our own question coming back ends the server', async (t) => {
  const box: { dns?: Awaited<ReturnType<typeof startDns>> } = {};
  const dns = await startDns({
    corefile: '.:53 {\n errors\n loop\n forward . 192.0.2.1\n}\n',
    upstream: (bytes) => {
      void box.dns?.sockets.send(bytes);
      return undefined;
    },
  });
  box.dns = dns;
  await dns.clock.run(3e6);
  t.match(dns.lines.join('\n'), /\[FATAL\] plugin\/loop: Loop \(10\.244\.0\.9:\d+ -> :53\) detected for zone "\."/);
  t.equal(await dns.stop(), 1);
});

t.test('nameserver lines of resolv.conf', async (t) => {
  t.strictSame(nameserversOf('nameserver 1.1.1.1\n nameserver\tfd00::1 # x\nnameserver bogus\noptions ndots:5\n'), [
    '1.1.1.1',
    'fd00::1',
  ]);
});
