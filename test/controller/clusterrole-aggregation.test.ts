import t from 'tap';
import type { ClusterRole } from '../../src/api/rbac-v1.ts';
import { CLUSTERROLES } from '../../src/api/resources.ts';
import { bootstrapRoles } from '../../src/apiserver/auth/rbac/bootstrap.ts';
import { controlPlane } from '../support/control-plane.ts';

t.test('admin has what edit has, edit what view has, and each what users add to it', async (t) => {
  const cp = await controlPlane(t);
  await bootstrapRoles(cp.client);
  await cp.clock.run(1e6);
  const rules = async (name: string) => (await cp.client.get(CLUSTERROLES, undefined, name)).rules ?? [];
  const allows = async (name: string, resource: string, verb: string) =>
    (await rules(name)).some((rule) => rule.resources?.includes(resource) && rule.verbs.includes(verb));
  t.ok(await allows('view', 'pods', 'get'));
  t.notOk(await allows('view', 'pods', 'create'));
  t.ok(await allows('edit', 'pods', 'get'));
  t.ok(await allows('edit', 'pods', 'create'));
  t.notOk(await allows('edit', 'roles', 'create'));
  t.ok(await allows('admin', 'pods', 'create'));
  t.ok(await allows('admin', 'roles', 'create'));
  const wombats: ClusterRole = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'wombats', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
    rules: [{ verbs: ['get'], apiGroups: ['example.com'], resources: ['wombats'] }],
  };
  await cp.client.create(CLUSTERROLES, wombats);
  await cp.clock.run(1e6);
  for (const name of ['view', 'edit', 'admin']) t.ok(await allows(name, 'wombats', 'get'), name);
  await cp.client.delete(CLUSTERROLES, undefined, 'wombats');
  await cp.clock.run(1e6);
  t.notOk(await allows('admin', 'wombats', 'get'));
  t.same(cp.errors, []);
});

t.test('what default roles have lost comes back at the next start, and what was added stays', async (t) => {
  const cp = await controlPlane(t);
  await bootstrapRoles(cp.client);
  const added = { verbs: ['get'], apiGroups: [''], resources: ['wombats'] };
  await cp.client.patch(CLUSTERROLES, undefined, 'system:kube-dns', 'merge', { rules: [added] });
  await bootstrapRoles(cp.client);
  const role = await cp.client.get(CLUSTERROLES, undefined, 'system:kube-dns');
  t.match(role.rules?.[0], added);
  t.ok(role.rules!.some((rule) => rule.resources?.includes('services')));
  await cp.clock.run(1e6);
  const { resourceVersion } = (await cp.client.list(CLUSTERROLES)).metadata;
  await bootstrapRoles(cp.client);
  t.equal((await cp.client.list(CLUSTERROLES)).metadata.resourceVersion, resourceVersion);
});
