// authorization.k8s.io/v1 and authentication.k8s.io/v1: questions about access, which are answered and not stored: what `kubectl
// auth can-i` and `auth whoami` ask, and servers that leave these decisions to the cluster. After
// kubernetes/pkg/registry/authorization and pkg/registry/authentication.
// Left out: field and label selectors in resourceAttributes (KEP-4601; RBAC does not look at them), other audiences.
import { apiVersionOf, type ResourceType } from '../../api/meta.ts';
import type { PolicyRule } from '../../api/rbac-v1.ts';
import { DecodeError, decode } from '../../api/schema/decode.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import type { Attributes } from '../auth/attributes.ts';
import type { Authorizer } from '../auth/rbac/authorizer.ts';
import { compact } from '../auth/rbac/rules.ts';
import { ISSUER } from '../auth/tokens.ts';
import type { User } from '../auth/user.ts';

const AUTHORIZATION = 'authorization.k8s.io';
const AUTHENTICATION = 'authentication.k8s.io';

/** For discovery; they can only be created. */
export const ACCESS_REVIEWS: readonly ResourceType[] = [
  review(AUTHENTICATION, 'selfsubjectreviews', 'SelfSubjectReview'),
  review(AUTHENTICATION, 'tokenreviews', 'TokenReview'),
  review(AUTHORIZATION, 'localsubjectaccessreviews', 'LocalSubjectAccessReview', true),
  review(AUTHORIZATION, 'selfsubjectaccessreviews', 'SelfSubjectAccessReview'),
  review(AUTHORIZATION, 'selfsubjectrulesreviews', 'SelfSubjectRulesReview'),
  review(AUTHORIZATION, 'subjectaccessreviews', 'SubjectAccessReview'),
];

export interface ReviewEnv {
  readonly authorizer: Authorizer;
  /** Whose token it is; undefined: nobody's. */
  readonly tokenUser: (token: string) => Promise<User | undefined>;
}

interface Spec {
  resourceAttributes?: {
    namespace?: string;
    verb?: string;
    group?: string;
    resource?: string;
    subresource?: string;
    name?: string;
  };
  nonResourceAttributes?: { path?: string; verb?: string };
  user?: string;
  groups?: string[];
  uid?: string;
  namespace?: string;
  token?: string;
  audiences?: string[];
}

/** undefined: `resource` is no review. */
export function reviewType(group: string, version: string, resource: string): ResourceType | undefined {
  return ACCESS_REVIEWS.find((type) => type.group === group && type.version === version && type.resource === resource);
}

/** The review with its status. Throws StatusError 400 and 422. */
export async function answerReview(
  type: ResourceType,
  namespace: string | undefined,
  body: unknown,
  user: User,
  env: ReviewEnv,
): Promise<unknown> {
  const given = read(type, body);
  const spec = (given['spec'] ?? {}) as Spec;
  return {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    metadata: given['metadata'] ?? {},
    ...(given['spec'] ? { spec } : {}),
    status: await statusOf(type, namespace, spec, user, env),
  };
}

function read(type: ResourceType, body: unknown): Record<string, unknown> {
  const schema = schemaOf(type)!;
  try {
    return decode(schema, body ?? {}, false).value;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const what = `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}`;
    throw badRequest(`${what}: ${error.message}`);
  }
}

async function statusOf(
  type: ResourceType,
  namespace: string | undefined,
  spec: Spec,
  user: User,
  { authorizer, tokenUser }: ReviewEnv,
): Promise<unknown> {
  switch (type.kind) {
    case 'SelfSubjectReview':
      return { userInfo: userInfo(user) };
    case 'TokenReview': {
      const found = spec.token ? await tokenUser(spec.token) : undefined;
      const wanted = spec.audiences ?? [];
      const audiences = wanted.length > 0 ? wanted.filter((audience) => audience === ISSUER) : [ISSUER];
      if (!found || audiences.length === 0) return { user: {} };
      return { authenticated: true, user: userInfo(found), audiences };
    }
    case 'SelfSubjectRulesReview':
      return await rulesOf(user, spec.namespace, authorizer);
    case 'SelfSubjectAccessReview':
      return await accessOf(attributesOf(type, spec, user), authorizer);
    default: {
      const { user: name = '', groups = [], uid } = spec;
      if (name === '' && groups.length === 0) {
        throw invalid(type, 'spec.user', '""', 'at least one of user or group must be specified');
      }
      if (namespace !== undefined && spec.resourceAttributes?.namespace !== namespace) {
        const asked = JSON.stringify(spec.resourceAttributes?.namespace ?? '');
        throw invalid(type, 'spec.resourceAttributes.namespace', asked, 'must match metadata.namespace');
      }
      return await accessOf(attributesOf(type, spec, { name, groups, ...(uid ? { uid } : {}) }), authorizer);
    }
  }
}

function attributesOf(type: ResourceType, spec: Spec, user: User): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (!resource === !path) {
    const why = resource
      ? 'cannot be specified in combination with resourceAttributes'
      : 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    throw resource
      ? invalid(type, 'spec.nonResourceAttributes', JSON.stringify(path), why)
      : invalid(type, 'spec.resourceAttributes', 'null', why);
  }
  if (path) return { user, verb: path.verb ?? '', path: path.path ?? '' };
  const { verb = '', group = '', resource: name = '', ...rest } = resource!;
  return {
    user,
    verb,
    group,
    resource: name,
    subresource: rest.subresource,
    namespace: rest.namespace,
    name: rest.name,
  };
}

async function accessOf(attributes: Attributes, authorizer: Authorizer): Promise<unknown> {
  const { allowed, reason } = await authorizer.decide(attributes);
  return { allowed, ...(reason === '' ? {} : { reason }) };
}

async function rulesOf(user: User, namespace: string | undefined, authorizer: Authorizer): Promise<unknown> {
  if (!namespace) throw badRequest('no namespace on request');
  const { rules, errors } = await authorizer.rules.rulesFor(user, namespace);
  const distinct = compact(rules.map(({ rule }) => rule));
  const ofPaths = (rule: PolicyRule): boolean => (rule.nonResourceURLs?.length ?? 0) > 0;
  return {
    resourceRules: distinct.filter((rule) => !ofPaths(rule)),
    nonResourceRules: distinct.filter(ofPaths),
    incomplete: errors.length > 0,
    ...(errors.length > 0 ? { evaluationError: errors.join(', ') } : {}),
  };
}

function userInfo({ name, uid, groups, extra }: User): unknown {
  return { username: name, ...(uid ? { uid } : {}), groups, ...(extra ? { extra } : {}) };
}

function invalid({ group, kind }: ResourceType, field: string, value: string, detail: string): StatusError {
  const message = `Invalid value: ${value}: ${detail}`;
  const causes = [{ reason: 'FieldValueInvalid', message, field }];
  return new StatusError('Invalid', 422, `${kind}.${group} "" is invalid: ${field}: ${message}`, {
    group,
    kind,
    causes,
  });
}

function review(group: string, resource: string, kind: string, namespaced = false): ResourceType {
  const names = { shortNames: [], categories: [] };
  return { group, version: 'v1', resource, singular: kind.toLowerCase(), kind, namespaced, ...names };
}
