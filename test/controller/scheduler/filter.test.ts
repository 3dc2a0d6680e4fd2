import t from 'tap';
import type { Node, Pod } from '../../../src/api/core-v1.ts';
import { filterNode, fitError, type NodeLoad, requestsOf } from '../../../src/controller/scheduler/filter.ts';
import { container, pod } from '../../support/control-plane.ts';

function load(spec: Node['spec'] = {}, rest: Partial<NodeLoad> = {}, labels: Record<string, string> = {}): NodeLoad {
  const node: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n', labels },
    spec,
    status: { allocatable: { pods: '3', cpu: '2', memory: '1Gi' } },
  };
  return { node, pods: 0, cpu: 0, memory: 0, ...rest };
}

const asking = (cpu: string, memory = '0') => ({
  containers: [container({ resources: { requests: { cpu, memory } } })],
});
const why = (p: Pod, l: NodeLoad) => filterNode(p, requestsOf(p), l, undefined);

t.test('why a Node refuses a Pod', async (t) => {
  const rows: [string, Pod, NodeLoad, string[]][] = [
    ['room', pod('p'), load(), []],
    ['cordoned', pod('p'), load({ unschedulable: true }), ['node(s) were unschedulable']],
    [
      'cordoned, tolerated',
      pod('p', {
        tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' }],
      }),
      load({ unschedulable: true }),
      [],
    ],
    [
      'selector',
      pod('p', { nodeSelector: { disk: 'ssd' } }),
      load(),
      ["node(s) didn't match Pod's node affinity/selector"],
    ],
    ['selector met', pod('p', { nodeSelector: { disk: 'ssd' } }), load({}, {}, { disk: 'ssd' }), []],
    [
      'taint',
      pod('p'),
      load({ taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] }),
      ['node(s) had untolerated taint {k: v}'],
    ],
    ['soft taint', pod('p'), load({ taints: [{ key: 'k', effect: 'PreferNoSchedule' }] }), []],
    [
      'taint tolerated',
      pod('p', { tolerations: [{ key: 'k', operator: 'Equal', value: 'v' }] }),
      load({ taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] }),
      [],
    ],
    [
      'everything tolerated',
      pod('p', { tolerations: [{ operator: 'Exists' }] }),
      load({ taints: [{ key: 'k', effect: 'NoExecute' }] }),
      [],
    ],
    ['full', pod('p'), load({}, { pods: 3 }), ['Too many pods']],
    ['cpu', pod('p', asking('1500m')), load({}, { cpu: 0.6 }), ['Insufficient cpu']],
    ['cpu just fits', pod('p', asking('1500m')), load({}, { cpu: 0.5 }), []],
    [
      'both',
      pod('p', asking('3', '2Gi')),
      load({}, { pods: 3 }),
      ['Too many pods', 'Insufficient cpu', 'Insufficient memory'],
    ],
  ];
  for (const [claim, p, l, expected] of rows) t.same(why(p, l), expected, claim);
});

t.test('a RuntimeClass may confine its Pods', async (t) => {
  const runtimeClass = {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'netns' },
    handler: 'netns',
    scheduling: { nodeSelector: { root: 'yes' } },
  };
  t.same(filterNode(pod('p'), { cpu: 0, memory: 0 }, load(), runtimeClass), [
    "node(s) didn't match Pod's node affinity/selector",
  ]);
  t.same(filterNode(pod('p'), { cpu: 0, memory: 0 }, load({}, {}, { root: 'yes' }), runtimeClass), []);
});

t.test('FailedScheduling is worded as the real scheduler words it', async (t) => {
  t.equal(fitError([]), 'no nodes available to schedule pods');
  t.equal(
    fitError([['node(s) were unschedulable']]),
    '0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
  );
  t.equal(
    fitError([["node(s) didn't match Pod's node affinity/selector"], ['Too many pods'], ['Too many pods']]),
    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 Too many pods. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
  );
});

t.test('a Pod asks for its containers together or its largest init container', async (t) => {
  const p = pod('p', {
    ...asking('1'),
    initContainers: [
      container({ name: 'init', resources: { requests: { cpu: '4' } } }),
      container({ name: 'side', restartPolicy: 'Always', resources: { requests: { cpu: '500m' } } }),
    ],
  });
  t.equal(requestsOf(p).cpu, 4);
  p.spec.initContainers!.shift();
  t.equal(requestsOf(p).cpu, 1.5);
});
