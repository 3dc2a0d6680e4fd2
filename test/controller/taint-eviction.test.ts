import t from 'tap';
import { DEPLOYMENTS, NODES, PODS } from '../../src/api/resources.ts';
import { type ControlPlane, controlPlane, deployment, pod } from '../support/control-plane.ts';

const taint = (cp: ControlPlane, taints: object[] | null) =>
  cp.client.patch(NODES, undefined, 'node-1', 'merge', { spec: { taints } });
const MAINTENANCE = [{ key: 'maintenance', value: 'now', effect: 'NoExecute' }];
const names = (cp: ControlPlane) => cp.activePods().map((p) => p.metadata.name);

t.test('who does not tolerate a NoExecute taint goes at once, others when their time is over', async (t) => {
  const cp = await controlPlane(t);
  const key = { key: 'maintenance', operator: 'Exists' as const, effect: 'NoExecute' };
  await cp.client.create(PODS, pod('plain'));
  await cp.client.create(PODS, pod('patient', { tolerations: [{ ...key, tolerationSeconds: 30 }] }));
  await cp.client.create(PODS, pod('steady', { tolerations: [key] }));
  await cp.settled(3);
  await taint(cp, MAINTENANCE);
  await cp.clock.run(1e6);
  t.same(names(cp), ['patient', 'steady']);
  t.equal(cp.events('TaintManagerEviction')[0]!.message, 'Marking for deletion Pod default/plain');
  await cp.clock.run(28e6);
  t.same(names(cp), ['patient', 'steady']);
  await cp.clock.run(2e6);
  t.same(names(cp), ['steady']);
  t.same(cp.errors, []);
});

t.test('a taint that goes in time changes nothing', async (t) => {
  const cp = await controlPlane(t);
  const tolerations = [{ key: 'maintenance', operator: 'Exists' as const, tolerationSeconds: 30 }];
  await cp.client.create(PODS, pod('patient', { tolerations }));
  await cp.settled(1);
  await taint(cp, MAINTENANCE);
  await cp.clock.run(20e6);
  await taint(cp, null);
  await cp.clock.run(60e6);
  t.same(names(cp), ['patient']);
  t.equal(cp.events('TaintManagerEviction')[0]!.message, 'Cancelling deletion of Pod default/patient');
});

t.test('a Node that is not ready for five minutes loses its Pods to another', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 4 }));
  await cp.settled(4);
  const conditions = [{ type: 'Ready', status: 'False' }];
  await cp.client.patch(NODES, undefined, 'node-1', 'merge', { status: { conditions } }, 'status');
  await cp.clock.run(290e6);
  t.ok(cp.activePods().some((p) => p.spec.nodeName === 'node-1'));
  await cp.clock.run(20e6);
  await cp.settled(4);
  t.ok(cp.activePods().every((p) => p.spec.nodeName === 'node-2'));
  t.same(cp.errors, []);
});
