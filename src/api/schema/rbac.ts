// The schema of rbac.authorization.k8s.io/v1.
import { LABEL_SELECTOR, object } from './meta.ts';
import { atomic, list, string, struct } from './schema.ts';

const RULES = list(
  struct('PolicyRule', {
    verbs: list(string),
    apiGroups: list(string),
    resources: list(string),
    resourceNames: list(string),
    nonResourceURLs: list(string),
  }),
);
const BINDING = {
  subjects: list(struct('Subject', { kind: string, apiGroup: string, name: string, namespace: string })),
  roleRef: atomic(struct('RoleRef', { apiGroup: string, kind: string, name: string })),
};

export const RBAC_KINDS = [
  object('Role', { rules: RULES }),
  object('ClusterRole', {
    rules: RULES,
    aggregationRule: struct('AggregationRule', { clusterRoleSelectors: list(LABEL_SELECTOR) }),
  }),
  object('RoleBinding', BINDING),
  object('ClusterRoleBinding', BINDING),
];
