// Leases. After kubernetes/pkg/registry/coordination/lease and pkg/apis/coordination/validation.
import type { Lease } from '../../api/coordination-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { LEASES } from '../../api/resources.ts';
import type { Strategy } from './strategy.ts';

export const leaseStrategy: Strategy<Lease> = {
  type: LEASES,
  nameErrors: dns1123SubdomainErrors,
  createOnUpdate: true,
  unconditionalUpdate: false,
  validate({ spec }, errors) {
    const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = spec ?? {};
    if (seconds !== undefined && seconds <= 0) {
      errors.invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0');
    }
    if (transitions !== undefined && transitions < 0) {
      errors.invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0');
    }
  },
};
