// The conditions of a Job, and when its time is over. Pure. After pkg/controller/job/job_controller.go and
// k8s.io/kubernetes/pkg/controller/job/util (1.32).
import type { Job } from '../../api/batch-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Condition } from '../../api/meta.ts';
import { condition } from '../../api/pod.ts';
import { formatTime, parseTime } from '../../api/time.ts';

export interface Failure {
  readonly reason: 'BackoffLimitExceeded' | 'DeadlineExceeded';
  readonly message: string;
}

const BACKOFF_INITIAL_MS = 10_000;
const BACKOFF_MAX_MS = 600_000;

export function isTrue(job: Job, type: string): boolean {
  return condition(job.status?.conditions, type)?.status === 'True';
}

export function finishedAt(job: Job): number | undefined {
  const end = job.status?.conditions?.find(
    (c) => (c.type === 'Complete' || c.type === 'Failed') && c.status === 'True',
  );
  return end && parseTime(end.lastTransitionTime);
}

export function withCondition(job: Job, fresh: Omit<Condition, 'lastTransitionTime'>, nowMs: number): Condition[] {
  const now = formatTime(nowMs);
  const others = (job.status?.conditions ?? []).filter((c) => c.type !== fresh.type);
  const { type, status, ...why } = fresh;
  return [...others, { type, status, lastProbeTime: now, lastTransitionTime: now, ...why }];
}

/** Why the Job has failed, if it has. `failed`: Pods that have, in all. */
export function failureOf(job: Job, pods: readonly Pod[], failed: number, nowMs: number): Failure | undefined {
  const { backoffLimit = 6, activeDeadlineSeconds, template } = job.spec;
  const restarts =
    template.spec.restartPolicy === 'OnFailure' ? pods.reduce((sum, pod) => sum + restartsOf(pod), 0) : 0;
  const restartedTooOften = backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
  if (failed > backoffLimit || (restarts > 0 && restartedTooOften)) {
    return { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
  }
  const started = parseTime(job.status?.startTime);
  if (activeDeadlineSeconds !== undefined && nowMs - started >= activeDeadlineSeconds * 1000) {
    return { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };
  }
  return undefined;
}

function restartsOf({ status }: Pod): number {
  if (status?.phase !== 'Running' && status?.phase !== 'Pending') return 0;
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return all.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** How long after the last failure the next Pod may be made, when `failures` came in a row. */
export function backoffMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_INITIAL_MS * 2 ** (failures - 1));
}
