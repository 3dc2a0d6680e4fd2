import t from 'tap';
import type { Deployment, ReplicaSet } from '../../../src/api/apps-v1.ts';
import type { IntOrString } from '../../../src/api/meta.ts';
import { proportionalScale } from '../../../src/controller/deployment/proportion.ts';
import {
  fenceposts,
  maxUnavailable,
  newReplicaSetSize,
  replicasOf,
  scaled,
  shrinkOld,
} from '../../../src/controller/deployment/rolling.ts';
import { fc } from '../../support/property.ts';

function deployment(replicas: number, maxSurge: IntOrString, unavailable: IntOrString): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: {
      replicas,
      selector: { matchLabels: {} },
      template: { spec: { containers: [] } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable: unavailable } },
    },
  };
}

function set(name: string, replicas: number, available: number, annotations: Record<string, string> = {}): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z', annotations },
    spec: { replicas, selector: {} },
    status: { replicas, availableReplicas: available },
  };
}

t.test('surge rounds up, unavailable down, and both 0 becomes one unavailable', async (t) => {
  // After TestResolveFenceposts and TestMaxUnavailable in deployment_util_test.go.
  const rows: [IntOrString | undefined, IntOrString | undefined, number, number, number][] = [
    ['0%', '0%', 10, 0, 1],
    ['39%', '39%', 10, 4, 3],
    ['25%', '25%', 1, 1, 0],
    ['25%', '25%', 3, 1, 0],
    ['25%', '25%', 4, 1, 1],
    ['25%', '25%', 10, 3, 2],
    [undefined, undefined, 10, 3, 2],
    [1, 0, 10, 1, 0],
    [0, 0, 10, 0, 1],
    ['55%', 0, 20, 11, 0],
  ];
  for (const [s, u, n, surge, unavailable] of rows)
    t.same(fenceposts(s, u, n), { surge, unavailable }, `${s} ${u} of ${n}`);
  t.equal(scaled('29%', 100, 'up'), 29);
  t.equal(maxUnavailable(deployment(3, 0, 10)), 3, 'no more than there are');
  t.equal(maxUnavailable(deployment(0, 0, 10)), 0);
});

t.test('the new ReplicaSet grows into what the surge leaves', async (t) => {
  // deployment size, surge, new, total, expected; after TestNewRSNewReplicas and TestDeploymentController_reconcileNewReplicaSet.
  const rows: [number, IntOrString, number, number, number][] = [
    [10, 0, 0, 10, 0],
    [10, 2, 0, 10, 2],
    [10, 2, 0, 5, 7],
    [10, 2, 2, 12, 2],
    [1, 1, 0, 1, 1],
    [6, 5, 0, 10, 1],
    [10, '25%', 0, 10, 3],
  ];
  for (const [n, surge, size, total, expected] of rows) {
    t.equal(
      newReplicaSetSize(deployment(n, surge, 1), size, total),
      expected,
      `${n} surge ${surge}: ${size} of ${total}`,
    );
  }
});

t.test('old ReplicaSets shrink as far as availability allows', async (t) => {
  // desired, unavailable, old, ready old, new, ready new -> old; after TestDeploymentController_reconcileOldReplicaSets
  // and the examples in the comment of rolling.go.
  const rows: [number, IntOrString, number, number, number, number, number][] = [
    [10, 0, 10, 10, 0, 0, 10],
    [10, 2, 10, 10, 0, 0, 8],
    [10, 2, 10, 8, 0, 0, 8],
    [10, 2, 10, 9, 0, 0, 8],
    [10, 2, 8, 8, 5, 0, 8],
    [10, 2, 8, 8, 5, 5, 3],
    [10, 0, 10, 10, 3, 3, 7],
  ];
  for (const [n, u, old, oldReady, fresh, freshReady, expected] of rows) {
    const steps = shrinkOld(deployment(n, 3, u), [set('old', old, oldReady)], set('new', fresh, freshReady));
    t.equal(steps[0]?.to ?? old, expected, `${n} unavailable ${u}: old ${oldReady}/${old}, new ${freshReady}/${fresh}`);
  }
});

t.test('unhealthy old Pods go first, from the oldest ReplicaSet on', async (t) => {
  const steps = shrinkOld(deployment(10, 3, 2), [set('a', 4, 4), set('b', 5, 2)], set('new', 3, 3));
  t.same(
    steps.map((s) => [s.replicaSet.metadata.name, s.to]),
    [
      ['a', 3],
      ['b', 2],
    ],
  );
});

t.test('no shrinking step takes availability below the minimum', async () => {
  const size = fc.integer({ min: 0, max: 12 });
  fc.assert(
    fc.property(size, size, size, size, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 5 }), (n, a, b, c, ra, rb, u) => {
      const sets = [set('a', a, Math.min(a, ra % 13)), set('b', b, Math.min(b, rb % 13))];
      const fresh = set('new', c, Math.min(c, (ra ^ rb) % 13));
      const d = deployment(n, 1, u);
      const before = [...sets, fresh].reduce((sum, rs) => sum + rs.status!.availableReplicas!, 0);
      const least = Math.min(before, n - maxUnavailable(d));
      let after = before;
      for (const { replicaSet, to } of shrinkOld(d, sets, fresh)) {
        if (to < 0 || to >= replicasOf(replicaSet)) return false;
        // The ReplicaSet deletes its unhealthy Pods first.
        after -= Math.max(0, replicaSet.status!.availableReplicas! - to);
      }
      return after >= least;
    }),
  );
});

t.test('scaling during a rollout spreads in proportion, leftovers to the largest', async (t) => {
  const max = (n: number) => ({
    'deployment.kubernetes.io/max-replicas': String(n),
    'deployment.kubernetes.io/desired-replicas': String(n),
  });
  // After TestScale in sync_test.go: old sizes, new size, from, to -> sizes.
  const rows: [number, number, number, number, number, number, number][] = [
    [8, 2, 10, 12, 0, 10, 2],
    [6, 4, 10, 20, 0, 12, 8],
    [5, 5, 10, 20, 0, 10, 10],
    [8, 2, 10, 5, 0, 4, 1],
  ];
  for (const [old, fresh, from, to, surge, expectOld, expectNew] of rows) {
    const sets = proportionalScale(deployment(to, surge, 1), set('new', fresh, fresh, max(from)), [
      set('old', old, old, max(from)),
    ]);
    const of = (name: string) => sets.find((r) => r.replicaSet.metadata.name === name)?.to;
    t.same([of('old'), of('new')], [expectOld, expectNew], `${old}+${fresh}: ${from} to ${to}`);
  }
  const alone = proportionalScale(deployment(7, 1, 1), undefined, [set('old', 3, 3)]);
  t.same(
    alone.map((r) => r.to),
    [7],
    'the only active ReplicaSet takes it all',
  );
});
