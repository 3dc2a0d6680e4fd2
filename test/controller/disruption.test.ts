import t from 'tap';
import type { PodDisruptionBudget } from '../../src/api/policy-v1.ts';
import { DEPLOYMENTS, PODDISRUPTIONBUDGETS } from '../../src/api/resources.ts';
import { StatusError } from '../../src/api/status-error.ts';
import { evict } from '../../src/apiserver/registry/eviction.ts';
import { type ControlPlane, controlPlane, deployment } from '../support/control-plane.ts';

function budget(spec: PodDisruptionBudget['spec'], name = 'web'): PodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
  };
}

const user = { name: 'admin', groups: ['system:masters'] };
const evictPod = (cp: ControlPlane, name: string) => evict(cp.server, 'default', name, {}, { user }, cp.clock.unixMs());
const status = (cp: ControlPlane) => cp.view(PODDISRUPTIONBUDGETS)[0]!.status!;

for (const [spec, replicas, expected] of [
  [{ minAvailable: 2 }, 3, { expectedPods: 3, desiredHealthy: 2, currentHealthy: 3, disruptionsAllowed: 1 }],
  [{ minAvailable: '50%' }, 5, { expectedPods: 5, desiredHealthy: 3, currentHealthy: 5, disruptionsAllowed: 2 }],
  [{ maxUnavailable: 1 }, 4, { expectedPods: 4, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 }],
  [{ maxUnavailable: '30%' }, 4, { expectedPods: 4, desiredHealthy: 2, currentHealthy: 4, disruptionsAllowed: 2 }],
  [{ minAvailable: 3 }, 2, { expectedPods: 2, desiredHealthy: 3, currentHealthy: 2, disruptionsAllowed: 0 }],
] as const) {
  t.test(`${JSON.stringify(spec)} over ${replicas} Pods`, async (t) => {
    const cp = await controlPlane(t);
    await cp.client.create(DEPLOYMENTS, deployment({ replicas }));
    await cp.settled(replicas);
    await cp.client.create(PODDISRUPTIONBUDGETS, budget(spec));
    await cp.clock.run(1e6);
    const allowed = expected.disruptionsAllowed > 0;
    t.match(status(cp), {
      ...expected,
      observedGeneration: 1,
      conditions: [
        {
          type: 'DisruptionAllowed',
          status: allowed ? 'True' : 'False',
          reason: `${allowed ? 'S' : 'Ins'}ufficientPods`,
        },
      ],
    });
    t.same(cp.errors, []);
  });
}

t.test('evictions stop where the budget ends, and go on when Pods have come back', async (t) => {
  const cp = await controlPlane(t, { kubelet: { startUs: 1e6, stopUs: 10_000 } });
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 3 }));
  await cp.settled(3);
  await cp.client.create(PODDISRUPTIONBUDGETS, budget({ minAvailable: 2 }));
  await cp.until(() => status(cp)?.disruptionsAllowed === 1);
  const [a, b] = cp.pods().map((p) => p.metadata.name);
  await evictPod(cp, a!);
  try {
    await evictPod(cp, b!);
    t.fail('the second is refused');
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    t.match(error, {
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
    });
    t.equal(error.details!.causes![0]!.reason, 'DisruptionBudget');
    t.match(
      error.details!.causes![0]!.message,
      /^The disruption budget web needs 2 healthy pods and has \d currently$/,
    );
  }
  await cp.clock.run(500_000);
  t.notOk(cp.pods().some((p) => p.metadata.name === a));
  t.equal(status(cp).disruptionsAllowed, 0);
  await cp.until(() => status(cp).disruptionsAllowed === 1);
  await evictPod(cp, b!);
  await cp.settled(3);
  t.same(cp.errors, []);
});

t.test('a Pod that is not ready may go while enough others are', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 3 }));
  await cp.settled(3);
  await cp.client.create(PODDISRUPTIONBUDGETS, budget({ minAvailable: 2 }));
  const [pod] = cp.pods();
  await cp.kubelets[0]!.setReady(pod!, false);
  await cp.until(() => status(cp)?.currentHealthy === 2);
  t.equal(status(cp).disruptionsAllowed, 0);
  await evictPod(cp, pod!.metadata.name);
  await cp.settled(3);
});

t.test('two budgets over one Pod are refused', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 1 }));
  await cp.settled(1);
  for (const name of ['a', 'b']) await cp.client.create(PODDISRUPTIONBUDGETS, budget({ maxUnavailable: 1 }, name));
  await t.rejects(evictPod(cp, cp.pods()[0]!.metadata.name), {
    code: 500,
    message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
  });
});
