// The two finalizers by which a deletion says what is to become of the dependents. metav1.FinalizerOrphanDependents and
// FinalizerDeleteDependents; the API server sets them from propagationPolicy.
import type { KubeObject } from '../../api/meta.ts';

export const FINALIZER_ORPHAN = 'orphan';
export const FINALIZER_FOREGROUND = 'foregroundDeletion';

export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}
