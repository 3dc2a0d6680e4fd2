// HorizontalPodAutoscalers. After kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler and
// pkg/apis/autoscaling/v2/defaults.go.
import type { HorizontalPodAutoscaler } from '../../api/autoscaling-v2.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { HORIZONTALPODAUTOSCALERS } from '../../api/resources.ts';
import { validateHorizontalPodAutoscaler } from '../../api/validation/autoscaling.ts';
import type { Strategy } from './strategy.ts';

const DEFAULT_CPU_PERCENT = 80;

export const horizontalPodAutoscalerStrategy: Strategy<HorizontalPodAutoscaler> = {
  type: HORIZONTALPODAUTOSCALERS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults(autoscaler) {
    autoscaler.spec ??= {} as HorizontalPodAutoscaler['spec'];
    const { spec } = autoscaler;
    spec.minReplicas ??= 1;
    if (!spec.metrics?.length) {
      const target = { type: 'Utilization', averageUtilization: DEFAULT_CPU_PERCENT };
      spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }];
    }
  },
  prepareForCreate(autoscaler) {
    autoscaler.status = { currentReplicas: 0, desiredReplicas: 0 };
  },
  validate: validateHorizontalPodAutoscaler,
  status: {},
};
