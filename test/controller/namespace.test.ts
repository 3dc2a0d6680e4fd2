import t from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import {
  CONFIGMAPS,
  DEPLOYMENTS,
  EVENTS,
  NAMESPACES,
  PODS,
  RESOURCES,
  SERVICEACCOUNTS,
  SERVICES,
} from '../../src/api/resources.ts';
import { controlPlane, deployment, pod, service } from '../support/control-plane.ts';

const inside = <T extends KubeObject>(object: T, namespace = 'dev'): T => ({
  ...object,
  metadata: { ...object.metadata, namespace },
});

t.test('a new Namespace gets its ServiceAccount, and again when that is deleted', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'dev' } });
  await cp.clock.run(0);
  const first = await cp.client.get(SERVICEACCOUNTS, 'dev', 'default');
  await cp.client.delete(SERVICEACCOUNTS, 'dev', 'default');
  await cp.clock.run(0);
  t.not((await cp.client.get(SERVICEACCOUNTS, 'dev', 'default')).metadata.uid, first.metadata.uid);
});

t.test('deleting a Namespace empties it, lets Pods end, and touches no other', async (t) => {
  const cp = await controlPlane(t, { kubelet: { stopUs: 2e6 } });
  const { client } = cp;
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'dev' } });
  await client.create(DEPLOYMENTS, inside(deployment()));
  await client.create(SERVICES, inside(service()));
  await client.create(PODS, inside(pod('jump')));
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'dev' },
    data: {},
  });
  await client.create(DEPLOYMENTS, deployment());
  await cp.until(() => cp.readyPods('dev').length === 3 && cp.readyPods().length === 2);
  t.ok(cp.view(EVENTS).some((e) => e.metadata.namespace === 'dev'));

  await client.delete(NAMESPACES, undefined, 'dev');
  await cp.clock.run(4_900_000);
  t.equal(cp.activePods('dev').length, 3, 'for five seconds a client may still delete what is inside, as in a cluster');
  await client.delete(PODS, 'dev', 'jump');
  await cp.clock.run(200_000);
  const going = await client.get(NAMESPACES, undefined, 'dev');
  t.equal(going.status!.phase, 'Terminating');
  t.match(going.status!.conditions, [{ type: 'NamespaceContentRemaining', message: /pods has 3 resource instances/ }]);
  t.equal(cp.activePods('dev').length, 0, 'no new Pods are made');
  await t.rejects(client.create(PODS, inside(pod('late'))), /because it is being terminated/);

  await cp.until(() => !cp.view(NAMESPACES).some((n) => n.metadata.name === 'dev'), 10e6);
  for (const type of RESOURCES.filter((r) => r.namespaced)) {
    t.same(
      (await client.list(type, { namespace: 'dev' })).items.map((o) => o.metadata.name),
      [],
      type.resource,
    );
  }
  t.equal(cp.readyPods().length, 2);
  t.same(cp.errors, []);
});
