import t from 'tap';
import type { Pod } from '../../../src/api/core-v1.ts';
import { CONFIGMAPS, DEPLOYMENTS, NAMESPACES, PODS } from '../../../src/api/resources.ts';
import type { LocalClient } from '../../../src/apiserver/local-client.ts';
import type { DeleteOptions } from '../../../src/client/client.ts';
import { apiWorld, deployment, namespace, pod, refused } from '../../support/api.ts';

async function exists(client: LocalClient, name: string): Promise<boolean> {
  return (await client.list(PODS, { fieldSelector: `metadata.name=${name}` })).items.length > 0;
}

t.test('a Pod waits for its kubelet only when it has one and still runs', async (t) => {
  const { client } = await apiWorld(t);
  const cases: [string, Partial<Pod['spec']>, Pod['status'], DeleteOptions, number | undefined][] = [
    ['not scheduled', {}, undefined, {}, undefined],
    ['scheduled', { nodeName: 'n1' }, undefined, {}, 30],
    ['own grace', { nodeName: 'n1', terminationGracePeriodSeconds: 5 }, undefined, {}, 5],
    ['asked grace', { nodeName: 'n1' }, undefined, { gracePeriodSeconds: 7 }, 7],
    ['no grace', { nodeName: 'n1' }, undefined, { gracePeriodSeconds: 0 }, undefined],
    ['failed', { nodeName: 'n1' }, { phase: 'Failed' }, {}, undefined],
    ['succeeded', { nodeName: 'n1' }, { phase: 'Succeeded' }, {}, undefined],
  ];
  for (const [what, spec, status, options, grace] of cases) {
    const name = what.replaceAll(' ', '-');
    const made = await client.create(PODS, pod(name, spec));
    if (status) await client.update(PODS, { ...made, status }, 'status');
    await client.delete(PODS, 'default', name, options);
    if (grace === undefined) {
      t.notOk(await exists(client, name), what);
      continue;
    }
    const { metadata } = await client.get(PODS, 'default', name);
    t.same(
      [metadata.deletionGracePeriodSeconds, metadata.deletionTimestamp, metadata.generation],
      [grace, `2026-01-01T00:00:${String(grace).padStart(2, '0')}Z`, 2],
      what,
    );
    await client.delete(PODS, 'default', name, { gracePeriodSeconds: 0 });
    t.notOk(await exists(client, name), 'the kubelet ends it with grace 0');
  }
});

t.test('grace can be shortened and never lengthened', async (t) => {
  const { client, clock } = await apiWorld(t);
  await client.create(PODS, pod('a', { nodeName: 'n1' }));
  await client.delete(PODS, 'default', 'a');
  await clock.run(2e6);
  for (const [asked, grace, time] of [
    [undefined, 30, '30'],
    [60, 30, '30'],
    [10, 10, '10'],
    [20, 10, '10'],
  ] as const) {
    await client.delete(PODS, 'default', 'a', asked === undefined ? {} : { gracePeriodSeconds: asked });
    const { metadata } = await client.get(PODS, 'default', 'a');
    t.same([metadata.deletionGracePeriodSeconds, metadata.deletionTimestamp], [grace, `2026-01-01T00:00:${time}Z`]);
  }
  const current = await client.get(PODS, 'default', 'a');
  const { deletionTimestamp: _, ...without } = current.metadata;
  const kept = await client.update(PODS, { ...current, metadata: { ...without, labels: { x: 'y' } } });
  t.equal(kept.metadata.deletionTimestamp, '2026-01-01T00:00:10Z', 'an update cannot call it off');
});

t.test('finalizers hold an object until the last is taken away', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'default', finalizers: ['x.io/one', 'x.io/two'] },
  });
  await client.delete(CONFIGMAPS, 'default', 'a');
  const marked = await client.get(CONFIGMAPS, 'default', 'a');
  t.same([marked.metadata.deletionTimestamp, marked.metadata.deletionGracePeriodSeconds], ['2026-01-01T00:00:00Z', 0]);
  t.not(marked.metadata.resourceVersion, made.metadata.resourceVersion);
  await client.delete(CONFIGMAPS, 'default', 'a');
  t.same(await client.get(CONFIGMAPS, 'default', 'a'), marked, 'deleting again changes nothing');
  await refused(
    t,
    client.patch(CONFIGMAPS, 'default', 'a', 'merge', { metadata: { finalizers: ['x.io/one', 'x.io/new'] } }),
    422,
    'ConfigMap "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.io/new"}',
  );
  await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { metadata: { finalizers: ['x.io/two'] } });
  await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { metadata: { finalizers: null } });
  await refused(t, client.get(CONFIGMAPS, 'default', 'a'), 404, 'configmaps "a" not found');
});

t.test('a Pod with grace and finalizers goes when both are done, in either order', async (t) => {
  const { client } = await apiWorld(t);
  const held = (name: string) => {
    const p = pod(name, { nodeName: 'n1' });
    return { ...p, metadata: { ...p.metadata, finalizers: ['x.io/f'] } };
  };
  for (const name of ['a', 'b']) {
    await client.create(PODS, held(name));
    await client.delete(PODS, 'default', name);
  }
  const release = (name: string) => client.patch(PODS, 'default', name, 'merge', { metadata: { finalizers: null } });
  await release('a');
  t.ok(await exists(client, 'a'));
  await client.delete(PODS, 'default', 'a', { gracePeriodSeconds: 0 });
  t.notOk(await exists(client, 'a'));
  await client.delete(PODS, 'default', 'b', { gracePeriodSeconds: 0 });
  t.ok(await exists(client, 'b'));
  await release('b');
  t.notOk(await exists(client, 'b'));
});

t.test('propagation policies are finalizers for the garbage collector', async (t) => {
  const { client } = await apiWorld(t);
  for (const [policy, finalizers] of [
    ['Foreground', ['foregroundDeletion']],
    ['Orphan', ['orphan']],
  ] as const) {
    await client.create(DEPLOYMENTS, deployment('d'));
    await client.delete(DEPLOYMENTS, 'default', 'd', { propagationPolicy: policy });
    t.same((await client.get(DEPLOYMENTS, 'default', 'd')).metadata.finalizers, finalizers);
    await client.delete(DEPLOYMENTS, 'default', 'd', { propagationPolicy: 'Background' });
    await refused(t, client.get(DEPLOYMENTS, 'default', 'd'), 404, 'deployments.apps "d" not found');
  }
});

t.test('preconditions', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(PODS, pod('a'));
  await refused(
    t,
    client.delete(PODS, 'default', 'a', { preconditions: { uid: 'x' } }),
    409,
    `Operation cannot be fulfilled on Pod "a": the UID in the precondition (x) does not match the UID in record (${made.metadata.uid}). The object might have been deleted and then recreated`,
  );
  await refused(
    t,
    client.delete(PODS, 'default', 'a', { preconditions: { resourceVersion: '1' } }),
    409,
    `Operation cannot be fulfilled on Pod "a": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (${made.metadata.resourceVersion}). The object might have been modified`,
  );
  await client.delete(PODS, 'default', 'a', { preconditions: { uid: made.metadata.uid } });
  t.notOk(await exists(client, 'a'));
});

t.test('a Namespace terminates first, and is gone when it is finalized', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(NAMESPACES, namespace('dev'));
  t.same([made.status, made.spec], [{ phase: 'Active' }, { finalizers: ['kubernetes'] }]);
  await client.delete(NAMESPACES, undefined, 'dev');
  const dying = await client.get(NAMESPACES, undefined, 'dev');
  t.equal(dying.status?.phase, 'Terminating');
  t.ok(dying.metadata.deletionTimestamp);
  const error = await refused(
    t,
    client.create(PODS, { ...pod('a'), metadata: { name: 'a', namespace: 'dev' } }),
    403,
    'pods "a" is forbidden: unable to create new content in namespace dev because it is being terminated',
  );
  t.same(error.details?.causes, [
    { reason: 'NamespaceTerminating', message: 'namespace dev is being terminated', field: 'metadata.namespace' },
  ]);
  const viaSpec = await client.update(NAMESPACES, { ...dying, spec: { finalizers: [] } });
  t.same(viaSpec.spec, { finalizers: ['kubernetes'] }, 'only finalize changes spec.finalizers');
  await client.update(NAMESPACES, { ...viaSpec, spec: { finalizers: [] } }, 'finalize');
  await refused(t, client.get(NAMESPACES, undefined, 'dev'), 404, 'namespaces "dev" not found');
});

t.test('the system’s Namespaces stay', async (t) => {
  const { client } = await apiWorld(t);
  await refused(
    t,
    client.delete(NAMESPACES, undefined, 'default'),
    403,
    'namespaces "default" is forbidden: this namespace may not be deleted',
  );
});
