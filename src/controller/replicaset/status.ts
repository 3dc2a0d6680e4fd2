// The status of a ReplicaSet from its Pods. After pkg/controller/replicaset/replica_set_utils.go (1.32).
import type { ReplicaSet } from '../../api/apps-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Condition } from '../../api/meta.ts';
import { condition, isPodAvailable, isPodReady } from '../../api/pod.ts';
import { formatTime } from '../../api/time.ts';

export type ReplicaSetStatus = NonNullable<ReplicaSet['status']>;

/** `failure`: what went wrong when Pods were created or deleted in this round. */
export function replicaSetStatus(
  rs: ReplicaSet,
  pods: readonly Pod[],
  failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined,
  nowMs: number,
): ReplicaSetStatus {
  const templateLabels = Object.entries(rs.spec.template?.metadata?.labels ?? {});
  const minReadySeconds = rs.spec.minReadySeconds ?? 0;
  const fullyLabeled = (pod: Pod) => templateLabels.every(([k, v]) => pod.metadata.labels?.[k] === v);
  const conditions = failureConditions(rs.status?.conditions ?? [], failure, nowMs);
  return {
    replicas: pods.length,
    ...nonZero('fullyLabeledReplicas', pods.filter(fullyLabeled).length),
    ...nonZero('readyReplicas', pods.filter(isPodReady).length),
    ...nonZero('availableReplicas', pods.filter((p) => isPodAvailable(p, minReadySeconds, nowMs)).length),
    ...nonZero('observedGeneration', rs.metadata.generation ?? 0),
    ...(conditions.length > 0 ? { conditions } : {}),
  };
}

/** Go's `omitempty`: a count of 0 is left out of the object. */
export function nonZero<K extends string>(key: K, value: number): { [P in K]?: number } {
  return value === 0 ? {} : ({ [key]: value } as { [P in K]: number });
}

function failureConditions(
  old: readonly Condition[],
  failure: { reason: string; message: string } | undefined,
  nowMs: number,
): Condition[] {
  const rest = old.filter((c) => c.type !== 'ReplicaFailure');
  if (!failure) return rest;
  const current = condition(old, 'ReplicaFailure');
  if (current) return [...old];
  return [
    ...rest,
    {
      type: 'ReplicaFailure',
      status: 'True',
      lastTransitionTime: formatTime(nowMs),
      reason: failure.reason,
      message: failure.message,
    },
  ];
}
