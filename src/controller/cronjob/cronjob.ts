// The CronJob controller: a Job each time the schedule says so. After pkg/controller/cronjob/{cronjob_controllerv2,utils}.go
// (1.32). One round: note which Jobs have ended, clear old ones, make the Job of the last time that has passed, sleep until the
// next. A Job is named after its minute, so that no time is used twice.
import { isDeepStrictEqual } from 'node:util';
import type { CronJob, Job } from '../../api/batch-v1.ts';
import { parseSchedule } from '../../api/cron.ts';
import type { Stored } from '../../api/meta.ts';
import { CRONJOBS, JOBS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_OWNER, type Controller, type ControllerContext, inOrder } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { finishedAt, isTrue } from '../job/conditions.ts';
import { controllerOf, controllerRef } from '../owner.ts';

const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
const MINUTE_MS = 60_000;
/** More missed times than this are reported, and only the last counts. */
const MANY_MISSED = 100;

export class CronJobController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #cronJobs: Informer<CronJob>;
  readonly #jobs: Informer<Job>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#cronJobs = ctx.informers.of(CRONJOBS);
    this.#jobs = ctx.informers.of(JOBS);
    this.#recorder = ctx.recorder('cronjob-controller');
    this.#loop = new ControlLoop(ctx, 'cronjob', (key) => this.#sync(key));
    const enqueue = (cronJob: Stored<CronJob>) => this.#loop.queue.add(keyOf(cronJob));
    this.#cronJobs.addHandler({ add: enqueue, update: (_, cronJob) => enqueue(cronJob) });
    const owner = (job: Stored<Job>) => {
      const ref = controllerOf(job);
      if (ref?.kind === 'CronJob') this.#loop.queue.add(`${job.metadata.namespace}/${ref.name}`);
    };
    this.#jobs.addHandler({ add: owner, update: (_, job) => owner(job), delete: owner });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const cronJob = this.#cronJobs.get(key);
    if (!cronJob || cronJob.metadata.deletionTimestamp !== undefined) return;
    const jobs = inOrder(this.#jobs.byIndex(BY_OWNER, cronJob.metadata.uid));
    await this.#clear(cronJob, jobs);
    const status = this.#statusOf(cronJob, jobs);
    const nowMs = this.#ctx.clock.unixMs();
    const schedule = parseSchedule(cronJob.spec.schedule, cronJob.spec.timeZone);
    if (!cronJob.spec.suspend) {
      const due = this.#due(cronJob, schedule.next, nowMs);
      if (due !== undefined) await this.#start(cronJob, jobs, status, due);
      const next = schedule.next(nowMs);
      if (next !== undefined) this.#loop.queue.addAfter(key, (next - nowMs) * 1000);
    }
    if (isDeepStrictEqual(cronJob.status, status)) return;
    await tolerate(this.#ctx.client.update(CRONJOBS, { ...cronJob, status }, 'status'), 'NotFound');
  }

  #statusOf(cronJob: Stored<CronJob>, jobs: readonly Stored<Job>[]): NonNullable<CronJob['status']> {
    const before = cronJob.status ?? {};
    let last = before.lastSuccessfulTime;
    const active = jobs.filter((job) => finishedAt(job) === undefined);
    for (const job of jobs) {
      if (active.includes(job)) continue;
      const listed = before.active?.some((reference) => reference.uid === job.metadata.uid);
      const how = isTrue(job, 'Complete') ? 'Complete' : 'Failed';
      if (listed) {
        const what = `Saw completed job: ${job.metadata.name}, condition: ${how}`;
        this.#recorder.normal(cronJob, 'SawCompletedJob', what);
      }
      const end = job.status?.completionTime;
      if (how === 'Complete' && end && (!last || parseTime(end) > parseTime(last))) last = end;
    }
    return {
      ...(active.length > 0 ? { active: active.map(referenceTo) } : {}),
      ...(before.lastScheduleTime ? { lastScheduleTime: before.lastScheduleTime } : {}),
      ...(last ? { lastSuccessfulTime: last } : {}),
    };
  }

  /** Deletes the oldest finished Jobs beyond what is kept of each kind. */
  async #clear(cronJob: Stored<CronJob>, jobs: readonly Stored<Job>[]): Promise<void> {
    const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = cronJob.spec;
    for (const [type, limit] of [
      ['Complete', successfulJobsHistoryLimit],
      ['Failed', failedJobsHistoryLimit],
    ] as const) {
      const ended = jobs.filter((job) => isTrue(job, type) && job.metadata.deletionTimestamp === undefined);
      for (const job of ended.slice(0, Math.max(0, ended.length - limit))) await this.#delete(cronJob, job);
    }
  }

  /** The last time that has passed and has not been used; undefined when there is none, or it is too long ago. */
  #due(cronJob: Stored<CronJob>, next: (afterMs: number) => number | undefined, nowMs: number): number | undefined {
    const { startingDeadlineSeconds } = cronJob.spec;
    let from = parseTime(cronJob.status?.lastScheduleTime ?? cronJob.metadata.creationTimestamp);
    if (startingDeadlineSeconds !== undefined) from = Math.max(from, nowMs - startingDeadlineSeconds * 1000);
    let due: number | undefined;
    let missed = 0;
    for (let time = next(from); time !== undefined && time <= nowMs; time = next(time)) {
      due = time;
      if (++missed === MANY_MISSED + 1) {
        this.#recorder.warning(
          cronJob,
          'TooManyMissedTimes',
          'too many missed start times: > 100. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
        );
      }
    }
    return due;
  }

  async #start(
    cronJob: Stored<CronJob>,
    jobs: readonly Stored<Job>[],
    status: NonNullable<CronJob['status']>,
    dueMs: number,
  ): Promise<void> {
    const active = jobs.filter((job) => finishedAt(job) === undefined);
    const { concurrencyPolicy } = cronJob.spec;
    if (concurrencyPolicy === 'Forbid' && active.length > 0) {
      const why = 'Not starting job because prior execution is running and concurrency policy is Forbid';
      this.#recorder.normal(cronJob, 'JobAlreadyActive', why);
      return;
    }
    if (concurrencyPolicy === 'Replace') for (const job of active) await this.#delete(cronJob, job);
    const { jobTemplate } = cronJob.spec;
    const name = `${cronJob.metadata.name}-${dueMs / MINUTE_MS}`;
    try {
      const job = await this.#ctx.client.create(JOBS, {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: {
          name,
          namespace: cronJob.metadata.namespace!,
          ...(jobTemplate.metadata?.labels ? { labels: jobTemplate.metadata.labels } : {}),
          annotations: { ...jobTemplate.metadata?.annotations, [SCHEDULED_AT]: formatTime(dueMs) },
          ownerReferences: [controllerRef(cronJob, CRONJOBS)],
        },
        spec: jobTemplate.spec,
      });
      this.#recorder.normal(cronJob, 'SuccessfulCreate', `Created job ${name}`);
      status.active = [...(status.active ?? []), referenceTo(job)];
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      if (!isStatus(error, 'AlreadyExists')) {
        this.#recorder.warning(cronJob, 'FailedCreate', `Error creating job: ${(error as Error).message}`);
        throw error;
      }
    }
    status.lastScheduleTime = formatTime(dueMs);
  }

  async #delete(cronJob: Stored<CronJob>, job: Stored<Job>): Promise<void> {
    const { namespace, name } = job.metadata;
    await tolerate(this.#ctx.client.delete(JOBS, namespace, name, { propagationPolicy: 'Background' }), 'NotFound');
    this.#recorder.normal(cronJob, 'SuccessfulDelete', `Deleted job ${name}`);
  }
}

function referenceTo(job: Stored<Job>): { [key: string]: string } {
  const { name, namespace = '', uid, resourceVersion } = job.metadata;
  return { kind: 'Job', namespace, name, uid, apiVersion: 'batch/v1', resourceVersion };
}
