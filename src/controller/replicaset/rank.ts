// Which Pods of a ReplicaSet go first when it shrinks. After ActivePodsWithRanks in pkg/controller/controller_utils.go and
// getPodsToDelete in pkg/controller/replicaset/replica_set.go (1.32, feature gate LogarithmicScaleDown on).
//
// The order, first difference wins: unassigned before assigned; Pending, Unknown, Running; not ready before ready; lower
// pod-deletion-cost; more Pods of the same owner on its node; ready more recently; more restarts; created more recently.
// The two ages are compared by the logarithm of their nanoseconds, ties by UID, so that Pods of about the same age go in random order.
import type { ContainerStatus, Pod } from '../../api/core-v1.ts';
import { condition, isPodActive, isPodReady, isSidecar } from '../../api/pod.ts';
import { parseTime } from '../../api/time.ts';

export const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';

const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** The `count` Pods to delete. `related`: the Pods of all ReplicaSets of the same owner, these included. */
export function podsToDelete<P extends Pod>(
  pods: readonly P[],
  related: readonly Pod[],
  count: number,
  nowMs: number,
): P[] {
  if (count >= pods.length) return [...pods];
  const onNode = new Map<string, number>();
  for (const pod of related) {
    if (!isPodActive(pod)) continue;
    const node = pod.spec.nodeName ?? '';
    onNode.set(node, (onNode.get(node) ?? 0) + 1);
  }
  const rank = (pod: Pod) => onNode.get(pod.spec.nodeName ?? '') ?? 0;
  return [...pods].sort((a, b) => compareForDeletion(a, b, rank(a), rank(b), nowMs)).slice(0, count);
}

/** Negative when `a` is to be deleted before `b`. */
export function compareForDeletion(a: Pod, b: Pod, rankA: number, rankB: number, nowMs: number): number {
  const assignedA = Number(Boolean(a.spec.nodeName));
  const assignedB = Number(Boolean(b.spec.nodeName));
  if (assignedA !== assignedB) return assignedA - assignedB;

  const phaseA = PHASE_ORDER[a.status?.phase ?? ''] ?? 0;
  const phaseB = PHASE_ORDER[b.status?.phase ?? ''] ?? 0;
  if (phaseA !== phaseB) return phaseA - phaseB;

  const readyA = isPodReady(a);
  const readyB = isPodReady(b);
  if (readyA !== readyB) return readyA ? 1 : -1;

  const costA = deletionCost(a);
  const costB = deletionCost(b);
  if (costA !== costB) return costA - costB;

  if (rankA !== rankB) return rankB - rankA;

  if (readyA && readyB) {
    const byReadyTime = compareAge(readyTime(a), readyTime(b), a, b, nowMs);
    if (byReadyTime !== 0) return byReadyTime;
  }

  const byRestarts = compareRestarts(a, b);
  if (byRestarts !== 0) return byRestarts;

  return compareAge(parseTime(a.metadata.creationTimestamp), parseTime(b.metadata.creationTimestamp), a, b, nowMs);
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[DELETION_COST] ?? '0';
  return /^(0|-?[1-9][0-9]*)$/.test(text) ? Number(text) : 0;
}

function readyTime(pod: Pod): number {
  return parseTime(condition(pod.status?.conditions, 'Ready')?.lastTransitionTime);
}

/** The younger first, in steps of powers of two; an unknown time (NaN) before any. */
function compareAge(timeA: number, timeB: number, a: Pod, b: Pod, nowMs: number): number {
  const knownA = !Number.isNaN(timeA);
  const knownB = !Number.isNaN(timeB);
  if (timeA === timeB || (!knownA && !knownB)) return 0;
  if (!knownA || !knownB) return knownA ? 1 : -1;
  const diff = ageOrder(timeA, nowMs) - ageOrder(timeB, nowMs);
  if (diff !== 0) return diff;
  const uidA = a.metadata.uid ?? '';
  const uidB = b.metadata.uid ?? '';
  return uidA < uidB ? -1 : uidA > uidB ? 1 : 0;
}

function ageOrder(timeMs: number, nowMs: number): number {
  const ageNs = (nowMs - timeMs) * 1e6;
  return ageNs > 0 ? Math.trunc(Math.log2(ageNs)) : -1;
}

function compareRestarts(a: Pod, b: Pod): number {
  const [regularA, sidecarA] = maxRestarts(a);
  const [regularB, sidecarB] = maxRestarts(b);
  return regularA !== regularB ? regularB - regularA : sidecarB - sidecarA;
}

function maxRestarts(pod: Pod): [regular: number, sidecar: number] {
  const most = (statuses: readonly ContainerStatus[]) => statuses.reduce((m, s) => Math.max(m, s.restartCount), 0);
  const sidecars = new Set((pod.spec.initContainers ?? []).filter(isSidecar).map((c) => c.name));
  return [
    most(pod.status?.containerStatuses ?? []),
    most((pod.status?.initContainerStatuses ?? []).filter((s) => sidecars.has(s.name))),
  ];
}
