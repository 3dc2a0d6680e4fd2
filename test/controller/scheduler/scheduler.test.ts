import t from 'tap';
import { condition } from '../../../src/api/pod.ts';
import { DEPLOYMENTS, NODES, PODS } from '../../../src/api/resources.ts';
import { type ControlPlane, controlPlane, deployment, pod } from '../../support/control-plane.ts';

function perNode(cp: ControlPlane): number[] {
  const counts = new Map<string, number>(cp.view(NODES).map((n) => [n.metadata.name, 0]));
  for (const p of cp.activePods()) counts.set(p.spec.nodeName!, (counts.get(p.spec.nodeName!) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => a - b);
}

t.test('Pods spread over the Nodes', async (t) => {
  const cp = await controlPlane(t, { nodes: 3 });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 8 }));
  await cp.settled(8);
  t.same(perNode(cp), [2, 3, 3]);
});

t.test('ties are broken by the seed: the same seed, the same Node', async (t) => {
  const place = async (seed: number) => {
    const cp = await controlPlane(t, { nodes: 4, seed });
    await cp.client.create(PODS, pod('jump'));
    await cp.until(() => Boolean(cp.pods()[0]?.spec.nodeName));
    return cp.pods()[0]!.spec.nodeName!;
  };
  t.equal(await place(5), await place(5));
  const nodes = new Set<string>();
  for (let seed = 0; seed < 12; seed++) nodes.add(await place(seed));
  t.ok(nodes.size > 1);
});

t.test('the event Scheduled names the Node', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(PODS, pod('jump'));
  await cp.until(() => cp.readyPods().length === 1);
  const [event] = cp.events('Scheduled');
  t.match(event, {
    message: 'Successfully assigned default/jump to node-1',
    type: 'Normal',
    source: { component: 'default-scheduler' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'jump', uid: cp.pods()[0]!.metadata.uid },
    count: 1,
  });
  t.match(event!.metadata.name, /^jump\.[0-9a-f]+$/);
});

t.test('a Pod that fits nowhere waits, says why, and goes when a Node fits', async (t) => {
  const cp = await controlPlane(t, { nodes: 0 });
  await cp.client.create(PODS, pod('jump', { nodeSelector: { disk: 'ssd' } }));
  await cp.clock.run(1e6);
  t.equal(cp.events('FailedScheduling')[0]!.message, 'no nodes available to schedule pods');
  await cp.addNode(0);
  await cp.clock.run(1e6);
  const message =
    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
  t.match(condition(cp.pods()[0]!.status!.conditions, 'PodScheduled'), {
    status: 'False',
    reason: 'Unschedulable',
    message,
  });
  await cp.addNode(1, { labels: { disk: 'ssd' } });
  await cp.until(() => cp.readyPods().length === 1);
  t.equal(cp.pods()[0]!.spec.nodeName, 'node-2');
  t.same(cp.errors, []);
});

t.test('a cordoned Node gets no Pods until it is uncordoned', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.patch(NODES, undefined, 'node-1', 'merge', { spec: { unschedulable: true } });
  await cp.clock.run(1000);
  const node = cp.client.get(NODES, undefined, 'node-1');
  t.match((await node).spec!.taints, [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }]);
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 3 }));
  await cp.settled(3);
  t.ok(cp.pods().every((p) => p.spec.nodeName === 'node-2'));
  await cp.client.patch(NODES, undefined, 'node-1', 'merge', { spec: { unschedulable: false } });
  await cp.clock.run(1000);
  t.notOk((await cp.client.get(NODES, undefined, 'node-1')).spec!.taints?.length);
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas: 6 } });
  await cp.settled(6);
  t.same(perNode(cp), [3, 3]);
});

t.test('a full Node takes the next Pod when one ends', async (t) => {
  const cp = await controlPlane(t, { kubelet: { maxPods: 2 } });
  for (const name of ['a', 'b', 'c']) await cp.client.create(PODS, pod(name));
  await cp.until(() => cp.readyPods().length === 2);
  await cp.clock.run(1e6);
  const waiting = cp.pods().find((p) => !p.spec.nodeName)!;
  t.match(
    condition(waiting.status!.conditions, 'PodScheduled')!.message,
    /^0\/1 nodes are available: 1 Too many pods\./,
  );
  await cp.client.delete(PODS, 'default', cp.readyPods()[0]!.metadata.name);
  await cp.until(() => cp.readyPods().some((p) => p.metadata.uid === waiting.metadata.uid));
  t.same(cp.errors, []);
});

t.test('a Pod that fits nowhere is not tried at every change', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(PODS, pod('big', { nodeSelector: { disk: 'ssd' } }));
  const tries = () => cp.events('FailedScheduling')[0]?.count ?? 0;
  await cp.clock.run(100_000);
  t.equal(tries(), 1);
  for (let i = 0; i < 26; i++) {
    await cp.client.patch(NODES, undefined, 'node-1', 'merge', { metadata: { labels: { change: String(i) } } });
    await cp.clock.run(500_000);
  }
  t.equal(tries(), 4, 'after 1, 2 and 4 s; the next comes after 8 s more');
  await cp.client.patch(NODES, undefined, 'node-1', 'merge', { metadata: { labels: { disk: 'ssd' } } });
  await cp.until(() => cp.readyPods().length === 1, 10e6);
});

t.test('the Pods of a Node that is not ready become not ready', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 4 }));
  await cp.settled(4);
  const node = await cp.client.get(NODES, undefined, 'node-1');
  const conditions = [{ type: 'Ready', status: 'Unknown' as const, reason: 'NodeStatusUnknown' }];
  await cp.client.update(NODES, { ...node, status: { ...node.status, conditions } }, 'status');
  await cp.until(() => cp.readyPods().length === 2);
  t.ok(cp.readyPods().every((p) => p.spec.nodeName === 'node-2'));
  t.match((await cp.client.get(NODES, undefined, 'node-1')).spec!.taints, [
    { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' },
    { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' },
  ]);
});

t.test('Pods of a removed Node are collected and replaced', async (t) => {
  const cp = await controlPlane(t, { nodes: 2 });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 4 }));
  await cp.settled(4);
  cp.kubelets[0]!.close();
  await cp.client.delete(NODES, undefined, 'node-1');
  await cp.clock.run(30e6);
  t.equal(cp.pods().filter((p) => p.spec.nodeName === 'node-1').length, 2, 'it may come back');
  await cp.until(() => cp.readyPods().filter((p) => p.spec.nodeName === 'node-2').length === 4, 60e6);
  await cp.settled(4);
  t.same(cp.errors, []);
});
