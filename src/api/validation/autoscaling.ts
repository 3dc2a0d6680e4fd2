// Rules for HorizontalPodAutoscalers. After kubernetes/pkg/apis/autoscaling/validation/validation.go; left out: what is inside
// metrics and behavior.
import type { HorizontalPodAutoscaler } from '../autoscaling-v2.ts';
import type { FieldErrors } from '../field-errors.ts';

export function validateHorizontalPodAutoscaler({ spec }: HorizontalPodAutoscaler, errors: FieldErrors): void {
  const { scaleTargetRef, minReplicas, maxReplicas = 0 } = spec;
  if (minReplicas !== undefined && minReplicas < 1) {
    errors.invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1');
  }
  if (maxReplicas < 1) errors.invalid('spec.maxReplicas', maxReplicas, 'must be greater than 0');
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    errors.invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`');
  }
  if (!scaleTargetRef?.kind) errors.required('spec.scaleTargetRef.kind');
  if (!scaleTargetRef?.name) errors.required('spec.scaleTargetRef.name');
}
