// authorization.k8s.io/v1 and authentication.k8s.io/v1: what `kubectl auth can-i` and `auth whoami` ask. Nothing is stored. As long as there is no RBAC, whoever is
// authenticated may do everything, and that is the answer, whatever the question; it is not repeated in the answer's spec.
import { apiVersionOf, type ResourceType } from '../../api/meta.ts';
import type { User } from '../admission/admission.ts';

const AUTHORIZATION = 'authorization.k8s.io';
const AUTHENTICATION = 'authentication.k8s.io';

export interface AccessReview {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: object;
  readonly spec: object;
  readonly status: object;
}

/** For discovery; they can only be created. */
export const ACCESS_REVIEWS: readonly ResourceType[] = [
  review(AUTHORIZATION, 'selfsubjectaccessreviews', 'SelfSubjectAccessReview'),
  review(AUTHORIZATION, 'selfsubjectrulesreviews', 'SelfSubjectRulesReview'),
  review(AUTHENTICATION, 'selfsubjectreviews', 'SelfSubjectReview'),
];

/** undefined: `resource` is no review. */
export function reviewAccess(group: string, resource: string, user: User): AccessReview | undefined {
  const type = ACCESS_REVIEWS.find((candidate) => candidate.group === group && candidate.resource === resource);
  if (!type) return undefined;
  return { kind: type.kind, apiVersion: apiVersionOf(type), metadata: {}, spec: {}, status: statusOf(type, user) };
}

function statusOf({ kind }: ResourceType, { name, groups, uid }: User): object {
  const all = ['*'];
  switch (kind) {
    case 'SelfSubjectReview':
      return { userInfo: { username: name, groups, ...(uid ? { uid } : {}) } };
    case 'SelfSubjectAccessReview':
      return { allowed: true, reason: 'every authenticated user may do everything: there is no RBAC yet' };
    default:
      return {
        resourceRules: [{ verbs: all, apiGroups: all, resources: all }],
        nonResourceRules: [{ verbs: all, nonResourceURLs: all }],
        incomplete: false,
      };
  }
}

function review(group: string, resource: string, kind: string): ResourceType {
  const names = { shortNames: [], categories: [] };
  return { group, version: 'v1', resource, singular: kind.toLowerCase(), kind, namespaced: false, ...names };
}
