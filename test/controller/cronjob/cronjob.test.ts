import t from 'tap';
import type { CronJob } from '../../../src/api/batch-v1.ts';
import { CRONJOBS, JOBS } from '../../../src/api/resources.ts';
import { type ControlPlane, container, controlPlane } from '../../support/control-plane.ts';

function cronJob(spec: Partial<CronJob['spec']> = {}): CronJob {
  const template = { spec: { restartPolicy: 'Never' as const, containers: [container()] } };
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'tick', namespace: 'default' },
    spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template } }, ...spec },
  };
}

const MINUTE = 60e6;
const names = (cp: ControlPlane) => cp.view(JOBS).map((j) => j.metadata.name);
const completeAll = async (cp: ControlPlane) => {
  for (const pod of cp.activePods()) await cp.kubelets[0]!.succeed(pod);
  await cp.clock.run(1e6);
};

t.test('a Job each five minutes, named after its minute; three finished ones are kept', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(CRONJOBS, cronJob());
  for (let round = 0; round < 5; round++) {
    await cp.clock.run(5 * MINUTE);
    await cp.until(() => cp.activePods().length === 1 && cp.readyPods().length === 1);
    await completeAll(cp);
  }
  const kept = names(cp);
  t.equal(kept.length, 3, kept.join(' '));
  for (const name of kept) t.match(name, /^tick-\d{8}$/);
  t.equal(Number(kept[1]!.slice(5)) - Number(kept[0]!.slice(5)), 5);
  const { status } = cp.view(CRONJOBS)[0]!;
  t.match(status, { lastScheduleTime: /:[0-5][05]:00Z$/, lastSuccessfulTime: /^\d/ });
  t.notOk(status!.active);
  t.ok(cp.events('SuccessfulCreate').some((e) => e.message === `Created job ${kept[0]}`));
  t.ok(cp.events('SawCompletedJob').some((e) => e.message === `Saw completed job: ${kept[0]}, condition: Complete`));
  t.same(cp.errors, []);
});

for (const [concurrencyPolicy, jobs] of [
  ['Allow', 2],
  ['Forbid', 1],
  ['Replace', 1],
] as const) {
  t.test(`a run that takes longer than its interval, with ${concurrencyPolicy}`, async (t) => {
    const cp = await controlPlane(t);
    await cp.client.create(CRONJOBS, cronJob({ concurrencyPolicy }));
    await cp.clock.run(5 * MINUTE);
    await cp.until(() => cp.readyPods().length === 1);
    const [first] = names(cp);
    await cp.clock.run(5 * MINUTE);
    await cp.clock.run(1e6);
    t.equal(names(cp).length, jobs);
    t.equal(names(cp).includes(first!), concurrencyPolicy !== 'Replace');
    t.equal(cp.events('JobAlreadyActive').length, concurrencyPolicy === 'Forbid' ? 1 : 0);
    t.same(cp.errors, []);
  });
}

t.test('suspended, it makes none', async (t) => {
  const cp = await controlPlane(t);
  await cp.client.create(CRONJOBS, cronJob({ suspend: true }));
  await cp.clock.run(12 * MINUTE);
  t.equal(cp.view(JOBS).length, 0);
});
