// Replies that are given again without asking the plugins: never another reply than the plugins would give, never uncounted.
import t from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { rdataText } from '../../src/dns/message.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { type Dns, startDns } from './harness.ts';
import { namespace, service, slice } from './support-objects.ts';

const COREFILE = '.:53 {\n errors\n kubernetes cluster.local {\n ttl 30\n }\n prometheus :9153\n}\n';

async function reply(dns: Dns, name: string, type: string): Promise<unknown> {
  const { rcode, flags, answer, authority, additional } = await dns.ask(name, type);
  const text = [answer, authority, additional].map((section) =>
    section.map((r) => `${r.name} ${r.ttl} ${r.type} ${rdataText(r)}`),
  );
  return { rcode, flags, text };
}

t.test('whatever changes, a repeated query gets what a fresh server would say', async (t) => {
  const rng = new SeededRng(7);
  const objects = new Map<string, KubeObject>();
  const apply = (dns: Dns): void => {
    const i = rng.below(3);
    const kinds = [namespace(`ns-${i}`), service('web', `10.96.0.${1 + rng.below(9)}`, undefined, `ns-${i}`)];
    kinds.push(service('db', 'None', undefined, `ns-${i}`));
    kinds.push(slice('db', [`10.244.0.${1 + rng.below(9)}`], 'abc12', `ns-${i}`));
    const object = kinds[rng.below(4)]!;
    const key = `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
    if (rng.below(3) === 0) {
      if (objects.delete(key)) dns.objects.delete(object);
    } else {
      objects.set(key, object);
      dns.objects.set(object);
    }
  };
  const dns = await startDns({ corefile: COREFILE });
  const names = [0, 1, 2].flatMap((i) =>
    ['web', 'db', 'nope'].map((name) => `${name}.ns-${i}.svc.cluster.local.`).concat(`ns-${i}.svc.cluster.local.`),
  );
  for (let round = 0; round < 60; round++) {
    apply(dns);
    const fresh = await startDns({ corefile: COREFILE, objects: [...objects.values()] });
    for (const name of names) {
      for (const type of ['A', 'AAAA', 'SRV']) {
        const first = await reply(dns, name, type);
        t.strictSame(await reply(dns, name, type), first);
        t.strictSame(serialless(first), serialless(await reply(fresh, name, type)), `round ${round}: ${name} ${type}`);
      }
    }
    await fresh.stop();
  }
  await dns.stop();
});

/** Without the SOA's serial, the time of the last change. */
function serialless(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replace(/(hostmaster\.cluster\.local\.) \d+/g, '$1'));
}

t.test('from the cache the TTLs count down and end', async (t) => {
  const objects = [namespace('default'), service('web', '10.96.0.7')];
  const dns = await startDns({ corefile: '.:53 {\n cache 30\n kubernetes cluster.local {\n ttl 9\n }\n}\n', objects });
  const ttl = async (): Promise<number> => (await dns.ask('web.default.svc.cluster.local.', 'A')).answer[0]!.ttl;
  t.equal(await ttl(), 9);
  t.equal(await ttl(), 9, 'from the cache');
  t.equal(await ttl(), 9, 'and again');
  await dns.clock.run(4e6);
  t.equal(await ttl(), 5);
  t.equal(await ttl(), 5);
  await dns.clock.run(4.5e6);
  t.equal(await ttl(), 1);
  await dns.clock.run(0.6e6);
  dns.objects.delete(objects[1]!);
  t.equal((await dns.ask('web.default.svc.cluster.local.', 'A')).rcode, 3, 'asked anew');
  await dns.stop();
});

t.test('the id, the letter case and the flags are the asker’s own', async (t) => {
  const objects = [namespace('default'), service('web', '10.96.0.7')];
  const dns = await startDns({ corefile: COREFILE, objects });
  for (const name of ['web.default.svc.cluster.local.', 'WEB.default.svc.cluster.local.']) {
    for (const flags of [0x0100, 0x0000, 0x0110]) {
      for (let i = 0; i < 2; i++) {
        const got = await dns.ask(name, 'A', { flags });
        t.equal(got.answer[0]!.name, name);
        t.equal(got.flags & 0x0110, flags);
      }
    }
  }
  await dns.stop();
});
