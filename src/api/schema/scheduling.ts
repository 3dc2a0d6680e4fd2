// Schema of what says where a Pod may run: k8s.io/api/core/v1, affinity, tolerations and spreading.
import { LABEL_SELECTOR } from './meta.ts';
import { atomic, int32, int64, list, string, struct } from './schema.ts';

const NODE_REQUIREMENTS = list(
  struct('NodeSelectorRequirement', { key: string, operator: string, values: list(string) }),
);
const NODE_TERM = atomic(
  struct('NodeSelectorTerm', { matchExpressions: NODE_REQUIREMENTS, matchFields: NODE_REQUIREMENTS }),
);

const POD_TERM = struct('PodAffinityTerm', {
  labelSelector: LABEL_SELECTOR,
  namespaces: list(string),
  topologyKey: string,
  namespaceSelector: LABEL_SELECTOR,
  matchLabelKeys: list(string),
  mismatchLabelKeys: list(string),
});

const POD_TERMS = {
  requiredDuringSchedulingIgnoredDuringExecution: list(POD_TERM),
  preferredDuringSchedulingIgnoredDuringExecution: list(
    struct('WeightedPodAffinityTerm', { weight: int32, podAffinityTerm: POD_TERM }),
  ),
};

export const AFFINITY = struct('Affinity', {
  nodeAffinity: struct('NodeAffinity', {
    requiredDuringSchedulingIgnoredDuringExecution: atomic(
      struct('NodeSelector', { nodeSelectorTerms: list(NODE_TERM) }),
    ),
    preferredDuringSchedulingIgnoredDuringExecution: list(
      struct('PreferredSchedulingTerm', { weight: int32, preference: NODE_TERM }),
    ),
  }),
  podAffinity: struct('PodAffinity', POD_TERMS),
  podAntiAffinity: struct('PodAntiAffinity', POD_TERMS),
});

export const TOLERATIONS = list(
  struct('Toleration', { key: string, operator: string, value: string, effect: string, tolerationSeconds: int64 }),
);

export const SPREAD_CONSTRAINTS = list(
  struct('TopologySpreadConstraint', {
    maxSkew: int32,
    topologyKey: string,
    whenUnsatisfiable: string,
    labelSelector: LABEL_SELECTOR,
    minDomains: int32,
    nodeAffinityPolicy: string,
    nodeTaintsPolicy: string,
    matchLabelKeys: list(string),
  }),
  'topologyKey',
  ['topologyKey', 'whenUnsatisfiable'],
);
