// DaemonSets. After kubernetes/pkg/registry/apps/daemonset.
import type { DaemonSet } from '../../api/apps-v1.ts';
import { defaultDaemonSet } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { DAEMONSETS } from '../../api/resources.ts';
import { validateDaemonSet, validateDaemonSetUpdate } from '../../api/validation/statefulset.ts';
import { equal } from '../../lib/tree.ts';
import type { Strategy } from './strategy.ts';

const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

export const daemonSetStrategy: Strategy<DaemonSet> = {
  type: DAEMONSETS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultDaemonSet,
  prepareForCreate(set) {
    set.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    set.metadata.annotations = { ...set.metadata.annotations, [TEMPLATE_GENERATION]: '1' };
  },
  prepareForUpdate(set, old) {
    const before = Number(old.metadata.annotations?.[TEMPLATE_GENERATION] ?? '1');
    const now = equal(set.spec.template, old.spec.template) ? before : before + 1;
    set.metadata.annotations = { ...set.metadata.annotations, [TEMPLATE_GENERATION]: String(now) };
  },
  validate: validateDaemonSet,
  validateUpdate: validateDaemonSetUpdate,
  status: {},
};
