// The fields of an object that belong to the server. After k8s.io/apiserver/pkg/registry/rest (meta.go, update.go).
import type { KubeObject, Stored } from '../../api/meta.ts';
import type { Rng } from '../../lib/rng.ts';
import { clone, equal } from '../../lib/tree.ts';

/** Puts back what no update of the main resource changes. Identity is filled in when absent, and judged elsewhere. */
export function keepSystemFields({ metadata }: KubeObject, old: Stored): void {
  metadata.uid ||= old.metadata.uid;
  metadata.creationTimestamp ||= old.metadata.creationTimestamp;
  if (old.metadata.generation !== undefined) metadata.generation = old.metadata.generation;
  else delete metadata.generation;
  const { deletionTimestamp, deletionGracePeriodSeconds } = old.metadata;
  if (deletionTimestamp !== undefined) metadata.deletionTimestamp = deletionTimestamp;
  else delete metadata.deletionTimestamp;
  if (deletionGracePeriodSeconds !== undefined) metadata.deletionGracePeriodSeconds = deletionGracePeriodSeconds;
  else delete metadata.deletionGracePeriodSeconds;
}

/** `draft` gets the status of `from`. */
export function keepStatus(draft: KubeObject, from: KubeObject): void {
  const target = draft as { status?: unknown };
  const { status } = from as { status?: unknown };
  if (status === undefined) delete target.status;
  else target.status = clone(status);
}

/** Whether a write would change nothing; gives `next` the revision of `old`. */
export function sameState<T extends KubeObject>(next: T, old: Stored<T>): boolean {
  next.metadata.resourceVersion = old.metadata.resourceVersion;
  return equal(next, old);
}

/** One more when anything but metadata and status differs. */
export function nextGeneration(next: KubeObject, old: KubeObject): number {
  const { metadata: _n, status: _s, ...desired } = next as KubeObject & { status?: unknown };
  const { metadata: _m, status: _t, ...before } = old as KubeObject & { status?: unknown };
  const generation = old.metadata.generation ?? 0;
  return equal(desired, before) ? generation : generation + 1;
}

/** A version 4 UUID from the injected randomness. */
export function newUid(rng: Rng): string {
  const hex = Array.from({ length: 4 }, () => rng.u32().toString(16).padStart(8, '0')).join('');
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}
