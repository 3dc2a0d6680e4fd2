// The status of a Deployment from its ReplicaSets, and its conditions. Pure. After calculateStatus in
// pkg/controller/deployment/sync.go, progress.go and util/deployment_util.go (1.32).
import type { Deployment, ReplicaSet } from '../../api/apps-v1.ts';
import type { Condition } from '../../api/meta.ts';
import { condition } from '../../api/pod.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import { nonZero } from '../replicaset/status.ts';
import { availableOf, maxUnavailable, replicasOf, sum } from './rolling.ts';

export type DeploymentStatus = NonNullable<Deployment['status']>;

/** progressDeadlineSeconds of 2^31 - 1 means: never. */
const NO_DEADLINE = 2147483647;

export function hasProgressDeadline(d: Deployment): boolean {
  return d.spec.progressDeadlineSeconds !== undefined && d.spec.progressDeadlineSeconds !== NO_DEADLINE;
}

/** Counts, and the condition Available; the other conditions are kept. */
export function deploymentStatus(
  d: Deployment,
  newSet: ReplicaSet | undefined,
  allSets: readonly ReplicaSet[],
  nowMs: number,
): DeploymentStatus {
  const available = sum(allSets, availableOf);
  const enough = available >= replicasOf(d) - maxUnavailable(d);
  const conditions = withCondition(
    d.status?.conditions ?? [],
    enough
      ? newCondition('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', nowMs)
      : newCondition(
          'Available',
          'False',
          'MinimumReplicasUnavailable',
          'Deployment does not have minimum availability.',
          nowMs,
        ),
  );
  return {
    ...nonZero('observedGeneration', d.metadata.generation ?? 0),
    ...nonZero('replicas', sum(allSets, actualOf)),
    ...nonZero('updatedReplicas', newSet ? actualOf(newSet) : 0),
    ...nonZero(
      'readyReplicas',
      sum(allSets, (rs) => rs.status?.readyReplicas ?? 0),
    ),
    ...nonZero('availableReplicas', available),
    ...nonZero('unavailableReplicas', Math.max(0, sum(allSets, replicasOf) - available)),
    conditions,
    ...(d.status?.collisionCount === undefined ? {} : { collisionCount: d.status.collisionCount }),
  };
}

/** `status` with the conditions Progressing and ReplicaFailure brought up to date; during a rollout. */
export function withProgress(
  d: Deployment,
  status: DeploymentStatus,
  newSet: ReplicaSet | undefined,
  allSets: readonly ReplicaSet[],
  nowMs: number,
): DeploymentStatus {
  let conditions = status.conditions ?? [];
  if (!hasProgressDeadline(d)) conditions = conditions.filter((c) => c.type !== 'Progressing');
  const current = condition(d.status?.conditions, 'Progressing');
  const completed =
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === 'NewReplicaSetAvailable';
  if (hasProgressDeadline(d) && !completed) {
    const subject = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${d.metadata.name}"`;
    if (isComplete(d, status)) {
      conditions = withCondition(
        conditions,
        newCondition('Progressing', 'True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`, nowMs),
      );
    } else if (hasProgressed(d.status ?? {}, status)) {
      // The time of the last progress moves although nothing else of the condition does.
      const fresh = newCondition('Progressing', 'True', 'ReplicaSetUpdated', `${subject} is progressing.`, nowMs);
      if (current?.status === 'True' && current.lastTransitionTime)
        fresh.lastTransitionTime = current.lastTransitionTime;
      conditions = [...conditions.filter((c) => c.type !== 'Progressing'), fresh];
    } else if (hasTimedOut(d, nowMs)) {
      const message = `${subject} has timed out progressing.`;
      conditions = withCondition(
        conditions,
        newCondition('Progressing', 'False', 'ProgressDeadlineExceeded', message, nowMs),
      );
    }
  }
  const failure = replicaFailure(newSet, allSets);
  conditions = failure ? withCondition(conditions, failure) : conditions.filter((c) => c.type !== 'ReplicaFailure');
  return { ...status, conditions };
}

/** The condition Progressing of a Deployment that has just been paused or resumed, else undefined. */
export function pauseCondition(d: Deployment, nowMs: number): Condition | undefined {
  if (!hasProgressDeadline(d)) return undefined;
  const current = condition(d.status?.conditions, 'Progressing');
  if (current?.reason === 'ProgressDeadlineExceeded') return undefined;
  const wasPaused = current?.reason === 'DeploymentPaused';
  if (d.spec.paused && !wasPaused) {
    return newCondition('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused', nowMs);
  }
  if (!d.spec.paused && wasPaused) {
    return newCondition('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed', nowMs);
  }
  return undefined;
}

/** Every Pod is of the new template and available, and no old one runs. */
export function isComplete(d: Deployment, status: DeploymentStatus): boolean {
  const n = replicasOf(d);
  return (
    (status.updatedReplicas ?? 0) === n &&
    (status.replicas ?? 0) === n &&
    (status.availableReplicas ?? 0) === n &&
    (status.observedGeneration ?? 0) >= (d.metadata.generation ?? 0)
  );
}

function hasProgressed(old: DeploymentStatus, now: DeploymentStatus): boolean {
  const oldReplicas = (s: DeploymentStatus) => (s.replicas ?? 0) - (s.updatedReplicas ?? 0);
  return (
    (now.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    oldReplicas(now) < oldReplicas(old) ||
    (now.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  );
}

function hasTimedOut(d: Deployment, nowMs: number): boolean {
  const current = condition(d.status?.conditions, 'Progressing');
  if (!current || current.reason === 'NewReplicaSetAvailable') return false;
  if (current.reason === 'ProgressDeadlineExceeded') return true;
  return parseTime(current.lastUpdateTime) + (d.spec.progressDeadlineSeconds ?? 0) * 1000 < nowMs;
}

/** Milliseconds until the rollout would time out; undefined when it cannot. */
export function untilTimeoutMs(d: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const current = condition(status.conditions, 'Progressing');
  if (!hasProgressDeadline(d) || !current || isComplete(d, status)) return undefined;
  if (current.reason === 'ProgressDeadlineExceeded' || current.reason === 'NewReplicaSetAvailable') return undefined;
  return Math.max(0, parseTime(current.lastUpdateTime) + (d.spec.progressDeadlineSeconds ?? 0) * 1000 - nowMs);
}

function actualOf(rs: ReplicaSet): number {
  return rs.status?.replicas ?? 0;
}

export function newCondition(
  type: string,
  status: Condition['status'],
  reason: string,
  message: string,
  nowMs: number,
): Condition {
  const now = formatTime(nowMs);
  return { type, status, lastUpdateTime: now, lastTransitionTime: now, reason, message };
}

/** Sets a condition, at the end; one of the same status and reason stays as it is. */
export function withCondition(conditions: readonly Condition[], fresh: Condition): Condition[] {
  const current = condition(conditions, fresh.type);
  if (current && current.status === fresh.status && current.reason === fresh.reason) return [...conditions];
  const kept =
    current?.status === fresh.status && current.lastTransitionTime
      ? { ...fresh, lastTransitionTime: current.lastTransitionTime }
      : fresh;
  return [...conditions.filter((c) => c.type !== fresh.type), kept];
}

/** A ReplicaSet's failure to make Pods, the new one's first. */
function replicaFailure(newSet: ReplicaSet | undefined, allSets: readonly ReplicaSet[]): Condition | undefined {
  const failures = (rs: ReplicaSet | undefined) => condition(rs?.status?.conditions, 'ReplicaFailure');
  const found = failures(newSet) ?? allSets.map(failures).find((c) => c !== undefined);
  if (!found) return undefined;
  return { ...found, ...(found.lastTransitionTime ? { lastUpdateTime: found.lastTransitionTime } : {}) };
}
