// Rules for StatefulSets, DaemonSets and ControllerRevisions. After kubernetes/pkg/apis/apps/validation/validation.go.
// Deviation: volumeClaimTemplates are refused, since there are no persistent volumes here that could be claimed.
import { equal } from '../../lib/tree.ts';
import type { ControllerRevision, DaemonSet, StatefulSet } from '../apps-v1.ts';
import type { FieldErrors } from '../field-errors.ts';
import { immutable } from './meta.ts';
import { amount, isZero, nonNegative, validateTemplate } from './workload.ts';

const CHANGEABLE = new Set([
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
]);

export function validateStatefulSet({ spec }: StatefulSet, errors: FieldErrors): void {
  const { podManagementPolicy, updateStrategy = {} } = spec;
  if (podManagementPolicy !== 'OrderedReady' && podManagementPolicy !== 'Parallel') {
    errors.invalid('spec.podManagementPolicy', podManagementPolicy, "must be 'OrderedReady' or 'Parallel'");
  }
  const { type, rollingUpdate } = updateStrategy;
  if (type === 'OnDelete') {
    if (rollingUpdate) {
      const why = "only allowed for updateStrategy 'RollingUpdate'";
      errors.invalid('spec.updateStrategy.rollingUpdate', rollingUpdate, why);
    }
  } else if (type === 'RollingUpdate') {
    nonNegative(rollingUpdate?.partition, 'spec.updateStrategy.rollingUpdate.partition', errors);
  } else errors.invalid('spec.updateStrategy', updateStrategy, "must be 'RollingUpdate' or 'OnDelete'");
  nonNegative(spec.replicas, 'spec.replicas', errors);
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
  nonNegative(spec.ordinals?.start, 'spec.ordinals.start', errors);
  if (spec.volumeClaimTemplates?.length) {
    errors.forbidden('spec.volumeClaimTemplates', 'persistent volumes are not emulated; give the template an emptyDir');
  }
  validateTemplate(spec.selector, spec.template, 'empty selector is invalid for statefulset', errors);
}

export function validateStatefulSetUpdate({ spec }: StatefulSet, old: StatefulSet, errors: FieldErrors): void {
  const fixed = (from: StatefulSet['spec']) => Object.entries(from).filter(([key]) => !CHANGEABLE.has(key));
  if (!equal(Object.fromEntries(fixed(spec)), Object.fromEntries(fixed(old.spec)))) {
    errors.forbidden(
      'spec',
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    );
  }
}

export function validateDaemonSet({ spec }: DaemonSet, errors: FieldErrors): void {
  validateTemplate(spec.selector, spec.template, 'empty selector is invalid for daemonset', errors);
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
  nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
  const { type, rollingUpdate = {} } = spec.updateStrategy ?? {};
  if (type === 'OnDelete') return;
  if (type !== 'RollingUpdate') {
    errors.notSupported('spec.updateStrategy', spec.updateStrategy, ['RollingUpdate', 'OnDelete']);
    return;
  }
  const { maxUnavailable, maxSurge } = rollingUpdate;
  const path = 'spec.updateStrategy.rollingUpdate';
  amount(maxUnavailable, `${path}.maxUnavailable`, errors);
  amount(maxSurge, `${path}.maxSurge`, errors);
  if (isZero(maxUnavailable) && isZero(maxSurge)) {
    errors.invalid(`${path}.maxUnavailable`, maxUnavailable ?? 0, 'cannot be 0 when maxSurge is 0');
  } else if (!isZero(maxUnavailable) && !isZero(maxSurge)) {
    errors.invalid(`${path}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero');
  }
}

export function validateDaemonSetUpdate(set: DaemonSet, old: DaemonSet, errors: FieldErrors): void {
  immutable('spec.selector', set.spec.selector, old.spec.selector, errors);
}

export function validateControllerRevision(revision: ControllerRevision, errors: FieldErrors): void {
  if (revision.data === undefined || revision.data === null) errors.required('data', 'data is mandatory');
  nonNegative(revision.revision, 'revision', errors);
}

export function validateControllerRevisionUpdate(
  revision: ControllerRevision,
  old: ControllerRevision,
  errors: FieldErrors,
): void {
  immutable('data', revision.data, old.data, errors);
}
