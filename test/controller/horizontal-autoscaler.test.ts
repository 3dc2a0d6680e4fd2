import t from 'tap';
import type { HorizontalPodAutoscaler } from '../../src/api/autoscaling-v2.ts';
import { condition } from '../../src/api/pod.ts';
import { DEPLOYMENTS, HORIZONTALPODAUTOSCALERS } from '../../src/api/resources.ts';
import { type ControlPlane, controlPlane, deployment } from '../support/control-plane.ts';

function autoscaler(spec: Partial<HorizontalPodAutoscaler['spec']> = {}): HorizontalPodAutoscaler {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', namespace: 'default' },
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 5, ...spec },
  };
}

const the = async (cp: ControlPlane) => cp.client.get(HORIZONTALPODAUTOSCALERS, 'default', 'web');
const scaling = async (cp: ControlPlane, type: string) => condition((await the(cp)).status!.conditions, type);

t.test('it keeps its target between its bounds, and says that nothing is measured', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(DEPLOYMENTS, deployment({ replicas: 1 }));
  await cp.client.create(HORIZONTALPODAUTOSCALERS, autoscaler({ minReplicas: 2, maxReplicas: 4 }));
  await cp.settled(2);
  t.equal(
    cp.events('SuccessfulRescale')[0]!.message,
    'New size: 2; reason: Current number of replicas below Spec.MinReplicas',
  );
  await cp.clock.run(16e6);
  const why =
    'failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)';
  t.match(await scaling(cp, 'ScalingActive'), {
    status: 'False',
    reason: 'FailedGetResourceMetric',
    message: `the HPA was unable to compute the replica count: ${why}`,
  });
  t.match((await the(cp)).status, { currentReplicas: 2, desiredReplicas: 2 });
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas: 9 } });
  await cp.settled(4);
  await cp.client.patch(DEPLOYMENTS, 'default', 'web', 'merge', { spec: { replicas: 0 } });
  await cp.clock.run(40e6);
  t.equal(cp.pods().length, 0, 'scaled to zero, it is left alone');
  t.match(await scaling(cp, 'ScalingActive'), { reason: 'ScalingDisabled' });
  t.same(cp.errors, []);
});

t.test('a target that is not there', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(HORIZONTALPODAUTOSCALERS, autoscaler());
  await cp.clock.run(1e6);
  t.match(await scaling(cp, 'AbleToScale'), {
    status: 'False',
    reason: 'FailedGetScale',
    message: 'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found',
  });
  t.same(cp.errors, []);
});

t.test('what the API refuses', async (t) => {
  const cp = await controlPlane(t);
  await t.rejects(cp.client.create(HORIZONTALPODAUTOSCALERS, autoscaler({ minReplicas: 3, maxReplicas: 2 })), {
    message:
      'HorizontalPodAutoscaler.autoscaling "web" is invalid: spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`',
  });
});
