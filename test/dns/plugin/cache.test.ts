import t from 'tap';
import { rcodeText } from '../../../src/dns/constants.ts';
import { fakeUpstream, startDns, texts } from '../harness.ts';
import { namespace, service, slice } from '../support-objects.ts';

const DB = 'db.default.svc.cluster.local.';
const OBJECTS = [namespace('default'), service('db', 'None'), slice('db', ['10.244.0.5'])];

function corefile(cache: string): string {
  return `.:53 {\n errors\n cache ${cache}\n kubernetes cluster.local {\n  ttl 30\n }\n forward . 192.0.2.53\n}\n`;
}

t.test('a kept reply counts its TTL down and ends with it', async (t) => {
  const dns = await startDns({ corefile: corefile('20'), objects: OBJECTS });
  t.strictSame(
    texts((await dns.ask(DB, 'A')).answer),
    [`${DB} 20 1 10.244.0.5`],
    'capped by the cache already the first time',
  );
  dns.objects.set(slice('db', ['10.244.0.6']));
  await dns.clock.run(12.5e6);
  t.strictSame(texts((await dns.ask(DB, 'A')).answer), [`${DB} 8 1 10.244.0.5`], 'the old address, with what is left');
  await dns.clock.run(7.4e6);
  t.strictSame(texts((await dns.ask(DB, 'A')).answer), [`${DB} 1 1 10.244.0.5`]);
  await dns.clock.run(0.2e6);
  t.strictSame(
    texts((await dns.ask(DB, 'A')).answer),
    [`${DB} 20 1 10.244.0.6`],
    'never longer than the TTL it was given with',
  );
  await dns.stop();
});

t.test('a missing name is kept too; other types and DO are questions of their own', async (t) => {
  const dns = await startDns({ corefile: corefile('20'), objects: OBJECTS });
  const rcode = async (type = 'A', dnssecOk = false): Promise<string> => {
    const edns = dnssecOk ? { udpSize: 1232, version: 0, dnssecOk, options: [] } : undefined;
    return rcodeText((await dns.ask('new.default.svc.cluster.local.', type, { edns })).rcode);
  };
  t.equal(await rcode(), 'NXDOMAIN');
  dns.objects.set(service('new', '10.96.0.9'));
  t.equal(await rcode(), 'NXDOMAIN');
  t.equal(await rcode('AAAA'), 'NOERROR');
  t.equal(await rcode('A', true), 'NOERROR');
  await dns.clock.run(20e6);
  t.equal(await rcode(), 'NOERROR');
  await dns.stop();
});

t.test('disable keeps cluster names out and upstream names in', async (t) => {
  const block = '30 {\n  disable success cluster.local\n  disable denial cluster.local\n }';
  let asked = 0;
  const upstream = fakeUpstream({
    'example.net. A': { rcode: 'NOERROR', answer: ['example.net. 3600 IN A 192.0.2.9'] },
  });
  const dns = await startDns({
    ...{ corefile: corefile(block), objects: OBJECTS },
    upstream: (bytes, to) => {
      asked++;
      return upstream(bytes, to);
    },
  });
  await dns.ask(DB, 'A');
  dns.objects.set(slice('db', ['10.244.0.6']));
  t.strictSame(texts((await dns.ask(DB, 'A')).answer), [`${DB} 30 1 10.244.0.6`]);
  await dns.ask('example.net.', 'A');
  t.strictSame(texts((await dns.ask('EXAMPLE.net.', 'A')).answer), ['example.net. 30 1 192.0.2.9']);
  t.equal(asked, 1);
  await dns.stop();
});

t.test('a full store lets the oldest go', async (t) => {
  const dns = await startDns({ corefile: corefile('{\n success 2\n }'), objects: OBJECTS });
  for (const name of ['a', 'b']) {
    const objects = [service(name, 'None'), slice(name, ['10.244.0.5'])];
    for (const object of objects) dns.objects.set(object);
  }
  await dns.ask(DB, 'A');
  await dns.ask('a.default.svc.cluster.local.', 'A');
  await dns.ask('b.default.svc.cluster.local.', 'A');
  dns.objects.set(slice('db', ['10.244.0.6']));
  dns.objects.set(slice('b', ['10.244.0.6']));
  t.match(texts((await dns.ask(DB, 'A')).answer)[0], /10\.244\.0\.6$/);
  t.match(texts((await dns.ask('b.default.svc.cluster.local.', 'A')).answer)[0], /10\.244\.0\.5$/);
  await dns.stop();
});
