import t from 'tap';
import type { ReplicaSet } from '../../../src/api/apps-v1.ts';
import { condition } from '../../../src/api/pod.ts';
import { DEPLOYMENTS, PODS, REPLICASETS } from '../../../src/api/resources.ts';
import { container, controlPlane, deployment, pod } from '../../support/control-plane.ts';
import { slowWatches } from '../../support/slow-client.ts';

function replicaSet(replicas: number, spec: Partial<ReplicaSet['spec']> = {}): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [container()] } },
      ...spec,
    },
  };
}

t.test('a slow watch does not make it create or delete too many', async (t) => {
  const cp = await controlPlane(t, {
    controllerClient: (client, clock) => slowWatches(client, clock, (type) => (type.kind === 'Pod' ? 300_000 : 20_000)),
  });
  let most = 0;
  let made = 0;
  cp.onChange(PODS, () => {
    most = Math.max(most, cp.activePods().length);
  });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 20 }));
  await cp.settled(20);
  t.equal(most, 20);
  made = cp.events('SuccessfulCreate').reduce((n, e) => n + e.count!, 0);
  t.ok(made <= 20);
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas: 7 } });
  let least = 20;
  cp.onChange(PODS, () => {
    least = Math.min(least, cp.activePods().length);
  });
  await cp.settled(7);
  await cp.clock.run(5e6);
  t.equal(least, 7);
  t.same(cp.errors, []);
});

t.test(
  'Pods that match and have no owner are adopted; a Pod whose labels change is released and replaced',
  async (t) => {
    const cp = await controlPlane(t);
    await cp.client.create(PODS, pod('mine'));
    await cp.client.create(REPLICASETS, replicaSet(2));
    await cp.settled(2);
    const mine = cp.pods().find((p) => p.metadata.name === 'mine')!;
    t.match(mine.metadata.ownerReferences, [{ kind: 'ReplicaSet', name: 'web', controller: true }]);
    await cp.client.patch(PODS, 'default', 'mine', 'merge', { metadata: { labels: { app: 'debug' } } });
    await cp.settled(3);
    const freed = cp.pods().find((p) => p.metadata.name === 'mine')!;
    t.notOk(freed.metadata.ownerReferences?.length);
    t.match(cp.replicaSets()[0]!.status, {
      replicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      fullyLabeledReplicas: 2,
    });
    t.same(cp.errors, []);
  },
);

t.test('minReadySeconds delays availability, not readiness', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(REPLICASETS, replicaSet(2, { minReadySeconds: 10 }));
  await cp.settled(2);
  t.match(cp.replicaSets()[0]!.status, { readyReplicas: 2 });
  t.notOk(cp.replicaSets()[0]!.status!.availableReplicas);
  await cp.clock.run(12e6);
  t.match(cp.replicaSets()[0]!.status, { readyReplicas: 2, availableReplicas: 2 });
});

t.test('Pods that cannot be made leave a condition and an event, and few attempts', async (t) => {
  let attempts = 0;
  const cp = await controlPlane(t, {
    controllerClient: (client, clock) => ({
      ...slowWatches(client, clock, () => 0),
      create: (type, object) => {
        if (type.kind !== 'Pod') return client.create(type, object);
        attempts++;
        return Promise.reject(new Error('quota exceeded'));
      },
    }),
  });
  await cp.client.create(REPLICASETS, replicaSet(100));
  await cp.clock.run(1000);
  t.ok(attempts <= 3, `of 100 Pods one is tried at a time: ${attempts}`);
  t.match(condition(cp.replicaSets()[0]!.status!.conditions, 'ReplicaFailure'), {
    status: 'True',
    reason: 'FailedCreate',
    message: 'quota exceeded',
  });
  t.equal(cp.events('FailedCreate')[0]!.message, 'Error creating: quota exceeded');
});
