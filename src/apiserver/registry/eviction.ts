// The eviction of a Pod: a deletion that asks the PodDisruptionBudgets first. After
// kubernetes/pkg/registry/core/pod/storage/eviction.go (1.32); wording as there.
import type { Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodActive, isPodReady } from '../../api/pod.ts';
import type { PodDisruptionBudget } from '../../api/policy-v1.ts';
import { PODDISRUPTIONBUDGETS, PODS } from '../../api/resources.ts';
import { labelSelectorMatcher } from '../../api/selectors.ts';
import { isStatus, StatusError } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import type { DeleteOptions } from '../../client/client.ts';
import type { Registries } from '../local-client.ts';
import type { RequestOptions } from './registry.ts';

const MAX_DISRUPTED = 2000;
const RETRY_AFTER_S = 10;

/** Rejects with StatusError 429 when a budget does not allow it. */
export async function evict(
  registries: Registries,
  namespace: string,
  name: string,
  deletion: DeleteOptions,
  options: RequestOptions,
  nowMs: number,
): Promise<void> {
  const pods = await registries.registry(PODS);
  const pod = await pods.get(namespace, name);
  const remove = (precise: DeleteOptions) => pods.delete(namespace, name, precise, options);
  if (ignoresBudgets(pod)) {
    await remove(deletion);
    return;
  }
  const registry = await registries.registry(PODDISRUPTIONBUDGETS);
  const budgets = (await registry.list({ namespace })).items.filter(({ spec }) => {
    return spec.selector !== undefined && labelSelectorMatcher(spec.selector).matches(pod.metadata.labels);
  });
  const [budget, another] = budgets;
  if (another) {
    const why = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    throw new StatusError('InternalError', 500, why);
  }
  if (budget && !freeOfBudget(pod, budget)) {
    for (;;) {
      try {
        await registry.update(
          takeOne(await registry.get(namespace, budget.metadata.name), name, nowMs),
          'status',
          options,
        );
        break;
      } catch (error) {
        if (!isStatus(error, 'Conflict')) throw error;
      }
    }
  }
  // Not another Pod that has the name meanwhile.
  await remove({ ...deletion, preconditions: { uid: pod.metadata.uid, ...deletion.preconditions } });
}

/** One that has ended, has not begun or goes anyway disrupts nothing. */
function ignoresBudgets(pod: Stored<Pod>): boolean {
  return !isPodActive(pod) || pod.status?.phase === 'Pending';
}

/** A Pod that is not ready may go while enough others are healthy, or always where the budget says so. */
function freeOfBudget(pod: Stored<Pod>, { spec, status: counts }: Stored<PodDisruptionBudget>): boolean {
  if (isPodReady(pod)) return false;
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  return !!counts && counts.desiredHealthy > 0 && counts.currentHealthy >= counts.desiredHealthy;
}

/** The budget with one disruption less; throws where there is none left. */
function takeOne(budget: Stored<PodDisruptionBudget>, pod: string, nowMs: number): Stored<PodDisruptionBudget> {
  const { name, generation = 0 } = budget.metadata;
  const status = budget.status!;
  const refuse = (cause: string, retryAfterSeconds?: number): StatusError =>
    new StatusError('TooManyRequests', 429, "Cannot evict pod as it would violate the pod's disruption budget.", {
      causes: [{ reason: 'DisruptionBudget', message: cause }],
      ...(retryAfterSeconds ? { retryAfterSeconds } : {}),
    });
  if ((status.observedGeneration ?? 0) < generation) {
    throw refuse(`The disruption budget ${name} is still being processed by the server.`, RETRY_AFTER_S);
  }
  if (Object.keys(status.disruptedPods ?? {}).length > MAX_DISRUPTED) {
    throw refuse(`The disruption budget ${name} has too many evictions that have not been seen yet.`);
  }
  if (status.disruptionsAllowed <= 0) {
    throw refuse(
      `The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`,
    );
  }
  return {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: status.disruptionsAllowed - 1,
      disruptedPods: { ...status.disruptedPods, [pod]: formatTime(nowMs) },
    },
  };
}
