// ServiceAccounts. After kubernetes/pkg/registry/core/serviceaccount.
import type { ServiceAccount } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { SERVICEACCOUNTS } from '../../api/resources.ts';
import type { Strategy } from './strategy.ts';

export const serviceAccountStrategy: Strategy<ServiceAccount> = {
  type: SERVICEACCOUNTS,
  nameErrors: dns1123SubdomainErrors,
};
