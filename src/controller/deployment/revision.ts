// Revisions: which ReplicaSet is a Deployment's newest, and what its annotations say. Pure. After
// pkg/controller/deployment/util/deployment_util.go (1.32).
import { isDeepStrictEqual } from 'node:util';
import type { Deployment, ReplicaSet } from '../../api/apps-v1.ts';
import type { PodTemplateSpec } from '../../api/core-v1.ts';
import type { KubeObject } from '../../api/meta.ts';
import { byCreation, maxSurge, replicasOf } from './rolling.ts';

export const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';
export const POD_TEMPLATE_HASH = 'pod-template-hash';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const ROLLBACK_TO = 'deprecated.deployment.rollback.to';
const OWN = new Set([LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, ROLLBACK_TO]);
const MAX_HISTORY_CHARS = 2000;

export function intAnnotation(object: KubeObject, key: string): number | undefined {
  const text = object.metadata.annotations?.[key];
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

function revisionOf(object: KubeObject): number {
  return intAnnotation(object, REVISION) ?? 0;
}

export function maxRevision(sets: readonly ReplicaSet[]): number {
  return sets.reduce((max, rs) => Math.max(max, revisionOf(rs)), 0);
}

/** Equal but for the label pod-template-hash. */
export function sameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return isDeepStrictEqual(withoutHash(a), withoutHash(b));
}

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  if (!template) return undefined;
  const { creationTimestamp: _, labels, annotations, ...metadata } = template.metadata ?? {};
  const { [POD_TEMPLATE_HASH]: __, ...rest } = labels ?? {};
  // An absent map and an empty one are the same template.
  return { ...template, metadata: { ...metadata, labels: rest, annotations: annotations ?? {} } };
}

/** The ReplicaSet of the Deployment's present template (the oldest, should there be two). */
export function findNew<R extends ReplicaSet>(d: Deployment, sets: readonly R[]): R | undefined {
  return [...sets].sort(byCreation).find((rs) => sameTemplate(rs.spec.template, d.spec.template));
}

/**
 * The annotations the newest ReplicaSet should have, or undefined when they are already so: the Deployment's own, the revision
 * (only ever raised) and, for one that becomes newest again by a rollback, the revisions it had before.
 */
export function newReplicaSetAnnotations(
  d: Deployment,
  rs: ReplicaSet,
  newRevision: number,
  exists: boolean,
): Record<string, string> | undefined {
  const old = rs.metadata.annotations ?? {};
  const annotations: Record<string, string> = { ...old };
  for (const [key, value] of Object.entries(d.metadata.annotations ?? {})) if (!OWN.has(key)) annotations[key] = value;
  const before = intAnnotation(rs, REVISION);
  if ((before ?? 0) < newRevision) {
    annotations[REVISION] = String(newRevision);
    if (before !== undefined) {
      annotations[REVISION_HISTORY] = appendHistory(old[REVISION_HISTORY], String(before));
    }
  }
  if (!exists) Object.assign(annotations, sizeAnnotations(d));
  return isDeepStrictEqual(annotations, old) ? undefined : annotations;
}

function appendHistory(history: string | undefined, revision: string): string {
  const list = history ? history.split(',') : [];
  list.push(revision);
  while (list.length > 1 && list.join(',').length > MAX_HISTORY_CHARS) list.shift();
  return list.join(',');
}

/** What a ReplicaSet records of the Deployment's size when it is sized: by this a later scaling is told from a rollout. */
export function sizeAnnotations(d: Deployment): Record<string, string> {
  return {
    [DESIRED_REPLICAS]: String(replicasOf(d)),
    [MAX_REPLICAS]: String(replicasOf(d) + maxSurge(d)),
  };
}

/** Old ReplicaSets beyond the history limit, lowest revision first. Those still in use or not yet observed are kept. */
export function beyondHistory<R extends ReplicaSet>(d: Deployment, oldSets: readonly R[]): R[] {
  const alive = oldSets.filter((rs) => rs.metadata.deletionTimestamp === undefined);
  const excess = alive.length - (d.spec.revisionHistoryLimit ?? 10);
  if (excess <= 0) return [];
  return alive
    .sort((a, b) => revisionOf(a) - revisionOf(b) || byCreation(a, b))
    .slice(0, excess)
    .filter(
      (rs) =>
        (rs.status?.replicas ?? 0) === 0 &&
        replicasOf(rs) === 0 &&
        (rs.metadata.generation ?? 0) <= (rs.status?.observedGeneration ?? 0),
    );
}
