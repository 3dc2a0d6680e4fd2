// What DELETE does to an object: remove it, or mark it and wait for the kubelet (grace) or for finalizers. After
// k8s.io/apiserver pkg/registry/rest/delete.go (BeforeDelete) and pkg/registry/generic/registry/store.go.
//
//   DELETE ──▶ grace > 0 or finalizers? ── no ──▶ removed
//                    │ yes                            ▲
//                    ▼                                │ finalizers empty and grace 0 (a second DELETE with grace 0, or the
//             deletionTimestamp set ──────────────────┘ update that takes the last finalizer away)
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { StatusError } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import type { DeleteOptions } from '../../client/client.ts';
import { clone } from '../../lib/tree.ts';
import type { Strategy } from './strategy.ts';

const FINALIZER_ORPHAN = 'orphan';
const FINALIZER_FOREGROUND = 'foregroundDeletion';

export type Deletion<T> = { kind: 'remove' } | { kind: 'pending' } | { kind: 'mark'; draft: T };

/** What is to be done; nothing has been yet. `mark`: store the draft. `pending`: it is being deleted as asked. Throws StatusError 409. */
export function planDeletion<T extends KubeObject>(
  strategy: Strategy<T>,
  object: Stored<T>,
  options: DeleteOptions,
  nowMs: number,
): Deletion<T> {
  checkPreconditions(strategy.type, object, options);
  const finalizers = finalizersFor(object.metadata.finalizers ?? [], options.propagationPolicy);
  const held = finalizers.length > 0 || (strategy.keptBy?.(object) ?? false);
  const before = object.metadata.deletionTimestamp;
  const oldGrace = object.metadata.deletionGracePeriodSeconds;
  let grace = 0;
  if (strategy.gracePeriodSeconds) {
    if (before !== undefined && oldGrace !== undefined) {
      // Grace can only be shortened.
      const asked = options.gracePeriodSeconds;
      if (asked === undefined || asked >= oldGrace) return { kind: 'pending' };
      grace = Math.max(0, asked);
    } else if (before === undefined) grace = strategy.gracePeriodSeconds(object, options.gracePeriodSeconds);
  }
  if (grace === 0 && !held) return { kind: 'remove' };
  if (before !== undefined && oldGrace === grace && sameList(finalizers, object.metadata.finalizers ?? [])) {
    return { kind: 'pending' };
  }
  const draft = clone(object) as T;
  const { metadata } = draft;
  const startMs = before === undefined ? nowMs : Date.parse(before) - (oldGrace ?? 0) * 1000;
  if (before === undefined || oldGrace !== grace) metadata.deletionTimestamp = formatTime(startMs + grace * 1000);
  metadata.deletionGracePeriodSeconds = grace;
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
  if (before === undefined) {
    if (metadata.generation) metadata.generation++;
    strategy.prepareForDelete?.(draft);
  }
  return { kind: 'mark', draft };
}

/** Whether an update has taken away the last thing that kept an object which is being deleted. */
export function isReleased<T extends KubeObject>(strategy: Strategy<T>, draft: T): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = draft.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  return deletionGracePeriodSeconds === 0 && !(strategy.keptBy?.(draft) ?? false);
}

/** Wording of rest.BeforeDelete, which names the kind and not the resource. */
function checkPreconditions(type: ResourceType, object: Stored, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion, name } = object.metadata;
  const refuse = (what: string, asked: string, found: string, hint: string): StatusError => {
    const kind = type.group === '' ? type.kind : `${type.kind}.${type.group}`;
    const why = `the ${what} in the precondition (${asked}) does not match the ${what} in record (${found}). The object might have been ${hint}`;
    return new StatusError('Conflict', 409, `Operation cannot be fulfilled on ${kind} "${name}": ${why}`, {
      name,
      ...(type.group ? { group: type.group } : {}),
      kind: type.kind,
    });
  };
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    throw refuse('UID', preconditions.uid, uid, 'deleted and then recreated');
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    throw refuse('ResourceVersion', preconditions.resourceVersion, resourceVersion, 'modified');
  }
}

function finalizersFor(existing: readonly string[], policy: DeleteOptions['propagationPolicy']): string[] {
  if (policy === undefined) return [...existing];
  const kept = existing.filter((f) => f !== FINALIZER_ORPHAN && f !== FINALIZER_FOREGROUND);
  if (policy === 'Orphan') kept.push(FINALIZER_ORPHAN);
  if (policy === 'Foreground') kept.push(FINALIZER_FOREGROUND);
  return kept;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
