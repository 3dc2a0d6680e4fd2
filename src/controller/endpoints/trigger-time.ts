// The annotation endpoints.kubernetes.io/last-change-trigger-time: when the oldest change that an update of endpoints answers
// happened; kube-proxy measures network programming latency from it. After
// staging/src/k8s.io/endpointslice/util/trigger_time_tracker.go (1.32).
import type { Pod, Service } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { condition } from '../../api/pod.ts';
import { formatTimeNano, parseTime } from '../../api/time.ts';

export const LAST_CHANGE = 'endpoints.kubernetes.io/last-change-trigger-time';

export class TriggerTimes {
  /** Of the Services that were asked for, by Pod name: when it last became ready or not ready. */
  readonly #services = new Map<string, Map<string, number>>();

  /** The earliest change of the Service and its Pods since the last call, as text; undefined when nothing is new. */
  next(key: string, service: Stored<Service>, pods: readonly Stored<Pod>[]): string | undefined {
    const known = this.#services.get(key);
    const serviceMs = parseTime(service.metadata.creationTimestamp);
    const now = new Map<string, number>();
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const pod of pods) {
      const ms = parseTime(condition(pod.status?.conditions, 'Ready')?.lastTransitionTime);
      if (Number.isNaN(ms)) continue;
      now.set(pod.metadata.name, ms);
      const before = known?.get(pod.metadata.name);
      if (known && (before === undefined || ms > before)) earliestMs = Math.min(earliestMs, ms);
      if (!known) earliestMs = Math.min(earliestMs, Math.max(ms, serviceMs));
    }
    if (!known) earliestMs = Math.min(earliestMs, serviceMs);
    this.#services.set(key, now);
    return Number.isFinite(earliestMs) ? formatTimeNano(earliestMs) : undefined;
  }

  forget(key: string): void {
    this.#services.delete(key);
  }
}
