// ReplicaSets. After kubernetes/pkg/registry/apps/replicaset.
import type { ReplicaSet } from '../../api/apps-v1.ts';
import { defaultReplicaSet } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { REPLICASETS } from '../../api/resources.ts';
import { validateReplicaSet, validateReplicaSetUpdate } from '../../api/validation/workload.ts';
import { replicasScale } from './scale.ts';
import type { Strategy } from './strategy.ts';

export const replicaSetStrategy: Strategy<ReplicaSet> = {
  type: REPLICASETS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultReplicaSet,
  prepareForCreate(replicaSet) {
    replicaSet.status = { replicas: 0 };
  },
  validate: validateReplicaSet,
  validateUpdate: validateReplicaSetUpdate,
  status: {},
  scale: replicasScale,
  fields: { 'status.replicas': (replicaSet) => String(replicaSet.status?.replicas ?? 0) },
};
