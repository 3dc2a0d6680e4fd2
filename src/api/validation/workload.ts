// Rules for Deployments and ReplicaSets. After kubernetes/pkg/apis/apps/validation/validation.go.
import type { Deployment, ReplicaSet } from '../apps-v1.ts';
import type { PodTemplateSpec } from '../core-v1.ts';
import type { FieldErrors } from '../field-errors.ts';
import type { IntOrString, LabelSelector } from '../meta.ts';
import { matchesLabelSelector } from '../selectors.ts';
import { immutable, validateAnnotations, validateLabelSelector, validateLabels } from './meta.ts';
import { validatePodSpec } from './pod.ts';

const STRATEGIES = ['Recreate', 'RollingUpdate'];

export function validateDeployment({ spec }: Deployment, errors: FieldErrors): void {
  nonNegative(spec.replicas, 'spec.replicas', errors);
  validateTemplate(spec.selector, spec.template, 'empty selector is invalid for deployment', errors);
  validateStrategy(spec.strategy, 'spec.strategy', errors);
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
  nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
  const deadline = spec.progressDeadlineSeconds;
  nonNegative(deadline, 'spec.progressDeadlineSeconds', errors);
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    errors.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds');
  }
}

export function validateDeploymentUpdate(deployment: Deployment, old: Deployment, errors: FieldErrors): void {
  immutable('spec.selector', deployment.spec.selector, old.spec.selector, errors);
}

export function validateReplicaSet({ spec }: ReplicaSet, errors: FieldErrors): void {
  nonNegative(spec.replicas, 'spec.replicas', errors);
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
  validateTemplate(spec.selector, spec.template, 'empty selector is invalid for deployment', errors);
}

export function validateReplicaSetUpdate(replicaSet: ReplicaSet, old: ReplicaSet, errors: FieldErrors): void {
  immutable('spec.selector', replicaSet.spec.selector, old.spec.selector, errors);
}

/** `emptySelector`: what to say of a selector that selects everything. */
export function validateTemplate(
  selector: LabelSelector | undefined,
  template: PodTemplateSpec | undefined,
  emptySelector: string,
  errors: FieldErrors,
): void {
  const path = 'spec.template';
  const empty = !Object.keys(selector?.matchLabels ?? {}).length && !selector?.matchExpressions?.length;
  const before = errors.causes.length;
  if (selector === undefined) errors.required('spec.selector');
  else {
    validateLabelSelector(selector, 'spec.selector', errors);
    if (empty) errors.invalid('spec.selector', selector, emptySelector);
  }
  if (template === undefined) {
    errors.required(path);
    return;
  }
  const labels = template.metadata?.labels;
  const selectorOk = selector !== undefined && !empty && errors.causes.length === before;
  if (selectorOk && !matchesLabelSelector(selector, labels)) {
    errors.invalid(`${path}.metadata.labels`, labels ?? null, '`selector` does not match template `labels`');
  }
  validatePodTemplate(template, path, errors);
  const { restartPolicy, activeDeadlineSeconds } = template.spec;
  if (restartPolicy && restartPolicy !== 'Always') {
    errors.notSupported(`${path}.spec.restartPolicy`, restartPolicy, ['Always']);
  }
  if (activeDeadlineSeconds !== undefined) {
    errors.forbidden(`${path}.spec.activeDeadlineSeconds`, 'activeDeadlineSeconds in ReplicaSet is not Supported');
  }
}

export function validatePodTemplate(template: PodTemplateSpec, path: string, errors: FieldErrors): void {
  validateLabels(template.metadata?.labels, `${path}.metadata.labels`, errors);
  validateAnnotations(template.metadata?.annotations, `${path}.metadata.annotations`, errors);
  validatePodSpec(template.spec, `${path}.spec`, errors);
}

function validateStrategy(strategy: Deployment['spec']['strategy'], path: string, errors: FieldErrors): void {
  const { type, rollingUpdate } = strategy ?? {};
  if (type === 'Recreate') {
    if (rollingUpdate) {
      errors.forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'");
    }
    return;
  }
  if (type !== 'RollingUpdate') {
    errors.notSupported(`${path}.type`, type ?? '', STRATEGIES);
    return;
  }
  const { maxUnavailable, maxSurge } = rollingUpdate ?? {};
  amount(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors);
  amount(maxSurge, `${path}.rollingUpdate.maxSurge`, errors);
  if (isZero(maxUnavailable) && isZero(maxSurge)) {
    errors.invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable ?? 0, 'may not be 0 when `maxSurge` is 0');
  }
  if (
    typeof maxUnavailable === 'string' &&
    /^\d+%$/.test(maxUnavailable) &&
    Number.parseInt(maxUnavailable, 10) > 100
  ) {
    errors.invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, 'must not be greater than 100%');
  }
}

/** A number of Pods, or a percentage of them. */
export function amount(value: IntOrString | undefined, path: string, errors: FieldErrors): void {
  if (typeof value === 'number') nonNegative(value, path, errors);
  else if (value !== undefined && !/^\d+%$/.test(value)) {
    errors.invalid(
      path,
      value,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    );
  }
}

export function isZero(value: IntOrString | undefined): boolean {
  return value === undefined || Number.parseInt(String(value), 10) === 0;
}

export function nonNegative(value: number | undefined, path: string, errors: FieldErrors): void {
  if (value !== undefined && value < 0) errors.invalid(path, value, 'must be greater than or equal to 0');
}
