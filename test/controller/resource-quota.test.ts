import t from 'tap';
import type { ResourceQuota } from '../../src/api/core-v1.ts';
import { PODS, RESOURCEQUOTAS } from '../../src/api/resources.ts';
import { controlPlane, pod } from '../support/control-plane.ts';

t.test('a quota counts what is there, and again what goes', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(PODS, pod('before'));
  const quota: ResourceQuota = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace: 'default' },
    spec: { hard: { pods: '2', 'count/pods': '9' } },
  };
  await cp.client.create(RESOURCEQUOTAS, quota);
  await cp.clock.run(1e6);
  const status = async () => (await cp.client.get(RESOURCEQUOTAS, 'default', 'q')).status;
  t.same(await status(), { hard: { pods: '2', 'count/pods': '9' }, used: { pods: '1', 'count/pods': '1' } });
  await cp.client.create(PODS, pod('web'));
  t.match(await status(), { used: { pods: '2' } }, 'charged at once');
  await t.rejects(cp.client.create(PODS, pod('more')), {
    message: /exceeded quota: q, requested: pods=1, used: pods=2/,
  });
  await cp.client.delete(PODS, 'default', 'before');
  await cp.clock.run(60e6);
  t.match(await status(), { used: { pods: '1', 'count/pods': '1' } });
  await cp.client.create(PODS, pod('more'));
  await cp.clock.run(1e6);
  await cp.client.patch(PODS, 'default', 'more', 'merge', { status: { phase: 'Succeeded' } }, 'status');
  await cp.clock.run(1e6);
  t.match(await status(), { used: { pods: '1', 'count/pods': '2' } }, 'a Pod that has ended takes only its place');
  await cp.client.patch(RESOURCEQUOTAS, 'default', 'q', 'merge', { spec: { hard: { pods: '7', 'count/pods': null } } });
  await cp.clock.run(1e6);
  t.same(await status(), { hard: { pods: '7' }, used: { pods: '1' } });
  t.same(cp.errors, []);
});
