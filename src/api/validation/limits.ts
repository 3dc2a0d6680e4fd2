// Rules for ResourceQuotas and LimitRanges. After kubernetes/pkg/apis/core/validation/validation.go.
import { equal } from '../../lib/tree.ts';
import { parseAmount } from '../amount.ts';
import type { LimitRange, ResourceQuota } from '../core-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import { qualifiedNameErrors } from '../names.ts';
import { SCOPES } from '../quota/scopes.ts';

const STANDARD = new Set([
  ...['cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.storage'],
  ...[
    'requests.ephemeral-storage',
    'limits.cpu',
    'limits.memory',
    'limits.ephemeral-storage',
    'pods',
    'resourcequotas',
  ],
  ...['services', 'replicationcontrollers', 'secrets', 'persistentvolumeclaims', 'configmaps'],
  ...['services.nodeports', 'services.loadbalancers'],
]);
const INTEGERS = new Set([...STANDARD].filter((name) => !/(cpu|memory|storage)$/.test(name)));
/** Of which kind of item, and in which of its maps. */
const LIMIT_TYPES = ['Pod', 'Container', 'PersistentVolumeClaim'];

export function validateResourceQuota({ spec, status }: ResourceQuota, errors: FieldErrors): void {
  validateQuantities(spec?.hard, 'spec.hard', errors);
  for (const scope of spec?.scopes ?? []) {
    if (!(SCOPES as readonly string[]).includes(scope)) {
      errors.invalid('spec.scopes', spec?.scopes, 'unsupported scope');
      break;
    }
  }
  (spec?.scopeSelector?.matchExpressions ?? []).forEach(({ scopeName = '', operator = '', values = [] }, i) => {
    const path = at('spec.scopeSelector.matchExpressions', i);
    if (!(SCOPES as readonly string[]).includes(scopeName)) {
      errors.invalid(`${path}.scopeName`, scopeName, 'unsupported scope');
    }
    const exists = operator === 'Exists' || operator === 'DoesNotExist';
    if (scopeName !== 'PriorityClass' && operator !== 'Exists') {
      errors.invalid(
        `${path}.operator`,
        operator,
        "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
      );
    }
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0) {
        errors.required(
          `${path}.values`,
          "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        );
      }
    } else if (!exists) errors.invalid(`${path}.operator`, operator, 'not a valid selector operator');
    else if (values.length > 0) {
      errors.invalid(
        `${path}.values`,
        values,
        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
      );
    }
  });
  validateQuantities(status?.hard, 'status.hard', errors);
  validateQuantities(status?.used, 'status.used', errors);
}

export function validateResourceQuotaUpdate(now: ResourceQuota, old: ResourceQuota, errors: FieldErrors): void {
  const scopes = [...(now.spec?.scopes ?? [])].sort();
  if (!equal(scopes, [...(old.spec?.scopes ?? [])].sort())) {
    errors.invalid('spec.scopes', now.spec?.scopes ?? null, 'field is immutable');
  }
}

function validateQuantities(
  quantities: Readonly<Record<string, string>> | undefined,
  path: string,
  errors: FieldErrors,
): void {
  for (const [name, text] of Object.entries(quantities ?? {})) {
    const field = at(path, name);
    const wrong = qualifiedNameErrors(name);
    errors.invalidAll(field, name, wrong);
    if (wrong.length === 0 && !name.includes('/') && !STANDARD.has(name)) {
      errors.invalid(field, name, 'must be a standard resource for quota');
    }
    const amount = parseAmount(String(text));
    if (!amount) errors.invalid(field, text, 'must be a quantity');
    else if (amount.nano < 0n) errors.invalid(field, text, 'must be greater than or equal to 0');
    else if ((INTEGERS.has(name) || name.startsWith('count/')) && amount.nano % 1_000_000_000n !== 0n) {
      errors.invalid(field, text, 'must be an integer');
    }
  }
}

export function validateLimitRange({ spec }: LimitRange, errors: FieldErrors): void {
  const seen = new Set<string>();
  (spec?.limits ?? []).forEach((item, i) => {
    const path = at('spec.limits', i);
    const { type = '', min = {}, max = {}, default: limits = {}, defaultRequest = {} } = item;
    if (!LIMIT_TYPES.includes(type) && !type.includes('/')) {
      errors.invalid(`${path}.type`, type, 'must be a standard limit type or fully qualified');
    }
    if (seen.has(type)) errors.duplicate(`${path}.type`, type);
    seen.add(type);
    if (type === 'Pod') {
      if (Object.keys(limits).length > 0)
        errors.forbidden(`${path}.default`, "may not be specified when `type` is 'Pod'");
      if (Object.keys(defaultRequest).length > 0) {
        errors.forbidden(`${path}.defaultRequest`, "may not be specified when `type` is 'Pod'");
      }
    }
    const order = [
      ['min', min, 'max', max],
      ['min', min, 'defaultRequest', defaultRequest],
      ['defaultRequest', defaultRequest, 'max', max],
      ['defaultRequest', defaultRequest, 'default', limits],
      ['default', limits, 'max', max],
    ] as const;
    for (const [lowName, low, highName, high] of order) {
      for (const [name, text] of Object.entries(low)) {
        const [a, b] = [parseAmount(String(text)), parseAmount(String(high[name] ?? ''))];
        if (!a || !b || a.nano <= b.nano) continue;
        const [lowWord, highWord] = [WORDS[lowName], WORDS[highName]];
        errors.invalid(
          at(`${path}.${lowName}`, name),
          text,
          `${lowWord} value ${text} is greater than ${highWord} value ${high[name]}`,
        );
      }
    }
  });
}

const WORDS = { min: 'min', max: 'max', default: 'default limit', defaultRequest: 'default request' } as const;
