import t from 'tap';
import type { ConfigMap } from '../../../src/api/core-v1.ts';
import type { OwnerReference, Stored } from '../../../src/api/meta.ts';
import { CONFIGMAPS, DEPLOYMENTS, REPLICASETS } from '../../../src/api/resources.ts';
import { type ControlPlane, controlPlane, deployment } from '../../support/control-plane.ts';

const map = (name: string, ownerReferences: OwnerReference[] = []): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...(ownerReferences.length > 0 ? { ownerReferences } : {}) },
});
const ref = (owner: Stored, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: owner.metadata.name,
  uid: owner.metadata.uid,
  ...more,
});
const names = async (cp: ControlPlane) =>
  (await cp.client.list(CONFIGMAPS, { namespace: 'default' })).items.map((m) => m.metadata.name).sort();

t.test('in the background the owner goes at once and dependents follow, all the way down', async (t) => {
  const cp = await controlPlane(t);
  const a = await cp.client.create(CONFIGMAPS, map('a'));
  const b = await cp.client.create(CONFIGMAPS, map('b', [ref(a)]));
  await cp.client.create(CONFIGMAPS, map('c', [ref(b)]));
  await cp.client.create(CONFIGMAPS, map('free'));
  await cp.clock.run(1e6);
  t.same(await names(cp), ['a', 'b', 'c', 'free']);
  await cp.client.delete(CONFIGMAPS, 'default', 'a', { propagationPolicy: 'Background' });
  await cp.clock.run(1e6);
  t.same(await names(cp), ['free']);
  t.same(cp.errors, []);
});

t.test('an object with another living owner stays and only forgets the dead one', async (t) => {
  const cp = await controlPlane(t);
  const a = await cp.client.create(CONFIGMAPS, map('a'));
  const b = await cp.client.create(CONFIGMAPS, map('b'));
  await cp.client.create(CONFIGMAPS, map('c', [ref(a), ref(b)]));
  await cp.client.delete(CONFIGMAPS, 'default', 'a');
  await cp.clock.run(1e6);
  const c = await cp.client.get(CONFIGMAPS, 'default', 'c');
  t.same(
    c.metadata.ownerReferences!.map((o) => o.name),
    ['b'],
  );
});

t.test('an owner that never was, or was another object of that name, counts as gone', async (t) => {
  const cp = await controlPlane(t);
  const a = await cp.client.create(CONFIGMAPS, map('a'));
  await cp.client.create(
    CONFIGMAPS,
    map('ghost', [ref(a, { name: 'nobody', uid: '00000000-0000-0000-0000-000000000000' })]),
  );
  await cp.client.create(CONFIGMAPS, map('late', [ref(a, { uid: '00000000-0000-0000-0000-000000000001' })]));
  await cp.client.create(CONFIGMAPS, map('unknown-kind', [ref(a, { apiVersion: 'example.com/v1', kind: 'Thing' })]));
  await cp.clock.run(1e6);
  t.same(await names(cp), ['a', 'unknown-kind']);
});

t.test('in the foreground the owner waits for dependents that block it', async (t) => {
  const cp = await controlPlane(t, { kubelet: { stopUs: 500_000 } });
  await cp.client.create(DEPLOYMENTS, deployment());
  await cp.settled(2);
  await cp.client.delete(DEPLOYMENTS, 'default', 'web', { propagationPolicy: 'Foreground' });
  await cp.clock.run(100_000);
  t.same(cp.deployment().metadata.finalizers, ['foregroundDeletion']);
  t.equal((await cp.client.list(REPLICASETS, {})).items.filter((r) => r.metadata.namespace === 'default').length, 1);
  await cp.until(() => cp.view(DEPLOYMENTS).length === 0);
  t.equal(cp.pods().length, 0);
  t.equal(cp.replicaSets().length, 0);
  t.same(cp.errors, []);
});

t.test('orphaned dependents live on without the owner', async (t) => {
  const cp = await controlPlane(t);
  const a = await cp.client.create(CONFIGMAPS, map('a'));
  await cp.client.create(CONFIGMAPS, map('b', [ref(a)]));
  await cp.clock.run(1e6);
  await cp.client.delete(CONFIGMAPS, 'default', 'a', { propagationPolicy: 'Orphan' });
  await cp.clock.run(1e6);
  t.same(await names(cp), ['b']);
  t.notOk((await cp.client.get(CONFIGMAPS, 'default', 'b')).metadata.ownerReferences?.length);
  t.same(cp.errors, []);
});
