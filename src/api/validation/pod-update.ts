// What may change in a Pod that exists: images, deadlines, added tolerations. After ValidatePodUpdate in
// kubernetes/pkg/apis/core/validation/validation.go.
import { clone, equal } from '../../lib/tree.ts';
import type { Container, Pod, PodSpec, Toleration } from '../core-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';

const FIXED =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

export function validatePodUpdate(pod: Pod, old: Pod, errors: FieldErrors): void {
  if (pod.spec.containers.length !== old.spec.containers.length) {
    errors.forbidden('spec.containers', 'pod updates may not add or remove containers');
    return;
  }
  if ((pod.spec.initContainers ?? []).length !== (old.spec.initContainers ?? []).length) {
    errors.forbidden('spec.initContainers', 'pod updates may not add or remove containers');
    return;
  }
  validateDeadline(pod.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds, errors);
  const kept = old.spec.tolerations ?? [];
  const missing = kept.some((t) => !(pod.spec.tolerations ?? []).some((n) => sameToleration(n, t)));
  if (missing) {
    errors.forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds');
  }
  const munged = clone(pod.spec) as PodSpec;
  putBackImages(munged.containers, old.spec.containers);
  putBackImages(munged.initContainers ?? [], old.spec.initContainers ?? []);
  put(munged, old.spec, 'activeDeadlineSeconds');
  put(munged, old.spec, 'tolerations');
  const before = old.spec.terminationGracePeriodSeconds ?? 0;
  if (before < 0 && munged.terminationGracePeriodSeconds === 1) put(munged, old.spec, 'terminationGracePeriodSeconds');
  if (!equal(munged, old.spec)) errors.forbidden('spec', `${FIXED}\n${difference(munged, old.spec)}`);
}

function validateDeadline(value: number | undefined, old: number | undefined, errors: FieldErrors): void {
  const path = 'spec.activeDeadlineSeconds';
  if (old === undefined) return;
  if (value === undefined) errors.invalid(path, null, 'must not update from a positive integer to nil value');
  else if (value > old) errors.invalid(path, value, 'must be less than or equal to previous value');
}

function sameToleration(a: Toleration, b: Toleration): boolean {
  return equal({ ...a, tolerationSeconds: 0 }, { ...b, tolerationSeconds: 0 });
}

function putBackImages(containers: readonly Container[], old: readonly Container[]): void {
  for (const [i, container] of containers.entries()) {
    const before = old[i]?.image;
    if (before !== undefined && container.image) container.image = before;
  }
}

function put<K extends keyof PodSpec>(spec: PodSpec, old: PodSpec, key: K): void {
  if (old[key] === undefined) delete spec[key];
  else spec[key] = old[key];
}

/** What differs, a line for each old (-) and new (+) value. Deviation: the real server prints a dump of Go structs. */
function difference(now: unknown, before: unknown, path: string = 'spec'): string {
  if (equal(now, before)) return '';
  const isTree = (v: unknown): v is object => v !== null && typeof v === 'object';
  if (isTree(now) && isTree(before) && Array.isArray(now) === Array.isArray(before)) {
    const lines: string[] = [];
    for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const inner = Array.isArray(now) ? at(path, key) : `${path}.${key}`;
      const text = difference((now as Record<string, unknown>)[key], (before as Record<string, unknown>)[key], inner);
      if (text) lines.push(text);
    }
    return lines.join('\n');
  }
  const lines: string[] = [];
  if (before !== undefined) lines.push(`- ${path}: ${JSON.stringify(before)}`);
  if (now !== undefined) lines.push(`+ ${path}: ${JSON.stringify(now)}`);
  return lines.join('\n');
}
