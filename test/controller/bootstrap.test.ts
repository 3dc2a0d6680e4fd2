import t from 'tap';
import {
  CONFIGMAPS,
  DEPLOYMENTS,
  ENDPOINTS,
  ENDPOINTSLICES,
  NAMESPACES,
  PODS,
  RUNTIMECLASSES,
  SERVICES,
} from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { Informer } from '../../src/client/informer.ts';
import { bootstrap } from '../../src/controller/bootstrap.ts';
import { startControllers } from '../../src/controller/controllers.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { controlPlane } from '../support/control-plane.ts';

t.test(
  'a new cluster has its Namespaces, RuntimeClasses, the kubernetes Service and a working DNS Deployment',
  async (t) => {
    const cp = await controlPlane(t, { kubeSystem: true });
    const { client } = cp;
    await cp.until(() => cp.readyPods('kube-system').length === 2);
    await cp.clock.run(10_000);
    const names = async (list: Promise<{ items: { metadata: { name: string } }[] }>) =>
      (await list).items.map((o) => o.metadata.name).sort();
    t.same(await names(client.list(NAMESPACES)), ['default', 'kube-node-lease', 'kube-public', 'kube-system']);
    t.same(await names(client.list(RUNTIMECLASSES)), ['netns', 'userspace']);

    t.match((await client.get(SERVICES, 'default', 'kubernetes')).spec, {
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443, targetPort: 8443, protocol: 'TCP' }],
    });
    t.same((await client.get(ENDPOINTS, 'default', 'kubernetes')).subsets, [
      { addresses: [{ ip: '192.168.49.2' }], ports: [{ name: 'https', port: 8443, protocol: 'TCP' }] },
    ]);
    t.match(await client.get(ENDPOINTSLICES, 'default', 'kubernetes'), {
      endpoints: [{ addresses: ['192.168.49.2'], conditions: { ready: true } }],
      ports: [{ name: 'https', port: 8443, protocol: 'TCP' }],
    });

    const dns = await client.get(SERVICES, 'kube-system', 'kube-dns');
    t.equal(dns.spec.clusterIP, '10.96.0.10');
    t.match(dns.metadata.labels, {
      'k8s-app': 'kube-dns',
      'kubernetes.io/cluster-service': 'true',
      'kubernetes.io/name': 'CoreDNS',
    });
    t.match(dns.spec.ports, [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      { name: 'metrics', port: 9153, protocol: 'TCP' },
    ]);
    const endpoints = await client.get(ENDPOINTS, 'kube-system', 'kube-dns');
    t.same(
      endpoints.subsets![0]!.ports!.map((p) => `${p.name} ${p.port}/${p.protocol}`),
      ['dns-tcp 53/TCP', 'dns 53/UDP', 'metrics 9153/TCP'],
    );
    t.equal(endpoints.subsets![0]!.addresses!.length, 2);
    const deployment = await client.get(DEPLOYMENTS, 'kube-system', 'coredns');
    t.match(deployment.status, { readyReplicas: 2, availableReplicas: 2 });
    t.match(deployment.spec.template.spec, { dnsPolicy: 'Default', runtimeClassName: 'userspace' });
    t.match(cp.pods('kube-system')[0]!.metadata.name, /^coredns-[456789bcdf]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    const { data } = await client.get(CONFIGMAPS, 'kube-system', 'coredns');
    t.ok(data!['Corefile']!.startsWith('.:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    ready\n'));
    t.ok(data!['Corefile']!.includes('kubernetes cluster.local in-addr.arpa ip6.arpa {\n       pods insecure\n'));
    t.same(cp.errors, []);
  },
);

t.test('what the kubernetes Service loses comes back', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.patch(ENDPOINTS, 'default', 'kubernetes', 'merge', { subsets: [] });
  await cp.client.delete(ENDPOINTSLICES, 'default', 'kubernetes');
  await cp.client.delete(SERVICES, 'default', 'kubernetes');
  await cp.clock.run(1e6);
  t.equal((await cp.client.get(SERVICES, 'default', 'kubernetes')).spec.clusterIP, '10.96.0.1');
  t.same((await cp.client.get(ENDPOINTS, 'default', 'kubernetes')).subsets![0]!.addresses, [{ ip: '192.168.49.2' }]);
  t.ok(await cp.client.get(ENDPOINTSLICES, 'default', 'kubernetes'));
});

t.test('bootstrapping twice changes nothing', async (t) => {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock, rng: new SeededRng(1) });
  t.teardown(() => server.close());
  const client = server.client();
  await bootstrap(client);
  const { metadata } = await client.list(DEPLOYMENTS);
  await bootstrap(client);
  t.equal((await client.list(DEPLOYMENTS)).metadata.resourceVersion, metadata.resourceVersion);
});

t.test('nothing on the way from the start to the Pods of CoreDNS waits for more than 50 ms', async (t) => {
  const clock = new VirtualClock();
  const rng = new SeededRng(1);
  const server = new ApiServer({ clock, rng });
  const client = server.client();
  await bootstrap(client);
  const controllers = startControllers({ client, clock, rng, apiserverAddress: '192.168.49.2' });
  const pods = new Informer({ client, clock, type: PODS });
  t.teardown(() => {
    controllers.close();
    pods.close();
    return server.close();
  });
  pods.start();
  await clock.until(() => pods.size === 2, 50_000);
  t.ok(pods.list().every((pod) => pod.metadata.name.startsWith('coredns-')));
});
