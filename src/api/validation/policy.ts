// Rules for PodDisruptionBudgets. After kubernetes/pkg/apis/policy/validation/validation.go.
import type { FieldErrors } from '../field-errors.ts';
import type { PodDisruptionBudget } from '../policy-v1.ts';
import { validateLabelSelector } from './meta.ts';
import { amount } from './workload.ts';

const POLICIES = ['IfHealthyBudget', 'AlwaysAllow'];

export function validatePodDisruptionBudget({ spec }: PodDisruptionBudget, errors: FieldErrors): void {
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy: policy } = spec;
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    errors.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set');
  }
  for (const [field, value] of Object.entries({ minAvailable, maxUnavailable })) {
    amount(value, `spec.${field}`, errors);
    if (typeof value === 'string' && Number.parseInt(value, 10) > 100) {
      errors.invalid(`spec.${field}`, value, 'must not be greater than 100%');
    }
  }
  validateLabelSelector(selector, 'spec.selector', errors);
  if (policy !== undefined && !POLICIES.includes(policy)) {
    errors.notSupported('spec.unhealthyPodEvictionPolicy', policy, POLICIES);
  }
}
