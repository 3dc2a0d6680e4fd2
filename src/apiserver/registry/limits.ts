// ResourceQuotas and LimitRanges. After kubernetes/pkg/registry/core/{resourcequota,limitrange} and the defaults of LimitRangeItem
// in pkg/apis/core/v1/defaults.go.
import type { LimitRange, ResourceQuota } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { LIMITRANGES, RESOURCEQUOTAS } from '../../api/resources.ts';
import { validateLimitRange, validateResourceQuota, validateResourceQuotaUpdate } from '../../api/validation/limits.ts';
import type { Strategy } from './strategy.ts';

export const resourceQuotaStrategy: Strategy<ResourceQuota> = {
  type: RESOURCEQUOTAS,
  nameErrors: dns1123SubdomainErrors,
  prepareForCreate(quota) {
    quota.status = {};
  },
  validate: validateResourceQuota,
  validateUpdate: validateResourceQuotaUpdate,
  status: { validateUpdate: (quota, _old, errors) => validateResourceQuota(quota, errors) },
};

export const limitRangeStrategy: Strategy<LimitRange> = {
  type: LIMITRANGES,
  createOnUpdate: true,
  nameErrors: dns1123SubdomainErrors,
  defaults({ spec }) {
    for (const item of spec?.limits ?? []) {
      if (item.type !== 'Container') continue;
      // What may be had at most is the default limit, that the default request; the least is the default request otherwise.
      item.default = { ...item.max, ...item.default };
      item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
    }
  },
  validate: validateLimitRange,
};
