// Predicates on Pods that several rooms share. After k8s.io/kubernetes pkg/api/v1/pod/util.go and
// pkg/controller/controller_utils.go (1.32).
import type { Pod } from './core-v1.ts';
import type { Condition } from './meta.ts';
import { parseTime } from './time.ts';

export function condition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((c) => c.type === type);
}

export function isPodReady(pod: Pod): boolean {
  return condition(pod.status?.conditions, 'Ready')?.status === 'True';
}

/** Of an init container: it runs on beside the others (KEP-753). */
export function isSidecar({ restartPolicy }: { readonly restartPolicy?: string }): boolean {
  return restartPolicy === 'Always';
}

/** Succeeded or Failed: its containers will not run again. */
export function isPodTerminal(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return phase === 'Succeeded' || phase === 'Failed';
}

/** Counts as a replica: neither finished nor being deleted. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** Ready for at least `minReadySeconds` at `nowMs` (Unix milliseconds). */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  const ready = condition(pod.status?.conditions, 'Ready');
  if (ready?.status !== 'True') return false;
  if (minReadySeconds === 0) return true;
  const since = parseTime(ready.lastTransitionTime);
  return !Number.isNaN(since) && since + minReadySeconds * 1000 <= nowMs;
}

/** Every address of the Pod, the primary one first. */
export function podIPs(pod: Pod): string[] {
  const all = pod.status?.podIPs?.map((p) => p.ip) ?? [];
  return all.length > 0 ? all : pod.status?.podIP ? [pod.status.podIP] : [];
}
