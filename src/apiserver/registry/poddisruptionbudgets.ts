// PodDisruptionBudgets. After kubernetes/pkg/registry/policy/poddisruptionbudget/strategy.go.
import { dns1123SubdomainErrors } from '../../api/names.ts';
import type { PodDisruptionBudget } from '../../api/policy-v1.ts';
import { PODDISRUPTIONBUDGETS } from '../../api/resources.ts';
import { validatePodDisruptionBudget } from '../../api/validation/policy.ts';
import type { Strategy } from './strategy.ts';

export const podDisruptionBudgetStrategy: Strategy<PodDisruptionBudget> = {
  type: PODDISRUPTIONBUDGETS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults(budget) {
    budget.spec ??= {};
    if (budget.spec.minAvailable === undefined && budget.spec.maxUnavailable === undefined) {
      budget.spec.minAvailable = 1;
    }
  },
  prepareForCreate(budget) {
    // No eviction before the controller has counted.
    budget.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  },
  validate: validatePodDisruptionBudget,
  status: {},
};
