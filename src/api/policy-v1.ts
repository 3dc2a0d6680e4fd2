// policy/v1: PodDisruptionBudget, and the Eviction that asks for it. Shapes follow k8s.io/api/policy/v1.
import type { Condition, IntOrString, KubeObject, LabelSelector } from './meta.ts';

export interface PodDisruptionBudget extends KubeObject {
  spec: {
    minAvailable?: IntOrString;
    maxUnavailable?: IntOrString;
    selector?: LabelSelector;
    unhealthyPodEvictionPolicy?: 'IfHealthyBudget' | 'AlwaysAllow';
  };
  status?: {
    observedGeneration?: number;
    /** Pods that were evicted but have not been seen to go, and when. */
    disruptedPods?: Record<string, string>;
    disruptionsAllowed: number;
    currentHealthy: number;
    desiredHealthy: number;
    expectedPods: number;
    conditions?: Condition[];
  };
}
