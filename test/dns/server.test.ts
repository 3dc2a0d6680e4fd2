// What the server does around the plugins: how long TCP connections live, versions and classes it does not know, NOTIFY.
import { duplexPair } from 'node:stream';
import t from 'tap';
import { rcodeText } from '../../src/dns/constants.ts';
import { FLAG_RD } from '../../src/dns/message-writer.ts';
import { type Dns, query, startDns } from './harness.ts';
import { namespace, service } from './support-objects.ts';

const WEB = 'web.default.svc.cluster.local.';
const start = (): Promise<Dns> =>
  startDns({
    corefile: 'cluster.local {\n kubernetes\n}\n',
    objects: [namespace('default'), service('web', '10.96.0.7')],
  });

function connect(dns: Dns) {
  const [near, far] = duplexPair();
  dns.sockets.tcp.get(53)!({ stream: far, remote: { address: '10.244.0.9', port: 50000 } });
  let [bytes, open] = [0, true];
  near.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  far.on('close', () => {
    open = false;
  });
  near.on('error', () => {});
  return { near, far, bytes: () => bytes, isOpen: () => open };
}

const framed = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('a connection without a whole message is closed after three seconds, however it trickles', async (t) => {
  const dns = await start();
  const { near, isOpen } = connect(dns);
  const message = framed(query(WEB, 'A'));
  for (let i = 0; i < 5; i++) {
    near.write(message.subarray(i, i + 1));
    await dns.clock.run(0.55e6);
    t.ok(isOpen(), `open after ${0.55 * (i + 1)} s`);
  }
  await dns.clock.run(0.5e6);
  await settle();
  t.notOk(isOpen());
  await dns.stop();
});

t.test('after an answer it may be silent for ten seconds, and have any number of questions', async (t) => {
  const dns = await start();
  const { near, bytes, isOpen } = connect(dns);
  for (let i = 0; i < 300; i++) near.write(framed(query(WEB, 'A')));
  for (let i = 0; i < 20; i++) await settle();
  t.equal(bytes() % 300, 0);
  t.ok(bytes() > 300 * 50);
  await dns.clock.run(9.9e6);
  t.ok(isOpen());
  await dns.clock.run(0.2e6);
  await settle();
  t.notOk(isOpen());
  await dns.stop();
});

t.test('unknown EDNS versions, other classes, other zones, NOTIFY', async (t) => {
  const dns = await start();
  const edns = { udpSize: 4096, version: 1, dnssecOk: true, options: [{ code: 10, data: new Uint8Array(8) }] };
  const badvers = await dns.ask(WEB, 'A', { edns });
  t.equal(rcodeText(badvers.rcode), 'BADVERS');
  t.strictSame(badvers.edns, { udpSize: 0, version: 0, dnssecOk: false, options: [] }, 'says nothing else');
  t.equal(rcodeText((await dns.ask(WEB, 'A', { class: 3 })).rcode), 'REFUSED');
  t.equal(rcodeText((await dns.ask('local.', 'A')).rcode), 'REFUSED', 'the parent is not ours');
  t.equal(rcodeText((await dns.ask('.', 'NS')).rcode), 'REFUSED');
  const notify = await dns.ask(WEB, 'A', { flags: (4 << 11) | FLAG_RD });
  t.equal(notify.flags & (0x7800 | FLAG_RD), 4 << 11, 'answered under its opcode, without RD');
  t.equal(notify.answer.length, 1);
  await dns.stop();
});
