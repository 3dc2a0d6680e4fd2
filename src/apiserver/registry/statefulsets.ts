// StatefulSets. After kubernetes/pkg/registry/apps/statefulset.
import type { StatefulSet } from '../../api/apps-v1.ts';
import { defaultStatefulSet } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { STATEFULSETS } from '../../api/resources.ts';
import { formatLabelSelector } from '../../api/selectors.ts';
import { validateStatefulSet, validateStatefulSetUpdate } from '../../api/validation/statefulset.ts';
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
  scale: {
    replicas: ({ spec, status }) => ({
      spec: spec.replicas ?? 0,
      status: status?.replicas ?? 0,
      selector: formatLabelSelector(spec.selector),
    }),
    setReplicas: (set, replicas) => {
      set.spec.replicas = replicas;
    },
  },
};
