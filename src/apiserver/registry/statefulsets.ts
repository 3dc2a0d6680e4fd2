// StatefulSets. After kubernetes/pkg/registry/apps/statefulset.
import type { StatefulSet } from '../../api/apps-v1.ts';
import { defaultStatefulSet } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { STATEFULSETS } from '../../api/resources.ts';
import { validateStatefulSet, validateStatefulSetUpdate } from '../../api/validation/statefulset.ts';
import { replicasScale } from './scale.ts';
import type { Strategy } from './strategy.ts';

export const statefulSetStrategy: Strategy<StatefulSet> = {
  type: STATEFULSETS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultStatefulSet,
  prepareForCreate(set) {
    set.status = { replicas: 0, availableReplicas: 0 };
  },
  validate: validateStatefulSet,
  validateUpdate: validateStatefulSetUpdate,
  status: {},
  scale: replicasScale,
};
