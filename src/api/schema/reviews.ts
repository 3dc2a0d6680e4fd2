// The schema of what asks about access and is not stored: authorization.k8s.io/v1 and authentication.k8s.io/v1.
import { object } from './meta.ts';
import { any, bool, list, map, string, struct } from './schema.ts';

const ATTRIBUTES = {
  resourceAttributes: struct('ResourceAttributes', {
    namespace: string,
    verb: string,
    group: string,
    version: string,
    resource: string,
    subresource: string,
    name: string,
    fieldSelector: any,
    labelSelector: any,
  }),
  nonResourceAttributes: struct('NonResourceAttributes', { path: string, verb: string }),
};

const ANSWER = struct('SubjectAccessReviewStatus', {
  allowed: bool,
  denied: bool,
  reason: string,
  evaluationError: string,
});

const SUBJECT = {
  spec: struct('SubjectAccessReviewSpec', {
    ...ATTRIBUTES,
    user: string,
    groups: list(string),
    extra: map(list(string)),
    uid: string,
  }),
  status: ANSWER,
};

const USER_INFO = struct('UserInfo', { username: string, uid: string, groups: list(string), extra: map(list(string)) });

export const REVIEW_KINDS = [
  object('SelfSubjectAccessReview', { spec: struct('SelfSubjectAccessReviewSpec', ATTRIBUTES), status: ANSWER }),
  object('SubjectAccessReview', SUBJECT),
  object('LocalSubjectAccessReview', SUBJECT),
  object('SelfSubjectRulesReview', {
    spec: struct('SelfSubjectRulesReviewSpec', { namespace: string }),
    status: struct('SubjectRulesReviewStatus', {
      resourceRules: list(any),
      nonResourceRules: list(any),
      incomplete: bool,
      evaluationError: string,
    }),
  }),
  object('TokenReview', {
    spec: struct('TokenReviewSpec', { token: string, audiences: list(string) }),
    status: struct('TokenReviewStatus', {
      authenticated: bool,
      user: USER_INFO,
      audiences: list(string),
      error: string,
    }),
  }),
  object('SelfSubjectReview', { status: struct('SelfSubjectReviewStatus', { userInfo: USER_INFO }) }),
];
