// autoscaling/v2: HorizontalPodAutoscaler. Shapes follow k8s.io/api/autoscaling/v2, as far as somebody here looks at them.
import type { Condition, KubeObject } from './meta.ts';

export interface MetricSpec {
  type: string;
  resource?: {
    name: string;
    target: { type?: string; averageUtilization?: number; averageValue?: string; value?: string };
  };
}

export interface HorizontalPodAutoscaler extends KubeObject {
  spec: {
    scaleTargetRef: { kind: string; name: string; apiVersion?: string };
    minReplicas?: number;
    maxReplicas: number;
    metrics?: MetricSpec[];
    behavior?: unknown;
  };
  status?: {
    observedGeneration?: number;
    lastScaleTime?: string;
    currentReplicas?: number;
    desiredReplicas: number;
    currentMetrics?: unknown[];
    conditions?: Condition[];
  };
}
