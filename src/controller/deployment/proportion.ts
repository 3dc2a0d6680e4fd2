// Scaling in the middle of a rollout, or of a paused Deployment: the change is spread over all active ReplicaSets in
// proportion to their size, so that a scale does not hasten a rollout that may be failing. Pure. After scale() in
// pkg/controller/deployment/sync.go and GetReplicaSetProportion in util/deployment_util.go (1.32).
import type { Deployment, ReplicaSet } from '../../api/apps-v1.ts';
import { DESIRED_REPLICAS, intAnnotation, MAX_REPLICAS } from './revision.ts';
import { availableOf, byCreation, isRollingUpdate, maxSurge, type Resize, replicasOf, sum } from './rolling.ts';

/** True when the Deployment's size changed since its active ReplicaSets were last sized. */
export function isScalingEvent(d: Deployment, sets: readonly ReplicaSet[]): boolean {
  return sets.some((rs) => {
    if (replicasOf(rs) === 0) return false;
    const desired = intAnnotation(rs, DESIRED_REPLICAS);
    return desired !== undefined && desired !== replicasOf(d);
  });
}

/** The new sizes. Every active ReplicaSet is named when sizes are spread: its annotations change even if its size does not. */
export function proportionalScale(
  d: Deployment,
  newSet: ReplicaSet | undefined,
  oldSets: readonly ReplicaSet[],
): Resize[] {
  const only = activeOrLatest(newSet, oldSets);
  if (only) return replicasOf(only) === replicasOf(d) ? [] : [{ replicaSet: only, to: replicasOf(d) }];

  const active = [...oldSets, ...(newSet ? [newSet] : [])].filter((rs) => replicasOf(rs) > 0);
  if (isSaturated(d, newSet)) {
    return oldSets.filter((rs) => replicasOf(rs) > 0).map((rs) => ({ replicaSet: rs, to: 0 }));
  }
  if (!isRollingUpdate(d)) return [];

  const allowed = replicasOf(d) > 0 ? replicasOf(d) + maxSurge(d) : 0;
  const toAdd = allowed - sum(active, replicasOf);
  // Largest first; of equals, grow the newer and shrink the older.
  const age = toAdd > 0 ? -1 : 1;
  const ordered = active.sort((a, b) => replicasOf(b) - replicasOf(a) || age * byCreation(a, b));
  let added = 0;
  const sizes = ordered.map((rs) => {
    const share = toAdd === 0 ? 0 : proportion(rs, d, toAdd, added);
    added += share;
    return replicasOf(rs) + share;
  });
  if (toAdd !== 0) sizes[0] = Math.max(0, sizes[0]! + toAdd - added);
  return ordered.map((rs, i) => ({ replicaSet: rs, to: sizes[i]! }));
}

/** The one active ReplicaSet, or the newest when none is active; undefined when several are. */
function activeOrLatest(newSet: ReplicaSet | undefined, oldSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const all = [...oldSets, ...(newSet ? [newSet] : [])];
  const active = all.filter((rs) => replicasOf(rs) > 0);
  if (active.length > 1) return undefined;
  if (active.length === 1) return active[0];
  return newSet ?? [...oldSets].sort(byCreation).at(-1);
}

/** The new ReplicaSet has all replicas of the Deployment, all available, and was sized for that number. */
function isSaturated(d: Deployment, rs: ReplicaSet | undefined): boolean {
  if (!rs) return false;
  const n = replicasOf(d);
  return replicasOf(rs) === n && intAnnotation(rs, DESIRED_REPLICAS) === n && availableOf(rs) === n;
}

function proportion(rs: ReplicaSet, d: Deployment, toAdd: number, added: number): number {
  if (replicasOf(rs) === 0 || toAdd === added) return 0;
  const fraction = replicaSetFraction(rs, d);
  return toAdd > 0 ? Math.min(fraction, toAdd - added) : Math.max(fraction, toAdd - added);
}

function replicaSetFraction(rs: ReplicaSet, d: Deployment): number {
  const size = replicasOf(rs);
  if (replicasOf(d) === 0) return -size;
  const annotated = intAnnotation(rs, MAX_REPLICAS) || d.status?.replicas || replicasOf(d);
  return Math.round((size * (replicasOf(d) + maxSurge(d))) / annotated) - size;
}
