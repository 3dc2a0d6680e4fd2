import t from 'tap';
import type { StatefulSet } from '../../../src/api/apps-v1.ts';
import { CONTROLLERREVISIONS, PODS, SERVICES, STATEFULSETS } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane, service } from '../../support/control-plane.ts';

function statefulSet(spec: Partial<StatefulSet['spec']> = {}): StatefulSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      serviceName: 'web',
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [container()] } },
      ...spec,
    },
  };
}

const patch = (cp: ControlPlane, spec: unknown) =>
  cp.client.patch(STATEFULSETS, 'default', 'web', 'strategic', { spec });
const setImage = (cp: ControlPlane, image: string) =>
  patch(cp, { template: { spec: { containers: [{ name: 'web', image }] } } });
const names = (cp: ControlPlane) => cp.pods().map((p) => p.metadata.name);
const images = (cp: ControlPlane) => cp.activePods().map((p) => p.spec.containers[0]!.image);
const set = (cp: ControlPlane) => cp.view(STATEFULSETS)[0]!;

/** Names in the order in which Pods came (+) and began to go (-). */
function story(cp: ControlPlane): string[] {
  const told: string[] = [];
  const seen = new Set<string>();
  const tell = (line: string, uid: string) => {
    if (!seen.has(line + uid)) told.push(line);
    seen.add(line + uid);
  };
  cp.onChange(PODS, () => {
    for (const { metadata } of cp.pods()) {
      tell(`+${metadata.name}`, metadata.uid);
      if (metadata.deletionTimestamp) tell(`-${metadata.name}`, metadata.uid);
    }
  });
  return told;
}

t.test('Pods are made one after the other, with names, labels and hostnames that stay', async (t) => {
  const cp = await controlPlane(t, { kubelet: { startUs: 1e6 } });
  const told = story(cp);
  await cp.client.create(SERVICES, service({ clusterIP: 'None' }));
  await cp.client.create(STATEFULSETS, statefulSet());
  await cp.clock.run(1.5e6);
  t.same(names(cp), ['web-0', 'web-1'], 'the second follows the first, which is ready; the third waits');
  await cp.settled(3);
  t.same(told, ['+web-0', '+web-1', '+web-2']);
  const [first] = cp.pods();
  t.match(first!.metadata.labels, {
    app: 'web',
    'statefulset.kubernetes.io/pod-name': 'web-0',
    'apps.kubernetes.io/pod-index': '0',
    'controller-revision-hash': set(cp).status!.currentRevision,
  });
  t.match(first!.spec, { hostname: 'web-0', subdomain: 'web' });
  t.match(first!.metadata.ownerReferences, [{ kind: 'StatefulSet', name: 'web', controller: true }]);
  t.same(
    cp
      .slices()
      .flatMap((slice) => slice.endpoints.map((e) => e.hostname))
      .sort(),
    ['web-0', 'web-1', 'web-2'],
    'each has a name in the headless Service',
  );
  const { currentRevision, ...status } = set(cp).status!;
  t.match(currentRevision, /^web-[456789bcdf]{1,10}$/);
  t.same(status, {
    observedGeneration: 1,
    replicas: 3,
    readyReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
    availableReplicas: 3,
    updateRevision: currentRevision,
    collisionCount: 0,
  });
  t.same(
    cp.events('SuccessfulCreate').map((e) => e.message),
    [0, 1, 2].map((n) => `create Pod web-${n} in StatefulSet web successful`),
  );
  t.same(cp.errors, []);
});

t.test('a Pod that is deleted or fails comes back under its name', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(STATEFULSETS, statefulSet());
  await cp.settled(3);
  const uids = () => cp.pods().map((p) => p.metadata.uid);
  const before = uids();
  await cp.client.delete(PODS, 'default', 'web-1');
  await cp.until(() => uids()[1] !== before[1] && cp.readyPods().length === 3);
  t.same(names(cp), ['web-0', 'web-1', 'web-2']);
  const between = uids();
  await cp.kubelets[0]!.fail(cp.pods()[2]!);
  await cp.until(() => uids()[2] !== between[2] && cp.readyPods().length === 3);
  t.same(
    cp.events('RecreatingFailedPod').map((e) => e.message),
    ['StatefulSet default/web is recreating failed Pod web-2'],
  );
  t.equal(uids()[0], before[0], 'the others stay');
  t.same(cp.errors, []);
});

t.test('scaling down goes from the highest ordinal, one at a time', async (t) => {
  const cp = await controlPlane(t, { kubelet: { stopUs: 500_000 } });
  await cp.client.create(STATEFULSETS, statefulSet({ replicas: 4 }));
  await cp.settled(4);
  const told = story(cp);
  await patch(cp, { replicas: 1 });
  await cp.clock.run(400_000);
  t.equal(cp.activePods().length, 3, 'the next waits until one is gone');
  await cp.settled(1);
  t.same(
    told.filter((line) => line.startsWith('-')),
    ['-web-3', '-web-2', '-web-1'],
  );
  t.match(set(cp).status, { replicas: 1, readyReplicas: 1, currentReplicas: 1, updatedReplicas: 1 });
  t.same(cp.errors, []);
});

t.test('Parallel makes and removes all at once', async (t) => {
  const cp = await controlPlane(t, { kubelet: { startUs: 1e6, stopUs: 1e6 } });
  await cp.client.create(STATEFULSETS, statefulSet({ replicas: 5, podManagementPolicy: 'Parallel' }));
  await cp.clock.run(100_000);
  t.equal(cp.pods().length, 5);
  await cp.settled(5);
  await patch(cp, { replicas: 0 });
  await cp.clock.run(100_000);
  t.equal(cp.activePods().length, 0);
  await cp.settled(0);
  t.same(cp.errors, []);
});

t.test('a rolling update replaces from the highest ordinal down, waiting for each; undone, it goes back', async (t) => {
  const cp = await controlPlane(t, { kubelet: { startUs: 200_000, stopUs: 100_000 } });
  await cp.client.create(STATEFULSETS, statefulSet());
  await cp.settled(3);
  const first = set(cp).status!.currentRevision!;
  const told = story(cp);
  let least = 3;
  cp.onChange(PODS, () => {
    least = Math.min(least, cp.readyPods().length);
  });
  await setImage(cp, 'nginx:2');
  await cp.clock.run(150_000);
  t.match(set(cp).status, { currentRevision: first, currentReplicas: 2 });
  t.not(set(cp).status!.updateRevision, first);
  await cp.until(() => images(cp).every((i) => i === 'nginx:2') && cp.readyPods().length === 3);
  await cp.settled(3);
  t.same(
    told.filter((line) => line.startsWith('-')),
    ['-web-2', '-web-1', '-web-0'],
  );
  t.equal(least, 2, 'one at a time');
  t.equal(set(cp).status!.currentRevision, set(cp).status!.updateRevision, 'complete');
  t.same(
    cp
      .view(CONTROLLERREVISIONS)
      .map((r) => r.revision)
      .sort(),
    [1, 2],
  );

  // What `kubectl rollout undo` sends: the data of the revision, as a patch.
  const old = cp.view(CONTROLLERREVISIONS).find((r) => r.revision === 1)!;
  await cp.client.patch(STATEFULSETS, 'default', 'web', 'strategic', old.data);
  await cp.until(() => images(cp).every((i) => i === 'nginx:1') && cp.readyPods().length === 3);
  await cp.settled(3);
  t.equal(set(cp).status!.currentRevision, first);
  t.same(
    cp
      .view(CONTROLLERREVISIONS)
      .map((r) => r.revision)
      .sort(),
    [2, 3],
    'the old revision is the newest',
  );
  t.same(cp.errors, []);
});

t.test('a partition holds the lower ordinals back, also when they are lost', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(
    STATEFULSETS,
    statefulSet({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } }),
  );
  await cp.settled(3);
  await setImage(cp, 'nginx:2');
  await cp.until(() => images(cp)[2] === 'nginx:2' && cp.readyPods().length === 3);
  await cp.settled(3);
  t.same(images(cp), ['nginx:1', 'nginx:1', 'nginx:2']);
  await cp.client.delete(PODS, 'default', 'web-0');
  await cp.until(() => cp.readyPods().length === 3 && cp.pods().every((p) => !p.metadata.deletionTimestamp));
  await cp.settled(3);
  t.same(images(cp), ['nginx:1', 'nginx:1', 'nginx:2']);
  t.match(set(cp).status, { currentReplicas: 2, updatedReplicas: 1 });
  t.same(cp.errors, []);
});

t.test('OnDelete leaves it to the user', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(STATEFULSETS, statefulSet({ updateStrategy: { type: 'OnDelete' } }));
  await cp.settled(3);
  await setImage(cp, 'nginx:2');
  await cp.clock.run(10e6);
  t.same(images(cp), ['nginx:1', 'nginx:1', 'nginx:1']);
  await cp.client.delete(PODS, 'default', 'web-1');
  await cp.until(() => images(cp)[1] === 'nginx:2' && cp.readyPods().length === 3);
  t.same(images(cp), ['nginx:1', 'nginx:2', 'nginx:1']);
  t.same(cp.errors, []);
});

t.test('old revisions beyond the limit go', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(STATEFULSETS, statefulSet({ replicas: 1, revisionHistoryLimit: 1 }));
  await cp.settled(1);
  for (const version of [2, 3, 4]) {
    await setImage(cp, `nginx:${version}`);
    await cp.until(() => images(cp)[0] === `nginx:${version}` && cp.readyPods().length === 1);
    await cp.settled(1);
  }
  t.same(
    cp
      .view(CONTROLLERREVISIONS)
      .map((r) => r.revision)
      .sort(),
    [3, 4],
  );
});

t.test('deleting it takes Pods and revisions along', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(STATEFULSETS, statefulSet());
  await cp.settled(3);
  await cp.client.delete(STATEFULSETS, 'default', 'web');
  await cp.until(() => cp.pods().length === 0 && cp.view(CONTROLLERREVISIONS).length === 0);
  t.same(cp.errors, []);
});

t.test('what the API refuses of a StatefulSet', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(STATEFULSETS, statefulSet());
  await t.rejects(patch(cp, { serviceName: 'other' }), {
    message:
      "StatefulSet.apps \"web\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
  });
  const bad = {
    ...statefulSet({ podManagementPolicy: 'Random' as never }),
    metadata: { name: 'b', namespace: 'default' },
  };
  await t.rejects(cp.client.create(STATEFULSETS, bad), {
    message:
      'StatefulSet.apps "b" is invalid: spec.podManagementPolicy: Invalid value: "Random": must be \'OrderedReady\' or \'Parallel\'',
  });
});
