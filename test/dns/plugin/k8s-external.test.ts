// Services by their external addresses, and the search path walked on the server. The cases of CoreDNS's own tests are played by
// ../cases.test.ts; here is what they leave out.
import t from 'tap';
import { startDns, texts } from '../harness.ts';
import { externalName, namespace, pod, service, slice } from '../support-objects.ts';

const EXTERNAL = `.:53 {
  k8s_external example.com in-addr.arpa {
    ttl 7
    headless
  }
  kubernetes cluster.local
}
`;

function loadBalancer(name: string, ingress: object[]): ReturnType<typeof service> {
  const made = service(name, '10.96.0.9');
  return { ...made, status: { loadBalancer: { ingress } } } as ReturnType<typeof service>;
}

t.test('addresses, names of load balancers, apex and reverse', async (t) => {
  const objects = [namespace('default'), loadBalancer('both', [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }])];
  objects.push(loadBalancer('alias', [{ hostname: 'web.default.svc.cluster.local' }]), service('web', '10.96.0.7'));
  const dns = await startDns({ corefile: EXTERNAL, objects });
  const answer = async (name: string, type: string): Promise<string[]> => texts((await dns.ask(name, type)).answer);
  t.strictSame(await answer('both.default.example.com.', 'A'), ['both.default.example.com. 7 1 192.0.2.1']);
  t.strictSame(await answer('both.default.example.com.', 'AAAA'), ['both.default.example.com. 7 28 2001:db8::1']);
  t.strictSame(await answer('alias.default.example.com.', 'A'), [
    'alias.default.example.com. 5 5 web.default.svc.cluster.local.',
    'web.default.svc.cluster.local. 5 1 10.96.0.7',
  ]);
  t.strictSame(await answer('1.2.0.192.in-addr.arpa.', 'PTR'), [
    '1.2.0.192.in-addr.arpa. 7 12 both.default.example.com.',
  ]);
  t.strictSame(await answer('example.com.', 'NS'), ['example.com. 7 2 ns1.dns.example.com.']);
  t.strictSame(await answer('ns1.dns.example.com.', 'A'), ['ns1.dns.example.com. 7 1 10.244.0.3']);
  t.equal((await dns.ask('dns.example.com.', 'A')).rcode, 0);
  t.equal((await dns.ask('x.ns1.dns.example.com.', 'A')).rcode, 3);
  t.equal((await dns.ask('web.default.example.com.', 'A')).rcode, 3, 'a ClusterIP alone is nothing to the outside');
  t.equal((await dns.ask('default.example.com.', 'A')).rcode, 0, 'a namespace is an empty name');
  dns.objects.set(loadBalancer('both', []));
  t.equal((await dns.ask('both.default.example.com.', 'A')).rcode, 3, 'when the load balancer is gone');
  t.equal((await dns.ask('1.2.0.192.in-addr.arpa.', 'PTR')).rcode, 3);
  await dns.stop();
});

t.test('autopath answers the first question of a walk for Pods it knows', async (t) => {
  const corefile = '.:53 {\n autopath @kubernetes\n kubernetes cluster.local {\n pods verified\n }\n}\n';
  const objects = [namespace('default'), namespace('prod'), service('web', '10.96.0.7', undefined, 'prod')];
  const client = pod('client', '10.244.0.9');
  const dns = await startDns({ corefile, objects: [...objects, client, externalName('out', 'example.org')] });
  const name = 'web.prod.default.svc.cluster.local.';
  const found = await dns.ask(name, 'A');
  t.equal(found.rcode, 0);
  t.strictSame(texts(found.answer), [
    `${name} 5 5 web.prod.svc.cluster.local.`,
    'web.prod.svc.cluster.local. 5 1 10.96.0.7',
  ]);
  const missing = await dns.ask('nope.default.svc.cluster.local.', 'A');
  t.equal(missing.rcode, 2, 'the last of the walk leaves the cluster, and nobody is there to be asked');
  dns.objects.delete(client);
  t.equal((await dns.ask(name, 'A')).rcode, 3, 'for a stranger there is no walk');
  t.equal((await dns.ask(name, 'A')).rcode, 3);
  dns.objects.set(client);
  t.equal((await dns.ask(name, 'A')).rcode, 0, 'and nothing was kept of that');
  await dns.stop();
});

t.test('labels and namespace_labels', async (t) => {
  const labelled = (object: ReturnType<typeof namespace>, labels: Record<string, string>): typeof object => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...labels } },
  });
  const corefile =
    '.:53 {\n kubernetes cluster.local {\n labels app in (web, db), tier!=x\n namespace_labels dns=yes\n }\n}\n';
  const objects = [labelled(namespace('default'), { dns: 'yes' }), namespace('hidden')];
  objects.push(labelled(service('web', '10.96.0.7'), { app: 'web' }), service('other', '10.96.0.8'));
  objects.push(
    labelled(service('web', '10.96.0.9', undefined, 'hidden'), { app: 'web' }),
    slice('other', ['10.244.0.1']),
  );
  const dns = await startDns({ corefile, objects });
  const rcode = async (name: string): Promise<number> => (await dns.ask(`${name}.svc.cluster.local.`, 'A')).rcode;
  t.equal(await rcode('web.default'), 0);
  t.equal(await rcode('other.default'), 3);
  t.equal(await rcode('web.hidden'), 3);
  dns.objects.set(labelled(service('web', '10.96.0.7'), { app: 'web', tier: 'x' }));
  t.equal(await rcode('web.default'), 3, 'it no longer matches');
  await dns.stop();
});
