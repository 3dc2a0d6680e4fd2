// rbac.authorization.k8s.io/v1: what roles allow, and to whom they are bound. Shapes follow k8s.io/api/rbac/v1.
import type { KubeObject, LabelSelector } from './meta.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

/** Resources, or paths that are no resources: never both. Lists that are absent are empty. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface RoleRef {
  apiGroup?: string;
  kind: string;
  name: string;
}

export interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  /** Of a ServiceAccount. */
  namespace?: string;
}

export interface Role extends KubeObject {
  rules?: PolicyRule[] | null;
}

export interface ClusterRole extends KubeObject {
  rules?: PolicyRule[] | null;
  /** Then a controller fills in the rules: those of every ClusterRole that one of the selectors chooses. */
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
}

export interface RoleBinding extends KubeObject {
  roleRef: RoleRef;
  subjects?: Subject[];
}

export type ClusterRoleBinding = RoleBinding;
