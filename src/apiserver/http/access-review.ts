// authorization.k8s.io/v1: what `kubectl auth can-i` asks. Nothing is stored. As long as there is no RBAC, whoever is
// authenticated may do everything, and that is the answer, whatever the question; it is not repeated in the answer's spec.
import type { ResourceType } from '../../api/meta.ts';

const GROUP = 'authorization.k8s.io';

export interface AccessReview {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: object;
  readonly spec: object;
  readonly status: object;
}

/** For discovery; they can only be created. */
export const ACCESS_REVIEWS: readonly ResourceType[] = [
  review('selfsubjectaccessreviews', 'SelfSubjectAccessReview'),
  review('selfsubjectrulesreviews', 'SelfSubjectRulesReview'),
];

/** undefined: `resource` is no review. */
export function reviewAccess(group: string, resource: string): AccessReview | undefined {
  const type = group === GROUP ? ACCESS_REVIEWS.find((candidate) => candidate.resource === resource) : undefined;
  if (!type) return undefined;
  const all = ['*'];
  const status =
    type.kind === 'SelfSubjectAccessReview'
      ? { allowed: true, reason: 'every authenticated user may do everything: there is no RBAC yet' }
      : {
          resourceRules: [{ verbs: all, apiGroups: all, resources: all }],
          nonResourceRules: [{ verbs: all, nonResourceURLs: all }],
          incomplete: false,
        };
  return { kind: type.kind, apiVersion: `${GROUP}/v1`, metadata: {}, spec: {}, status };
}

function review(resource: string, kind: string): ResourceType {
  const names = { shortNames: [], categories: [] };
  return { group: GROUP, version: 'v1', resource, singular: kind.toLowerCase(), kind, namespaced: false, ...names };
}
