// The arithmetic of a rolling update: how far a Deployment may overshoot and undershoot, how large the new ReplicaSet may
// be now, how far the old ones may shrink. Pure. After pkg/controller/deployment/{rolling.go,util/deployment_util.go} (1.32).
import type { Deployment, ReplicaSet } from '../../api/apps-v1.ts';
import type { IntOrString } from '../../api/meta.ts';
import { parseTime } from '../../api/time.ts';

export function replicasOf(object: Deployment | ReplicaSet): number {
  return object.spec.replicas ?? 1;
}

export function isRollingUpdate(d: Deployment): boolean {
  return d.spec.strategy?.type !== 'Recreate';
}

/** A count, or a percentage of `total` rounded as asked. */
export function scaled(value: IntOrString, total: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const percent = Number(value.replace(/%$/, ''));
  // Multiply before dividing: 0.55 * 20 is not 11 in binary.
  return round === 'up' ? Math.ceil((percent * total) / 100) : Math.floor((percent * total) / 100);
}

/** maxSurge rounds up, maxUnavailable down; when both come to 0 nothing could ever move, so one may be unavailable. */
export function fenceposts(
  maxSurge: IntOrString | undefined,
  maxUnavailable: IntOrString | undefined,
  replicas: number,
): { surge: number; unavailable: number } {
  const surge = scaled(maxSurge ?? '25%', replicas, 'up');
  const unavailable = scaled(maxUnavailable ?? '25%', replicas, 'down');
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

export function maxSurge(d: Deployment): number {
  if (!isRollingUpdate(d)) return 0;
  const r = d.spec.strategy?.rollingUpdate;
  return fenceposts(r?.maxSurge, r?.maxUnavailable, replicasOf(d)).surge;
}

export function maxUnavailable(d: Deployment): number {
  const replicas = replicasOf(d);
  if (!isRollingUpdate(d) || replicas === 0) return 0;
  const r = d.spec.strategy?.rollingUpdate;
  return Math.min(fenceposts(r?.maxSurge, r?.maxUnavailable, replicas).unavailable, replicas);
}

export const sum = (sets: readonly ReplicaSet[], of: (rs: ReplicaSet) => number): number =>
  sets.reduce((total, rs) => total + of(rs), 0);

export const availableOf = (rs: ReplicaSet): number => rs.status?.availableReplicas ?? 0;

/** The size the new ReplicaSet, of `current` replicas, may have while all ReplicaSets together have `total`. */
export function newReplicaSetSize(d: Deployment, current: number, total: number): number {
  const desired = replicasOf(d);
  if (!isRollingUpdate(d)) return desired;
  const limit = desired + maxSurge(d);
  if (total >= limit) return current;
  return current + Math.min(limit - total, desired - current);
}

/** A ReplicaSet to be resized. */
export interface Resize {
  readonly replicaSet: ReplicaSet;
  readonly to: number;
}

/**
 * How the old ReplicaSets shrink in this step: first their unhealthy Pods, which costs no availability, then as many of the
 * others as leave minAvailable Pods available. Pods the new one still lacks are counted as unavailable.
 */
export function shrinkOld(d: Deployment, oldSets: readonly ReplicaSet[], newSet: ReplicaSet): Resize[] {
  const active = oldSets.filter((rs) => replicasOf(rs) > 0);
  if (active.length === 0) return [];
  const least = replicasOf(d) - maxUnavailable(d);
  const total = sum(oldSets, replicasOf) + replicasOf(newSet);
  const newUnavailable = replicasOf(newSet) - availableOf(newSet);
  const most = total - least - newUnavailable;
  if (most <= 0) return [];

  const size = new Map<ReplicaSet, number>(active.map((rs) => [rs, replicasOf(rs)]));
  const byAge = [...active].sort(byCreation);
  let cleaned = 0;
  for (const rs of byAge) {
    if (cleaned >= most) break;
    const unhealthy = replicasOf(rs) - availableOf(rs);
    if (unhealthy <= 0) continue;
    const step = Math.min(most - cleaned, unhealthy);
    size.set(rs, replicasOf(rs) - step);
    cleaned += step;
  }

  let spare = sum(oldSets, availableOf) + availableOf(newSet) - least;
  for (const rs of byAge) {
    if (spare <= 0) break;
    const now = size.get(rs)!;
    const step = Math.min(now, spare);
    size.set(rs, now - step);
    spare -= step;
  }
  return byAge.filter((rs) => size.get(rs) !== replicasOf(rs)).map((rs) => ({ replicaSet: rs, to: size.get(rs)! }));
}

/** Oldest first, ties by name. */
export function byCreation(a: ReplicaSet, b: ReplicaSet): number {
  const diff = parseTime(a.metadata.creationTimestamp) - parseTime(b.metadata.creationTimestamp);
  if (diff) return diff;
  return a.metadata.name! < b.metadata.name! ? -1 : a.metadata.name! > b.metadata.name! ? 1 : 0;
}
