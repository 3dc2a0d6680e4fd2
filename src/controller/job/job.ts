// The Job controller: Pods that run to their end, until enough have succeeded or too many have failed. After
// pkg/controller/job/{job_controller,backoff_utils}.go (1.32).
//
// Each Pod carries a finalizer until it is counted, so that one which is deleted meanwhile is still counted, and only once:
// a Pod has ended → its UID goes into status.uncountedTerminatedPods → its finalizer goes → the UID becomes one more in
// status.succeeded or failed. A Job that has reached its end says so at once (SuccessCriteriaMet, FailureTarget) and is
// Complete or Failed when its last Pod has gone.
// Leaves out: pod failure policies, success policies, limits an index.
import { isDeepStrictEqual } from 'node:util';
import type { Job } from '../../api/batch-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Condition, Stored } from '../../api/meta.ts';
import { isPodActive, isPodReady } from '../../api/pod.ts';
import { JOBS, PODS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { OwnedPods } from '../owned-pods.ts';
import { controllerOf } from '../owner.ts';
import { Expectations } from '../replicaset/expectations.ts';
import { podsToDelete } from '../replicaset/rank.ts';
import { nonZero } from '../replicaset/status.ts';
import { backoffMs, type Failure, failureOf, finishedAt, isTrue, withCondition } from './conditions.ts';
import { formatIndexes, freeIndexes, indexOf, parseIndexes } from './indexes.ts';
import { FINALIZER, isFailed, isSucceeded, isTracked, jobPod } from './pods.ts';

const WORKERS = 5;
const MAX_UNCOUNTED = 500;

type Status = NonNullable<Job['status']>;

/** What is known of the Pods in one round. */
interface Tally {
  readonly active: Stored<Pod>[];
  readonly terminating: number;
  readonly uncounted: { succeeded: string[]; failed: string[] };
  /** Counted and uncounted. */
  readonly succeeded: number;
  readonly failed: number;
  readonly completed: ReadonlySet<number>;
  readonly status: Pick<Status, 'succeeded' | 'failed' | 'completedIndexes' | 'uncountedTerminatedPods'>;
}

export class JobController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #jobs: Informer<Job>;
  readonly #pods: Informer<Pod>;
  readonly #owned: OwnedPods<Job>;
  readonly #expectations: Expectations;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;
  /** Keys of Pods whose Job is gone but who still carry the finalizer. */
  readonly #orphans: ControlLoop;
  /** By Job UID: failures in a row, and when the last was seen. */
  readonly #failures = new Map<string, { count: number; lastMs: number }>();

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#jobs = ctx.informers.of(JOBS);
    this.#pods = ctx.informers.of(PODS);
    this.#expectations = new Expectations(ctx.clock);
    this.#recorder = ctx.recorder('job-controller');
    this.#loop = new ControlLoop(ctx, 'job', (key) => this.#sync(key), WORKERS);
    this.#orphans = new ControlLoop(ctx, 'job orphan', (key) => this.#freeOrphan(key));
    this.#jobs.addHandler({
      add: (job) => this.#loop.queue.add(keyOf(job)),
      update: (_, job) => this.#loop.queue.add(keyOf(job)),
      delete: (job) => {
        this.#expectations.forget(keyOf(job));
        this.#failures.delete(job.metadata.uid);
        for (const pod of this.#owned.of(job)) this.#orphans.queue.add(keyOf(pod));
      },
    });
    this.#owned = new OwnedPods(ctx, JOBS, {
      enqueue: (key) => this.#loop.queue.add(key),
      created: (key) => this.#expectations.creationObserved(key),
      gone: (key, pod) => this.#expectations.deletionObserved(key, keyOf(pod)),
    });
    const look = (pod: Stored<Pod>) => {
      if (isTracked(pod)) this.#orphans.queue.add(keyOf(pod));
    };
    this.#pods.addHandler({ add: look, update: (_, pod) => look(pod) });
  }

  run(): void {
    this.#loop.run();
    this.#orphans.run();
  }

  close(): void {
    this.#loop.close();
    this.#orphans.close();
  }

  async #sync(key: string): Promise<void> {
    const job = this.#jobs.get(key);
    if (!job || finishedAt(job) !== undefined) return;
    const nowMs = this.#ctx.clock.unixMs();
    const { suspend = false, activeDeadlineSeconds } = job.spec;
    const pods = await this.#owned.claim(job, () => true);
    const tally = this.#count(job, pods, nowMs);
    const started = suspend || job.status?.startTime ? job.status?.startTime : formatTime(nowMs);
    const begun = started === undefined ? job : { ...job, status: { ...job.status, startTime: started } };
    const failure = this.#failureOf(begun, pods, tally, nowMs);
    const reached = !failure && this.#hasReached(job, tally);
    let conditions = this.#conditions(begun, failure, reached, nowMs);
    const over = failure !== undefined || reached;
    let active = tally.active;
    if (over || suspend) {
      await this.#remove(key, job, active, failure === undefined);
      active = [];
    }
    const left = over ? pods.filter((pod) => isTracked(pod) || isPodActive(pod)).length : 0;
    const pending = tally.uncounted.succeeded.length + tally.uncounted.failed.length;
    const ends = over && left === 0 && pending === 0 && tally.terminating === 0;
    if (ends) conditions = this.#end(job, conditions, nowMs);
    const status: Status = {
      ...(conditions.length > 0 ? { conditions } : {}),
      ...(started && !suspend ? { startTime: started } : {}),
      ...(ends && reached ? { completionTime: formatTime(nowMs) } : {}),
      ...nonZero('active', active.length),
      terminating: tally.terminating,
      ...tally.status,
      ready: active.filter(isPodReady).length,
    };
    if (!isDeepStrictEqual(job.status, status)) {
      await tolerate(this.#ctx.client.update(JOBS, { ...job, status }, 'status'), 'NotFound');
    }
    await this.#freeCounted(pods, tally);
    if (!over && !suspend && job.metadata.deletionTimestamp === undefined && this.#expectations.satisfied(key)) {
      await this.#manage(key, job, pods, tally, nowMs);
    }
    if (!over && activeDeadlineSeconds !== undefined && started && !suspend) {
      const left = Date.parse(started) + activeDeadlineSeconds * 1000 - nowMs;
      this.#loop.queue.addAfter(key, Math.max(0, left) * 1000);
    }
  }

  #count(job: Stored<Job>, pods: readonly Stored<Pod>[], nowMs: number): Tally {
    const before = job.status ?? {};
    const uncounted = { succeeded: [] as string[], failed: [] as string[] };
    let { succeeded = 0, failed = 0 } = before;
    const tracked = new Set(pods.filter(isTracked).map((pod) => pod.metadata.uid));
    const known = new Set<string>();
    for (const how of ['succeeded', 'failed'] as const) {
      for (const uid of before.uncountedTerminatedPods?.[how] ?? []) {
        known.add(uid);
        if (tracked.has(uid)) uncounted[how].push(uid);
        else if (how === 'succeeded') succeeded++;
        else failed++;
      }
    }
    const completed = parseIndexes(before.completedIndexes);
    const ending = this.#isEnding(job);
    for (const pod of pods) {
      if (!isTracked(pod) || known.has(pod.metadata.uid)) continue;
      if (uncounted.succeeded.length + uncounted.failed.length >= MAX_UNCOUNTED) break;
      if (isSucceeded(pod)) {
        const index = job.spec.completionMode === 'Indexed' ? indexOf(pod) : undefined;
        if (job.spec.completionMode === 'Indexed' && (index === undefined || completed.has(index))) continue;
        if (index !== undefined) completed.add(index);
        uncounted.succeeded.push(pod.metadata.uid);
        this.#failures.delete(job.metadata.uid);
      } else if (isFailed(job, pod) || ending) {
        uncounted.failed.push(pod.metadata.uid);
        const row = this.#failures.get(job.metadata.uid)?.count ?? 0;
        this.#failures.set(job.metadata.uid, { count: row + 1, lastMs: nowMs });
      }
    }
    const indexed = job.spec.completionMode === 'Indexed';
    return {
      active: pods.filter((pod) => isPodActive(pod)),
      terminating: pods.filter(
        (p) => p.metadata.deletionTimestamp !== undefined && !isSucceeded(p) && p.status?.phase !== 'Failed',
      ).length,
      uncounted,
      succeeded: indexed ? completed.size : succeeded + uncounted.succeeded.length,
      failed: failed + uncounted.failed.length,
      completed,
      status: {
        ...nonZero('succeeded', succeeded),
        ...nonZero('failed', failed),
        ...(indexed && completed.size > 0 ? { completedIndexes: formatIndexes(completed) } : {}),
        uncountedTerminatedPods: {
          ...(uncounted.succeeded.length > 0 ? { succeeded: uncounted.succeeded } : {}),
          ...(uncounted.failed.length > 0 ? { failed: uncounted.failed } : {}),
        },
      },
    };
  }

  /** Its end has been decided before: what still runs counts as failed. */
  #isEnding(job: Job): boolean {
    return isTrue(job, 'FailureTarget');
  }

  #failureOf(job: Stored<Job>, pods: readonly Stored<Pod>[], tally: Tally, nowMs: number): Failure | undefined {
    const decided = job.status?.conditions?.find((c) => c.type === 'FailureTarget' && c.status === 'True');
    if (decided) return { reason: decided.reason as Failure['reason'], message: decided.message ?? '' };
    if (isTrue(job, 'SuccessCriteriaMet') || job.spec.suspend) return undefined;
    return failureOf(job, pods, tally.failed, nowMs);
  }

  #hasReached(job: Job, { succeeded, active }: Tally): boolean {
    if (isTrue(job, 'SuccessCriteriaMet')) return true;
    const { completions } = job.spec;
    if (completions === undefined) return succeeded > 0 && active.length === 0;
    return succeeded >= completions;
  }

  #conditions(job: Stored<Job>, failure: Failure | undefined, reached: boolean, nowMs: number): Condition[] {
    const { suspend = false } = job.spec;
    if (failure && !isTrue(job, 'FailureTarget')) {
      return withCondition(job, { type: 'FailureTarget', status: 'True', ...failure }, nowMs);
    }
    if (reached && !isTrue(job, 'SuccessCriteriaMet')) {
      return withCondition(job, { type: 'SuccessCriteriaMet', status: 'True', ...REACHED }, nowMs);
    }
    if (!failure && !reached && suspend !== isTrue(job, 'Suspended')) {
      if (!suspend && !job.status?.conditions?.some((c) => c.type === 'Suspended')) return job.status?.conditions ?? [];
      const [reason, message] = suspend ? ['JobSuspended', 'Job suspended'] : ['JobResumed', 'Job resumed'];
      this.#recorder.normal(job, suspend ? 'Suspended' : 'Resumed', message);
      return withCondition(job, { type: 'Suspended', status: suspend ? 'True' : 'False', reason, message }, nowMs);
    }
    return job.status?.conditions ?? [];
  }

  /** Its last Pod has gone. */
  #end(job: Stored<Job>, conditions: readonly Condition[], nowMs: number): Condition[] {
    const target = conditions.find((c) => c.type === 'FailureTarget' && c.status === 'True');
    this.#failures.delete(job.metadata.uid);
    const so = { ...job, status: { ...job.status, conditions: [...conditions] } };
    if (!target) {
      this.#recorder.normal(job, 'Completed', 'Job completed');
      return withCondition(so, { type: 'Complete', status: 'True', ...REACHED }, nowMs);
    }
    const { reason = '', message = '' } = target;
    this.#recorder.warning(job, reason, message);
    return withCondition(so, { type: 'Failed', status: 'True', reason, message }, nowMs);
  }

  async #manage(
    key: string,
    job: Stored<Job>,
    pods: readonly Stored<Pod>[],
    tally: Tally,
    nowMs: number,
  ): Promise<void> {
    const { parallelism = 1, completions, podReplacementPolicy, completionMode } = job.spec;
    const { active, succeeded, terminating } = tally;
    let wanted = parallelism;
    if (completions !== undefined) wanted = Math.min(completions - succeeded, parallelism);
    else if (succeeded > 0) wanted = Math.min(active.length, parallelism);
    const surplus = active.length - wanted;
    if (surplus > 0) {
      await this.#remove(key, job, podsToDelete(active, active, surplus, nowMs), true);
      return;
    }
    const leaving = podReplacementPolicy === 'Failed' ? terminating : 0;
    const missing = wanted - active.length - leaving;
    if (missing <= 0) return;
    const failures = this.#failures.get(job.metadata.uid);
    const restMs = failures ? failures.lastMs + backoffMs(failures.count) - nowMs : 0;
    if (restMs > 0) {
      this.#loop.queue.addAfter(key, restMs * 1000);
      return;
    }
    let indexes: (number | undefined)[] = Array.from({ length: missing }, () => undefined);
    if (completionMode === 'Indexed') {
      const busy = new Set(tally.completed);
      for (const pod of pods) if (isPodActive(pod)) busy.add(indexOf(pod) ?? -1);
      indexes = freeIndexes(completions ?? 0, busy, missing);
    }
    await this.#create(key, job, indexes);
  }

  async #create(key: string, job: Stored<Job>, indexes: readonly (number | undefined)[]): Promise<void> {
    this.#expectations.expectCreations(key, indexes.length);
    const results = await Promise.allSettled(
      indexes.map(async (index) => {
        try {
          const pod = await this.#ctx.client.create(PODS, jobPod(job, index));
          this.#recorder.normal(job, 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
        } catch (error) {
          this.#expectations.creationObserved(key);
          if (isNamespaceTerminating(error)) return;
          this.#recorder.warning(job, 'FailedCreate', `Error creating: ${(error as Error).message}`);
          throw error;
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** `uncounted`: they were not needed any more, and do not count as failed. */
  async #remove(key: string, job: Stored<Job>, pods: readonly Stored<Pod>[], uncounted: boolean): Promise<void> {
    if (pods.length === 0) return;
    this.#expectations.expectDeletions(key, pods.map(keyOf));
    for (const pod of pods) {
      const { namespace, name, uid } = pod.metadata;
      try {
        if (uncounted) await this.#free(pod);
        await this.#ctx.client.delete(PODS, namespace, name, { preconditions: { uid } });
        this.#recorder.normal(job, 'SuccessfulDelete', `Deleted pod: ${name}`);
      } catch (error) {
        this.#expectations.deletionObserved(key, keyOf(pod));
        if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error;
      }
    }
  }

  /** Pods whose UIDs the status has are free to go. */
  async #freeCounted(pods: readonly Stored<Pod>[], { uncounted }: Tally): Promise<void> {
    const counted = new Set([...uncounted.succeeded, ...uncounted.failed]);
    for (const pod of pods) if (isTracked(pod) && counted.has(pod.metadata.uid)) await this.#free(pod);
  }

  async #free({ metadata }: Stored<Pod>): Promise<void> {
    const finalizers = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
    const patch = { metadata: { uid: metadata.uid, finalizers: finalizers.length > 0 ? finalizers : null } };
    const work = this.#ctx.client.patch(PODS, metadata.namespace, metadata.name, 'merge', patch);
    await tolerate(work, 'NotFound', 'Conflict');
  }

  async #freeOrphan(key: string): Promise<void> {
    const pod = this.#pods.get(key);
    if (!pod || !isTracked(pod)) return;
    const ref = controllerOf(pod);
    const job = ref?.kind === 'Job' ? this.#jobs.get(`${pod.metadata.namespace}/${ref.name}`) : undefined;
    if (job && job.metadata.uid === ref?.uid && finishedAt(job) === undefined) return;
    await this.#free(pod);
  }
}

const REACHED = { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' };
