import t from 'tap';
import type { Pod } from '../../../src/api/core-v1.ts';
import { formatTime } from '../../../src/api/time.ts';
import { compareForDeletion, DELETION_COST, podsToDelete } from '../../../src/controller/replicaset/rank.ts';

const NOW_MS = Date.UTC(2026, 0, 2);

interface Shape {
  name?: string;
  node?: string;
  phase?: 'Pending' | 'Unknown' | 'Running' | 'Failed';
  ready?: boolean;
  readyAgoS?: number;
  ageS?: number;
  cost?: string;
  restarts?: number;
  deleting?: boolean;
}

function pod(shape: Shape): Pod {
  const {
    name = 'p',
    node = 'n1',
    phase = 'Running',
    ready = true,
    readyAgoS = 1000,
    ageS = 2000,
    cost,
    restarts = 0,
  } = shape;
  const at = (agoS: number) => formatTime(NOW_MS - agoS * 1000);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: name,
      creationTimestamp: at(ageS),
      ...(cost === undefined ? {} : { annotations: { [DELETION_COST]: cost } }),
      ...(shape.deleting ? { deletionTimestamp: at(0) } : {}),
    },
    spec: { containers: [{ name: 'c' }], ...(node ? { nodeName: node } : {}) },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: at(readyAgoS) }],
      containerStatuses: [{ name: 'c', ready, restartCount: restarts, image: '', imageID: '' }],
    },
  };
}

/** The first goes before the second, everything after the difference notwithstanding. */
const rules: [claim: string, first: Shape, second: Shape, ranks?: [number, number]][] = [
  ['unassigned before assigned', { node: '', phase: 'Running' }, { phase: 'Pending' }],
  ['Pending before Unknown', { phase: 'Pending' }, { phase: 'Unknown', ready: false }],
  ['Unknown before Running', { phase: 'Unknown' }, { phase: 'Running', ready: false }],
  ['not ready before ready', { ready: false, cost: '100' }, { ready: true, cost: '-100' }],
  ['lower deletion cost first', { cost: '-5' }, {}, [1, 9]],
  ['a deletion cost that is no number counts as 0', { cost: '0' }, { cost: '+7', ageS: 90000 }],
  ['more Pods on the node first', { readyAgoS: 90000 }, { readyAgoS: 10 }, [3, 2]],
  ['ready for a shorter time first', { readyAgoS: 10, restarts: 0 }, { readyAgoS: 1000, restarts: 9 }],
  ['more restarts first', { restarts: 3, ageS: 90000 }, { restarts: 2, ageS: 10 }],
  ['younger first', { ageS: 10, readyAgoS: 5 }, { ageS: 1000, readyAgoS: 5 }],
  ['of about the same age, by UID', { name: 'a', ageS: 1010 }, { name: 'b', ageS: 1000 }],
];
for (const [claim, first, second, [rankA, rankB] = [0, 0]] of rules) {
  t.test(`deletion order: ${claim}`, async (t) => {
    t.ok(compareForDeletion(pod(first), pod(second), rankA, rankB, NOW_MS) < 0);
    t.ok(compareForDeletion(pod(second), pod(first), rankB, rankA, NOW_MS) > 0);
  });
}

t.test('a node with more active Pods of the same owner gives one up first', async (t) => {
  const crowded = [pod({ name: 'a', node: 'n1' }), pod({ name: 'b', node: 'n1' })];
  const alone = pod({ name: 'c', node: 'n2' });
  const chosen = podsToDelete([alone, ...crowded], [alone, ...crowded], 1, NOW_MS);
  t.equal(chosen[0]!.spec.nodeName, 'n1');
  const old = [1, 2, 3].map((i) => pod({ name: `old-${i}`, node: 'n2' }));
  t.equal(podsToDelete([alone, ...crowded], [alone, ...crowded, ...old], 1, NOW_MS)[0]!.metadata.name, 'c');
  const leaving = [1, 2, 3].map((i) => pod({ name: `old-${i}`, node: 'n2', deleting: true }));
  t.equal(podsToDelete([alone, ...crowded], [alone, ...crowded, ...leaving], 1, NOW_MS)[0]!.spec.nodeName, 'n1');
});

t.test('when all go, nothing is ranked', async (t) => {
  const pods = [pod({ name: 'b' }), pod({ name: 'a' })];
  t.same(
    podsToDelete(pods, pods, 5, NOW_MS).map((p) => p.metadata.name),
    ['b', 'a'],
  );
});
