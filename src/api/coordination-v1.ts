// coordination.k8s.io/v1: a Lease says who holds something, and until when unless renewed. Shapes follow k8s.io/api/coordination/v1.
import type { KubeObject } from './meta.ts';

export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    /** metav1.MicroTime, as the next. */
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
    strategy?: string;
    preferredHolder?: string;
  };
}
