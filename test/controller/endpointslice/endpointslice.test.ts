import t from 'tap';
import type { Endpoint } from '../../../src/api/discovery-v1.ts';
import { DEPLOYMENTS, ENDPOINTS, ENDPOINTSLICES, NODES, PODS, SERVICES } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane, deployment, pod, service } from '../../support/control-plane.ts';
import { slowWatches } from '../../support/slow-client.ts';

const endpoints = (cp: ControlPlane): Endpoint[] => cp.slices().flatMap((s) => s.endpoints);
const ready = (cp: ControlPlane) =>
  endpoints(cp)
    .filter((e) => e.conditions!.ready)
    .map((e) => e.targetRef!.name!)
    .sort();
const legacy = (cp: ControlPlane, which: 'addresses' | 'notReadyAddresses') =>
  (cp.endpoints()?.subsets ?? []).flatMap((s) => (s[which] ?? []).map((a) => a.targetRef!.name!)).sort();
const podOf = (cp: ControlPlane, name: string) => cp.pods().find((p) => p.metadata.name === name)!;

t.test('endpoints follow readiness and termination', async (t) => {
  const cp = await controlPlane(t, { kubelet: { stopUs: 500_000 } });
  await cp.client.create(SERVICES, service());
  await cp.clock.run(1000);
  t.same(
    cp.slices().map((s) => [s.endpoints, s.ports]),
    [[[], []]],
    'one empty slice while there is no Pod',
  );
  t.ok(cp.endpoints(), 'and empty Endpoints');
  t.notOk(cp.endpoints()!.subsets?.length);
  await cp.client.create(PODS, pod('a'));
  await cp.client.create(PODS, pod('b'));
  await cp.until(() => ready(cp).join() === 'a,b');
  t.equal(cp.slices().length, 1, 'the empty slice was filled');
  t.match(cp.slices()[0]!.metadata.name, /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  t.same(legacy(cp, 'addresses'), ['a', 'b']);
  t.match(endpoints(cp)[0], {
    addresses: [podOf(cp, 'a').status!.podIP],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: 'node-1',
    targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: podOf(cp, 'a').metadata.uid },
  });

  await cp.kubelets[0]!.setReady(podOf(cp, 'a'), false);
  await cp.clock.run(0);
  t.same(ready(cp), ['b'], 'no time passes between the Pod and the slice');
  t.same([legacy(cp, 'addresses'), legacy(cp, 'notReadyAddresses')], [['b'], ['a']]);
  await cp.kubelets[0]!.setReady(podOf(cp, 'a'), true);
  await cp.clock.run(0);
  t.same(ready(cp), ['a', 'b']);

  await cp.client.delete(PODS, 'default', 'b');
  await cp.clock.run(0);
  t.match(endpoints(cp).find((e) => e.targetRef!.name === 'b')!.conditions, {
    ready: false,
    serving: true,
    terminating: true,
  });
  t.same([legacy(cp, 'addresses'), legacy(cp, 'notReadyAddresses')], [['a'], []], 'Endpoints leave it out');
  await cp.until(() => cp.pods().length === 1);
  await cp.clock.run(0);
  t.same(
    endpoints(cp).map((e) => e.targetRef!.name),
    ['a'],
  );
  t.same(cp.errors, []);
});

t.test('named target ports that differ give a slice each, and a Pod without the port one without ports', async (t) => {
  const cp = await controlPlane(t);
  const on = (port: number, name = 'http') => ({
    containers: [container({ ports: [{ name, containerPort: port, protocol: 'TCP' }] })],
  });
  await cp.client.create(SERVICES, service({ ports: [{ name: 'web', port: 80, targetPort: 'http' }] }));
  await cp.client.create(PODS, pod('a', on(80)));
  await cp.client.create(PODS, pod('b', on(8080)));
  await cp.client.create(PODS, pod('c', on(80)));
  await cp.client.create(PODS, pod('d', on(80, 'other')));
  await cp.until(() => ready(cp).length === 4);
  const found = cp
    .slices()
    .map((s) => [s.ports.map((p) => [p.name, p.port]), s.endpoints.map((e) => e.targetRef!.name).sort()]);
  t.same(
    found.sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1)),
    [
      [[['web', 8080]], ['b']],
      [[['web', 80]], ['a', 'c']],
      [[], ['d']],
    ],
  );
});

t.test('headless Services: label, hostnames, no ports', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(SERVICES, service({ clusterIP: 'None', ports: [] }));
  await cp.client.create(PODS, pod('a', { hostname: 'one', subdomain: 'web' }));
  await cp.client.create(PODS, pod('b', { hostname: 'two', subdomain: 'elsewhere' }));
  await cp.until(() => ready(cp).length === 2);
  const [slice] = cp.slices();
  t.equal(slice!.metadata.labels!['service.kubernetes.io/headless'], '');
  t.same(slice!.ports, []);
  t.same(
    endpoints(cp).map((e) => e.hostname),
    ['one', undefined],
  );
  t.equal(cp.endpoints()!.metadata.labels!['service.kubernetes.io/headless'], '');
  t.equal(cp.endpoints()!.subsets![0]!.addresses![0]!.hostname, 'one');
});

t.test('publishNotReadyAddresses publishes Pods that are not ready', async (t) => {
  const cp = await controlPlane(t, { kubelet: { becomesReady: () => false } });
  await cp.client.create(SERVICES, service({ publishNotReadyAddresses: true }));
  await cp.client.create(PODS, pod('a'));
  await cp.until(() => endpoints(cp).length === 1);
  t.same(endpoints(cp)[0]!.conditions, { ready: true, serving: false, terminating: false });
  t.same(legacy(cp, 'addresses'), ['a']);
});

t.test('Services without a selector and ExternalNames get no endpoints; Endpoints by hand are mirrored', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(SERVICES, { ...service({}, 'manual'), spec: { ports: [{ port: 80 }] } });
  await cp.client.create(
    SERVICES,
    service({ type: 'ExternalName', externalName: 'example.com', selector: { app: 'web' } }, 'alias'),
  );
  await cp.client.create(PODS, pod('a'));
  await cp.clock.run(1e6);
  t.same(
    [cp.slices('manual'), cp.slices('alias'), cp.endpoints('manual'), cp.endpoints('alias')],
    [[], [], undefined, undefined],
  );

  await cp.client.create(ENDPOINTS, {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'manual', namespace: 'default' },
    subsets: [{ addresses: [{ ip: '192.0.2.1' }], notReadyAddresses: [{ ip: '192.0.2.2' }], ports: [{ port: 8080 }] }],
  });
  await cp.clock.run(1e6);
  const [mirror, ...more] = cp.slices('manual');
  t.equal(more.length, 0);
  t.match(mirror, {
    addressType: 'IPv4',
    metadata: { labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' } },
    endpoints: [
      { addresses: ['192.0.2.1'], conditions: { ready: true } },
      { addresses: ['192.0.2.2'], conditions: { ready: false } },
    ],
    ports: [{ port: 8080, protocol: 'TCP' }],
  });
  await cp.client.create(ENDPOINTS, {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'early', namespace: 'default' },
    subsets: [{ addresses: [{ ip: '192.0.2.3' }], ports: [{ port: 1 }] }],
  });
  await cp.clock.run(1e6);
  t.ok(cp.endpoints('early'), 'Endpoints written before their Service stay');
  await cp.client.delete(ENDPOINTS, 'default', 'manual');
  await cp.clock.run(1e6);
  t.same(cp.slices('manual'), []);
  t.same(cp.errors, []);
});

t.test('a changed selector or label moves endpoints; a deleted Service takes its endpoints along', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(SERVICES, service());
  await cp.client.create(PODS, pod('a'));
  await cp.client.create(PODS, pod('b', {}, { app: 'other' }));
  await cp.until(() => ready(cp).join() === 'a' && cp.readyPods().length === 2);
  await cp.client.patch(PODS, 'default', 'b', 'merge', { metadata: { labels: { app: 'web' } } });
  await cp.clock.run(0);
  t.same(ready(cp), ['a', 'b']);
  await cp.client.patch(SERVICES, 'default', 'web', 'merge', { spec: { selector: { app: 'nobody' } } });
  await cp.clock.run(0);
  t.same(ready(cp), []);
  await cp.client.delete(SERVICES, 'default', 'web');
  await cp.clock.run(1e6);
  t.same([cp.slices(), cp.endpoints()], [[], undefined]);
  t.same(cp.errors, []);
});

t.test('a deleted slice is made again, and a zone comes from the Node', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(SERVICES, service());
  await cp.client.create(PODS, pod('a'));
  await cp.until(() => ready(cp).length === 1);
  await cp.client.delete(ENDPOINTSLICES, 'default', cp.slices()[0]!.metadata.name);
  await cp.clock.run(1000);
  t.same(ready(cp), ['a']);
  await cp.client.patch(NODES, undefined, 'node-1', 'merge', {
    metadata: { labels: { 'topology.kubernetes.io/zone': 'z1' } },
  });
  await cp.clock.run(1000);
  t.equal(endpoints(cp)[0]!.zone, 'z1');
});

t.test('250 Pods take three slices, also when the watch is slow', async (t) => {
  const cp = await controlPlane(t, {
    kubelet: { maxPods: 500 },
    controllerClient: (client, clock) =>
      slowWatches(client, clock, (type) => (type.kind === 'EndpointSlice' ? 100_000 : 5_000)),
  });
  await cp.client.create(SERVICES, service());
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 250 }));
  await cp.until(() => ready(cp).length === 250);
  await cp.clock.run(2e6);
  t.same(
    cp
      .slices()
      .map((s) => s.endpoints.length)
      .sort((a, b) => a - b),
    [50, 100, 100],
  );
  t.equal(new Set(endpoints(cp).map((e) => e.addresses[0])).size, 250);
  t.equal(legacy(cp, 'addresses').length, 250);
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas: 1 } });
  await cp.until(() => endpoints(cp).length === 1 && ready(cp).length === 1);
  t.same(cp.errors, []);
});
