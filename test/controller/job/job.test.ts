import t from 'tap';
import type { Job } from '../../../src/api/batch-v1.ts';
import type { Pod } from '../../../src/api/core-v1.ts';
import type { Stored } from '../../../src/api/meta.ts';
import { JOBS, NAMESPACES, PODS } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane } from '../../support/control-plane.ts';

function job(spec: Partial<Job['spec']> = {}, pod: Partial<Pod['spec']> = {}): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'sum', namespace: 'default' },
    spec: { template: { spec: { restartPolicy: 'Never', containers: [container()], ...pod } }, ...spec },
  };
}

const the = (cp: ControlPlane): Stored<Job> => cp.view(JOBS)[0]!;
const holds = (cp: ControlPlane, type: string) =>
  the(cp)?.status?.conditions?.find((c) => c.type === type && c.status === 'True');
const running = (cp: ControlPlane) => cp.activePods().filter((p) => p.status?.phase === 'Running');
const finish = async (cp: ControlPlane, how: 'succeed' | 'fail', count: number) => {
  await cp.until(() => running(cp).length >= count);
  for (const pod of running(cp).slice(0, count)) await cp.kubelets[0]![how](pod);
};

t.test('one Pod that succeeds completes the Job', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job());
  await cp.settled(1);
  const [pod] = cp.pods();
  t.match(pod!.metadata.name, /^sum-[a-z0-9]{5}$/);
  t.match(pod!.metadata.labels, {
    'job-name': 'sum',
    'batch.kubernetes.io/job-name': 'sum',
    'batch.kubernetes.io/controller-uid': the(cp).metadata.uid,
  });
  t.same(pod!.metadata.finalizers, ['batch.kubernetes.io/job-tracking']);
  t.match(the(cp).status, { active: 1, ready: 1, startTime: /^\d/ });
  await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  t.same(holds(cp, 'Complete')!.reason, 'CompletionsReached');
  t.equal(holds(cp, 'Complete')!.message, 'Reached expected number of succeeded pods');
  t.match(the(cp).status, { succeeded: 1, completionTime: /^\d/, uncountedTerminatedPods: {}, ready: 0 });
  t.notOk(the(cp).status!.active);
  t.notOk(cp.pods()[0]!.metadata.finalizers, 'the Pod stays, free to be deleted');
  t.same(
    cp
      .events()
      .filter((e) => e.involvedObject.kind === 'Job')
      .map((e) => e.reason)
      .sort(),
    ['Completed', 'SuccessfulCreate'],
  );
  t.same(cp.errors, []);
});

t.test('five completions, two at a time', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ completions: 5, parallelism: 2 }));
  let most = 0;
  cp.onChange(PODS, () => {
    most = Math.max(most, cp.activePods().length);
  });
  for (let done = 0; done < 5; done++) await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  t.equal(most, 2);
  t.equal(the(cp).status!.succeeded, 5);
  t.equal(cp.pods().length, 5);
  t.same(cp.errors, []);
});

t.test('a failed Pod is replaced, later each time, until the limit', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ backoffLimit: 2 }));
  await finish(cp, 'fail', 1);
  await cp.clock.run(9e6);
  t.equal(cp.activePods().length, 0, 'ten seconds after the first failure');
  await cp.clock.run(2e6);
  t.equal(cp.activePods().length, 1);
  await finish(cp, 'fail', 1);
  await cp.clock.run(19e6);
  t.equal(cp.activePods().length, 0, 'twenty after the second');
  await finish(cp, 'fail', 1);
  await cp.until(() => holds(cp, 'Failed') !== undefined);
  t.match(holds(cp, 'Failed'), {
    reason: 'BackoffLimitExceeded',
    message: 'Job has reached the specified backoff limit',
  });
  t.match(the(cp).status, { failed: 3 });
  t.equal(cp.events('BackoffLimitExceeded')[0]!.type, 'Warning');
  await cp.clock.run(60e6);
  t.equal(cp.pods().length, 3, 'and no more');
  t.same(cp.errors, []);
});

t.test('a Pod that is deleted counts as failed, once, and is replaced', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job());
  await cp.settled(1);
  await cp.client.delete(PODS, 'default', cp.pods()[0]!.metadata.name);
  await cp.until(() => the(cp).status?.failed === 1 && cp.readyPods().length === 1);
  t.equal(cp.pods().length, 1, 'the finalizer let it go');
  await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  t.match(the(cp).status, { succeeded: 1, failed: 1 });
  t.same(cp.errors, []);
});

t.test('a deadline ends it', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ activeDeadlineSeconds: 30, completions: 2, parallelism: 2 }));
  await cp.settled(2);
  await cp.clock.run(28e6);
  t.notOk(holds(cp, 'FailureTarget'));
  await cp.until(() => holds(cp, 'Failed') !== undefined);
  t.match(holds(cp, 'Failed'), {
    reason: 'DeadlineExceeded',
    message: 'Job was active longer than specified deadline',
  });
  t.equal(cp.pods().length, 0);
  t.same(cp.errors, []);
});

t.test('suspended, it has no Pods; resumed, it goes on', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ suspend: true }));
  await cp.clock.run(1e6);
  t.equal(cp.pods().length, 0);
  t.match(holds(cp, 'Suspended'), { reason: 'JobSuspended', message: 'Job suspended' });
  await cp.client.patch(JOBS, 'default', 'sum', 'merge', { spec: { suspend: false } });
  await cp.settled(1);
  await cp.client.patch(JOBS, 'default', 'sum', 'merge', { spec: { suspend: true } });
  await cp.settled(0);
  t.notOk(the(cp).status!.failed, 'what suspension takes away has not failed');
  t.notOk(the(cp).status!.startTime);
  await cp.client.patch(JOBS, 'default', 'sum', 'merge', { spec: { suspend: false } });
  await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  t.same(
    cp
      .events()
      .filter((e) => /Suspended|Resumed/.test(e.reason!))
      .map((e) => `${e.reason} ${e.count}`)
      .sort(),
    ['Resumed 2', 'Suspended 2'],
  );
  t.same(cp.errors, []);
});

t.test('indexes: each is done once', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ completionMode: 'Indexed', completions: 4, parallelism: 2 }));
  await cp.settled(2);
  const index = (pod: Pod) => pod.metadata.annotations!['batch.kubernetes.io/job-completion-index'];
  t.same(cp.pods().map(index), ['0', '1']);
  t.match(cp.pods()[1]!, { metadata: { name: /^sum-1-[a-z0-9]{5}$/ }, spec: { hostname: 'sum-1' } });
  t.match(cp.pods()[1]!.spec.containers[0]!.env, [{ name: 'JOB_COMPLETION_INDEX' }]);
  await cp.kubelets[0]!.fail(cp.pods()[0]!);
  await cp.kubelets[0]!.succeed(cp.pods()[1]!);
  await cp.until(() => running(cp).length === 2);
  t.same(running(cp).map(index).sort(), ['0', '2'], 'the failed one again');
  t.equal(the(cp).status!.completedIndexes, '1');
  await finish(cp, 'succeed', 2);
  await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  t.match(the(cp).status, { completedIndexes: '0-3', succeeded: 4, failed: 1 });
  t.same(cp.errors, []);
});

t.test('a finished Job goes when its time is over, and takes its Pods along', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ ttlSecondsAfterFinished: 60 }));
  await finish(cp, 'succeed', 1);
  await cp.until(() => holds(cp, 'Complete') !== undefined);
  await cp.clock.run(55e6);
  t.equal(cp.view(JOBS).length, 1);
  await cp.until(() => cp.view(JOBS).length === 0 && cp.pods().length === 0);
  t.same(cp.errors, []);
});

t.test('deleting a running Job leaves nothing, its finalizers included', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ parallelism: 3, completions: 3 }));
  await cp.settled(3);
  await cp.client.delete(JOBS, 'default', 'sum', { propagationPolicy: 'Background' });
  await cp.until(() => cp.view(JOBS).length === 0 && cp.pods().length === 0);
  t.same(cp.errors, []);
});

t.test('a running Job goes in the foreground, and with its Namespace', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(JOBS, job({ parallelism: 2, completions: 2 }));
  await cp.settled(2);
  await cp.client.delete(JOBS, 'default', 'sum', { propagationPolicy: 'Foreground' });
  await cp.until(() => cp.view(JOBS).length === 0 && cp.pods().length === 0);
  await cp.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } });
  const there = job({ parallelism: 2, completions: 2 });
  await cp.client.create(JOBS, { ...there, metadata: { ...there.metadata, namespace: 'other' } });
  await cp.until(() => cp.readyPods('other').length === 2);
  await cp.client.delete(NAMESPACES, undefined, 'other');
  await cp.until(() => !cp.view(NAMESPACES).some((n) => n.metadata.name === 'other'));
  t.equal(cp.pods('other').length, 0);
  t.same(cp.errors, []);
});

t.test('what the API refuses of a Job', async (t) => {
  const cp = await controlPlane(t);
  await t.rejects(cp.client.create(JOBS, job({}, { restartPolicy: 'Always' })), {
    message:
      'Job.batch "sum" is invalid: spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: "OnFailure", "Never"',
  });
  await cp.client.create(JOBS, job());
  await t.rejects(cp.client.patch(JOBS, 'default', 'sum', 'merge', { spec: { completions: 3 } }), {
    message: 'Job.batch "sum" is invalid: spec.completions: Invalid value: 3: field is immutable',
  });
});
