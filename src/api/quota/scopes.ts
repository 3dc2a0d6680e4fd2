// Which Pods a ResourceQuota with scopes is about. After kubernetes/pkg/quota/v1/evaluator/core/pods.go (podMatchesScopeFunc).

import { amountsOf } from '../amount.ts';
import type { Pod, ResourceQuota, ScopeRequirement } from '../core-v1.ts';

/** What may stand in spec.scopes, and in spec.scopeSelector beside PriorityClass. */
export const SCOPES = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort', 'PriorityClass'] as const;

/** Both forms of it in one list. */
export function scopesOf({ spec }: ResourceQuota): ScopeRequirement[] {
  const named = (spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' }));
  return [...named, ...(spec?.scopeSelector?.matchExpressions ?? [])];
}

export function inScope(pod: Pod, { scopeName, operator, values = [] }: ScopeRequirement): boolean {
  switch (scopeName) {
    case 'Terminating':
      return (pod.spec.activeDeadlineSeconds ?? -1) >= 0;
    case 'NotTerminating':
      return (pod.spec.activeDeadlineSeconds ?? -1) < 0;
    case 'BestEffort':
      return isBestEffort(pod);
    case 'NotBestEffort':
      return !isBestEffort(pod);
    case 'PriorityClass': {
      const name = pod.spec.priorityClassName ?? '';
      if (operator === 'Exists') return name !== '';
      if (operator === 'DoesNotExist') return name === '';
      return values.includes(name) === (operator === 'In');
    }
    default:
      return false;
  }
}

/** No container asks for, or is limited in, processor or memory. */
function isBestEffort({ spec }: Pod): boolean {
  return ![...(spec.initContainers ?? []), ...spec.containers].some(({ resources }) =>
    [amountsOf(resources?.requests), amountsOf(resources?.limits)].some((amounts) =>
      ['cpu', 'memory'].some((name) => (amounts.get(name)?.nano ?? 0n) > 0n),
    ),
  );
}
