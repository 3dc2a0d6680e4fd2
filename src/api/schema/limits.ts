// The schema of what limits a Namespace: ResourceQuota and LimitRange of k8s.io/api core/v1.
import { object } from './meta.ts';
import { list, map, quantity, string, struct } from './schema.ts';

const QUANTITIES = map(quantity);

export const LIMIT_KINDS = [
  object('ResourceQuota', {
    spec: struct('ResourceQuotaSpec', {
      hard: QUANTITIES,
      scopes: list(string),
      scopeSelector: struct('ScopeSelector', {
        matchExpressions: list(
          struct('ScopedResourceSelectorRequirement', { scopeName: string, operator: string, values: list(string) }),
        ),
      }),
    }),
    status: struct('ResourceQuotaStatus', { hard: QUANTITIES, used: QUANTITIES }),
  }),
  object('LimitRange', {
    spec: struct('LimitRangeSpec', {
      limits: list(
        struct('LimitRangeItem', {
          type: string,
          max: QUANTITIES,
          min: QUANTITIES,
          default: QUANTITIES,
          defaultRequest: QUANTITIES,
          maxLimitRequestRatio: QUANTITIES,
        }),
      ),
    }),
  }),
];
