import t from 'tap';
import type { DaemonSet } from '../../../src/api/apps-v1.ts';
import { CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane } from '../../support/control-plane.ts';

function daemonSet(spec: Partial<DaemonSet['spec']> = {}, pod: object = {}): DaemonSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [container()], ...pod } },
      ...spec,
    },
  };
}

const setImage = (cp: ControlPlane, image: string) =>
  cp.client.patch(DAEMONSETS, 'default', 'agent', 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'web', image }] } } },
  });
const nodes = (cp: ControlPlane) =>
  cp
    .activePods()
    .map((p) => p.spec.nodeName)
    .sort();
const images = (cp: ControlPlane) => cp.activePods().map((p) => p.spec.containers[0]!.image);
const set = (cp: ControlPlane) => cp.view(DAEMONSETS)[0]!;

t.test('one Pod on every Node, also on one that comes later', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DAEMONSETS, daemonSet());
  await cp.settled(2);
  t.same(nodes(cp), ['node-1', 'node-2']);
  await cp.addNode(2);
  await cp.settled(3);
  t.same(nodes(cp), ['node-1', 'node-2', 'node-3']);
  t.same(set(cp).status, {
    currentNumberScheduled: 3,
    numberMisscheduled: 0,
    desiredNumberScheduled: 3,
    numberReady: 3,
    observedGeneration: 1,
    updatedNumberScheduled: 3,
    numberAvailable: 3,
  });
  const { metadata } = cp.pods()[0]!;
  t.match(metadata.labels, {
    app: 'agent',
    'pod-template-generation': '1',
    'controller-revision-hash': /^[456789bcdf]{1,10}$/,
  });
  await cp.client.delete(PODS, 'default', metadata.name);
  await cp.until(() => !cp.pods().some((p) => p.metadata.uid === metadata.uid));
  await cp.settled(3);
  t.same(nodes(cp), ['node-1', 'node-2', 'node-3']);
  t.same(cp.errors, []);
});

t.test('only where labels and taints allow it; cordoned Nodes keep theirs', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DAEMONSETS, daemonSet({}, { nodeSelector: { disk: 'ssd' } }));
  await cp.clock.run(1e6);
  t.equal(cp.pods().length, 0);
  t.match(set(cp).status, { desiredNumberScheduled: 0 });
  await cp.client.patch(NODES, undefined, 'node-2', 'merge', { metadata: { labels: { disk: 'ssd' } } });
  await cp.settled(1);
  t.same(nodes(cp), ['node-2']);
  await cp.client.patch(NODES, undefined, 'node-2', 'merge', { spec: { unschedulable: true } });
  await cp.clock.run(1e6);
  t.same(nodes(cp), ['node-2'], 'a daemon tolerates unschedulable');
  const taints = [{ key: 'gone', effect: 'NoExecute' }];
  await cp.client.patch(NODES, undefined, 'node-2', 'merge', { spec: { unschedulable: null, taints } });
  await cp.settled(0);
  await cp.client.patch(NODES, undefined, 'node-2', 'merge', { spec: { taints: null } });
  await cp.settled(1);
  await cp.client.patch(NODES, undefined, 'node-2', 'merge', { metadata: { labels: { disk: null } } });
  await cp.settled(0);
  t.same(cp.errors, []);
});

for (const [what, rollingUpdate, least, most] of [
  ['maxUnavailable 1', { maxUnavailable: 1 }, 3, 4],
  ['maxUnavailable 50%', { maxUnavailable: '50%' }, 2, 4],
  ['maxSurge 1', { maxUnavailable: 0, maxSurge: 1 }, 4, 5],
] as const) {
  t.test(`a rolling update with ${what}`, async (t) => {
    const cp = await controlPlane(t, { nodes: 4, kubelet: { startUs: 300_000, stopUs: 200_000 } });
    await cp.client.create(DAEMONSETS, daemonSet({ updateStrategy: { type: 'RollingUpdate', rollingUpdate } }));
    await cp.settled(4);
    const seen = { least: 4, most: 0 };
    cp.onChange(PODS, () => {
      seen.least = Math.min(seen.least, cp.readyPods().length);
      seen.most = Math.max(seen.most, cp.activePods().length);
    });
    await setImage(cp, 'nginx:2');
    await cp.until(() => images(cp).every((i) => i === 'nginx:2') && cp.readyPods().length === 4);
    await cp.settled(4);
    t.same(seen, { least, most });
    t.same(nodes(cp), ['node-1', 'node-2', 'node-3', 'node-4']);
    t.match(set(cp).status, { updatedNumberScheduled: 4, numberAvailable: 4, observedGeneration: 2 });
    t.equal(set(cp).metadata.annotations!['deprecated.daemonset.template.generation'], '2');
    t.same(
      cp
        .view(CONTROLLERREVISIONS)
        .map((r) => r.revision)
        .sort(),
      [1, 2],
    );
    t.same(cp.errors, []);
  });
}

t.test('OnDelete leaves it to the user', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DAEMONSETS, daemonSet({ updateStrategy: { type: 'OnDelete' } }));
  await cp.settled(2);
  await setImage(cp, 'nginx:2');
  await cp.clock.run(5e6);
  t.same(images(cp), ['nginx:1', 'nginx:1']);
  await cp.client.delete(PODS, 'default', cp.pods()[0]!.metadata.name);
  await cp.until(() => cp.readyPods().length === 2 && images(cp).includes('nginx:2'));
  t.same(images(cp).sort(), ['nginx:1', 'nginx:2']);
  t.same(cp.errors, []);
});
