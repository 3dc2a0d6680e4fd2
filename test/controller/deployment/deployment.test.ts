import t from 'tap';
import type { Deployment } from '../../../src/api/apps-v1.ts';
import { condition } from '../../../src/api/pod.ts';
import { DEPLOYMENTS, PODS, REPLICASETS } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane, deployment } from '../../support/control-plane.ts';

const setImage = (cp: ControlPlane, image: string) =>
  cp.client.patch(DEPLOYMENTS, 'default', 'web', 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'web', image }] } } },
  });
const scale = (cp: ControlPlane, replicas: number) =>
  cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas } });
const images = (cp: ControlPlane) => cp.activePods().map((p) => p.spec.containers[0]!.image);

t.test('a Deployment makes a ReplicaSet and Pods with Kubernetes names', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  const [rs, ...others] = cp.replicaSets();
  t.equal(others.length, 0);
  t.match(rs!.metadata.name, /^web-[456789bcdf]{1,10}$/);
  const hash = rs!.metadata.name.slice(4);
  t.equal(rs!.metadata.labels!['pod-template-hash'], hash);
  t.equal(rs!.spec.selector.matchLabels!['pod-template-hash'], hash);
  t.equal(rs!.metadata.annotations!['deployment.kubernetes.io/revision'], '1');
  t.equal(rs!.metadata.annotations!['deployment.kubernetes.io/desired-replicas'], '2');
  t.equal(rs!.metadata.annotations!['deployment.kubernetes.io/max-replicas'], '3');
  for (const pod of cp.pods()) {
    t.match(pod.metadata.name, new RegExp(`^web-${hash}-[bcdfghjklmnpqrstvwxz2456789]{5}$`));
    t.equal(pod.metadata.labels!['pod-template-hash'], hash);
    t.match(pod.metadata.ownerReferences, [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: rs!.metadata.name,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
  }
  const d = cp.deployment();
  t.equal(d.metadata.annotations!['deployment.kubernetes.io/revision'], '1');
  t.match(d.status, { replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, observedGeneration: 1 });
  t.notOk(d.status!.unavailableReplicas);
  t.match(condition(d.status!.conditions, 'Available'), { status: 'True', reason: 'MinimumReplicasAvailable' });
  t.match(condition(d.status!.conditions, 'Progressing'), {
    status: 'True',
    reason: 'NewReplicaSetAvailable',
    message: `ReplicaSet "${rs!.metadata.name}" has successfully progressed.`,
  });
  t.same(
    cp.events('ScalingReplicaSet').map((e) => e.message),
    [`Scaled up replica set ${rs!.metadata.name} from 0 to 2`],
  );
  t.same(cp.errors, []);
});

t.test('scaling 2, 5, 1 makes and removes Pods of the one ReplicaSet', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  const first = cp.pods().map((p) => p.metadata.name);
  await scale(cp, 5);
  await cp.settled(5);
  t.ok(
    first.every((name) => cp.pods().some((p) => p.metadata.name === name)),
    'the first two stay',
  );
  await scale(cp, 1);
  await cp.settled(1);
  t.equal(cp.replicaSets().length, 1);
  t.match(cp.deployment().status, { replicas: 1, availableReplicas: 1, updatedReplicas: 1 });
  const rs = cp.replicaSets()[0]!.metadata.name;
  t.same(
    cp
      .events('ScalingReplicaSet')
      .map((e) => e.message)
      .sort(),
    [
      `Scaled down replica set ${rs} from 5 to 1`,
      `Scaled up replica set ${rs} from 0 to 2`,
      `Scaled up replica set ${rs} from 2 to 5`,
    ],
  );
  t.same(cp.errors, []);
});

t.test('a deleted Pod and a failed Pod come back', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  const [a, b] = cp.pods();
  await cp.client.delete(PODS, 'default', a!.metadata.name);
  await cp.until(
    () => cp.activePods().length === 2 && !cp.activePods().some((p) => p.metadata.uid === a!.metadata.uid),
  );
  await cp.settled(2);
  t.notOk(cp.pods().some((p) => p.metadata.name === a!.metadata.name));
  await cp.kubelets[0]!.fail(b!);
  await cp.until(() => cp.readyPods().length === 2);
  t.equal(cp.pods().length, 3, 'the failed Pod is kept for its logs');
  t.same(cp.errors, []);
});

for (const [maxSurge, maxUnavailable, replicas] of [
  [1, 0, 4],
  [0, 1, 4],
  ['25%', '25%', 5],
  ['50%', '0%', 3],
  [2, 2, 6],
  ['0%', '10%', 3],
] as const) {
  t.test(`a rollout keeps maxSurge ${maxSurge} and maxUnavailable ${maxUnavailable} at every step`, async (t) => {
    const cp = await controlPlane(t, { nodes: 2, kubelet: { startUs: 50_000, stopUs: 30_000 } });
    await cp.client.create(
      DEPLOYMENTS,
      deployment({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } }),
    );
    await cp.settled(replicas);
    const part = (v: number | string, round: (n: number) => number) =>
      typeof v === 'number' ? v : round((Number.parseInt(v, 10) * replicas) / 100);
    const surge = part(maxSurge, Math.ceil);
    const unavailable = Math.max(part(maxUnavailable, Math.floor), surge === 0 ? 1 : 0);
    let most = 0;
    let least: number = replicas;
    const look = () => {
      most = Math.max(most, cp.activePods().length);
      least = Math.min(least, cp.readyPods().length);
    };
    cp.onChange(PODS, look);
    await setImage(cp, 'nginx:2');
    await cp.until(() => images(cp).every((i) => i === 'nginx:2') && cp.readyPods().length === replicas);
    await cp.settled(replicas);
    t.ok(most <= replicas + surge, `at most ${replicas + surge} Pods, saw ${most}`);
    t.ok(least >= replicas - unavailable, `at least ${replicas - unavailable} available, saw ${least}`);
    t.ok(most === replicas + surge || least === replicas - unavailable, 'the room given was used');
    t.same(
      cp
        .replicaSets()
        .map((rs) => rs.spec.replicas)
        .sort(),
      [0, replicas],
    );
    t.equal(cp.deployment().metadata.annotations!['deployment.kubernetes.io/revision'], '2');
    t.match(condition(cp.deployment().status!.conditions, 'Progressing'), { reason: 'NewReplicaSetAvailable' });
    t.same(cp.errors, []);
  });
}

t.test('a rollout whose new Pods never become ready stops, and a rollback finishes', async (t) => {
  const cp = await controlPlane(t, {
    kubelet: { becomesReady: (pod) => pod.spec.containers[0]!.image !== 'nginx:bad' },
  });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 4, progressDeadlineSeconds: 30 }));
  await cp.settled(4);
  const good = cp.replicaSets()[0]!.metadata.name;
  await setImage(cp, 'nginx:bad');
  await cp.clock.run(5e6);
  t.equal(cp.readyPods().length, 3, 'maxUnavailable 25% of 4 is one');
  t.equal(cp.activePods().length, 5, 'maxSurge 25% of 4 is one');
  t.match(condition(cp.deployment().status!.conditions, 'Progressing'), {
    status: 'True',
    reason: 'ReplicaSetUpdated',
  });
  await cp.clock.run(40e6);
  t.match(condition(cp.deployment().status!.conditions, 'Progressing'), {
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
    message: /^ReplicaSet "web-\w+" has timed out progressing\.$/,
  });

  await setImage(cp, 'nginx:1');
  await cp.settled(4);
  t.same(new Set(images(cp)), new Set(['nginx:1']));
  const rs = cp.replicaSets().find((r) => r.metadata.name === good)!;
  t.equal(rs.spec.replicas, 4);
  t.equal(
    rs.metadata.annotations!['deployment.kubernetes.io/revision'],
    '3',
    'the old ReplicaSet is the newest revision',
  );
  t.equal(rs.metadata.annotations!['deployment.kubernetes.io/revision-history'], '1');
  t.equal(cp.deployment().metadata.annotations!['deployment.kubernetes.io/revision'], '3');
  t.match(condition(cp.deployment().status!.conditions, 'Progressing'), {
    status: 'True',
    reason: 'NewReplicaSetAvailable',
  });
  t.same(cp.errors, []);
});

t.test('Recreate starts new Pods only when the old ones are gone', async (t) => {
  const cp = await controlPlane(t, { kubelet: { stopUs: 200_000 } });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 3, strategy: { type: 'Recreate' } }));
  await cp.settled(3);
  let mixed = false;
  cp.onChange(PODS, () => {
    if (new Set(cp.pods().map((p) => p.spec.containers[0]!.image)).size > 1) mixed = true;
  });
  await setImage(cp, 'nginx:2');
  await cp.until(() => cp.readyPods().length === 3 && images(cp).every((i) => i === 'nginx:2'));
  t.notOk(mixed, 'never two versions at once');
  t.same(cp.errors, []);
});

t.test('a paused Deployment scales but does not roll; resumed, it does', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { paused: true } });
  await setImage(cp, 'nginx:2');
  await scale(cp, 3);
  await cp.settled(3);
  t.same(new Set(images(cp)), new Set(['nginx:1']));
  t.equal(cp.replicaSets().length, 1);
  t.match(condition(cp.deployment().status!.conditions, 'Progressing'), {
    status: 'Unknown',
    reason: 'DeploymentPaused',
  });
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { paused: false } });
  await cp.until(() => images(cp).every((i) => i === 'nginx:2') && cp.readyPods().length === 3);
  await cp.settled(3);
  t.same(cp.errors, []);
});

t.test('scaling in the middle of a rollout is spread over both ReplicaSets', async (t) => {
  const cp = await controlPlane(t, {
    kubelet: { becomesReady: (pod) => pod.spec.containers[0]!.image !== 'nginx:bad' },
  });
  await cp.client.create(
    DEPLOYMENTS,
    deployment({
      replicas: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
    }),
  );
  await cp.settled(10);
  await setImage(cp, 'nginx:bad');
  await cp.clock.run(2e6);
  const sizes = () =>
    cp
      .replicaSets()
      .map((rs) => rs.spec.replicas)
      .sort((a, b) => a! - b!);
  t.same(sizes(), [5, 8], 'as in the Kubernetes documentation: 13 Pods, 8 old and 5 new');
  await scale(cp, 15);
  await cp.clock.run(2e6);
  t.same(sizes(), [7, 11], '5 more, 3 to the larger and 2 to the smaller');
  t.same(cp.errors, []);
});

t.test('old ReplicaSets beyond the history limit are removed', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment({ revisionHistoryLimit: 1 }));
  await cp.settled(2);
  for (const version of [2, 3, 4]) {
    await setImage(cp, `nginx:${version}`);
    await cp.until(() => images(cp).every((i) => i === `nginx:${version}`) && cp.readyPods().length === 2);
    await cp.settled(2);
    // Names of ReplicaSets are hashes; ages differ by whole seconds.
    await cp.clock.run(1e6);
  }
  const kept = cp.replicaSets().map((rs) => rs.spec.template!.spec.containers[0]!.image);
  t.same(kept.sort(), ['nginx:3', 'nginx:4']);
  t.equal(cp.deployment().metadata.annotations!['deployment.kubernetes.io/revision'], '4');
  t.same(cp.errors, []);
});

t.test('a ReplicaSet of another owner under the same name raises collisionCount', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  const name = cp.replicaSets()[0]!.metadata.name;
  await cp.client.delete(DEPLOYMENTS, 'default', 'web');
  await cp.until(() => cp.replicaSets().length === 0 && cp.pods().length === 0);
  await cp.client.create(REPLICASETS, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name, namespace: 'default', labels: { other: 'x' } },
    spec: {
      replicas: 0,
      selector: { matchLabels: { other: 'x' } },
      template: { metadata: { labels: { other: 'x' } }, spec: { containers: [container()] } },
    },
  });
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  t.equal(cp.deployment().status!.collisionCount, 1);
  t.equal(cp.replicaSets().length, 2);
});

t.test('deleting a Deployment removes its ReplicaSets and Pods; orphaning leaves them', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  await cp.client.delete(DEPLOYMENTS, 'default', 'web', { propagationPolicy: 'Background' });
  await cp.until(() => cp.pods().length === 0 && cp.replicaSets().length === 0);

  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  const uids = cp.pods().map((p) => p.metadata.uid);
  await cp.client.delete(DEPLOYMENTS, 'default', 'web', { propagationPolicy: 'Orphan' });
  await cp.until(() => cp.view(DEPLOYMENTS).length === 0);
  await cp.clock.run(1e6);
  t.equal(cp.readyPods().length, 2);
  t.notOk(cp.replicaSets()[0]!.metadata.ownerReferences?.length, 'no owner is named any more');

  const again: Deployment = deployment();
  await cp.client.create(DEPLOYMENTS, again);
  await cp.settled(2);
  t.same(
    cp.pods().map((p) => p.metadata.uid),
    uids,
    'a Deployment of the same template adopts them',
  );
  t.same(cp.errors, []);
});
