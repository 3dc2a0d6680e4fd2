// The schema of coordination.k8s.io/v1.
import { object } from './meta.ts';
import { int32, string, struct, time } from './schema.ts';

export const LEASE = object('Lease', {
  spec: struct('LeaseSpec', {
    holderIdentity: string,
    leaseDurationSeconds: int32,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: int32,
    strategy: string,
    preferredHolder: string,
  }),
});
