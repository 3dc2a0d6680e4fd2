// Decides whether a user may do something: system:masters may do everything, others what RBAC's rules say. After
// kubernetes/plugin/pkg/auth/authorizer/rbac/rbac.go.
// Deviation: no Node authorizer; the cluster's own components reach the API inside the process and are not asked.
import type { Lookup } from '../../admission/admission.ts';
import { type Attributes, denied } from '../attributes.ts';
import { MASTERS } from '../user.ts';
import { RuleResolver } from './rule-resolver.ts';
import { ruleAllows } from './rules.ts';

export interface Decision {
  readonly allowed: boolean;
  /** Why, where there is something to say: which binding, or which roles are missing. */
  readonly reason: string;
}

export class Authorizer {
  readonly rules: RuleResolver;

  constructor(lookup: Lookup) {
    this.rules = new RuleResolver(lookup);
  }

  /** Cost: a look at every ClusterRoleBinding, and at the Namespace's RoleBindings. */
  async decide(attributes: Attributes): Promise<Decision> {
    const { user } = attributes;
    if (user.groups.includes(MASTERS)) return { allowed: true, reason: '' };
    const namespace = 'path' in attributes ? undefined : attributes.namespace;
    const { rules, errors } = await this.rules.rulesFor(user, namespace);
    const granted = rules.find(({ rule }) => ruleAllows(rule, attributes));
    if (granted) return { allowed: true, reason: `RBAC: allowed by ${granted.source}` };
    if (errors.length === 0) return { allowed: false, reason: '' };
    const distinct = [...new Set(errors)];
    return { allowed: false, reason: `RBAC: ${distinct.length === 1 ? distinct[0] : `[${distinct.join(', ')}]`}` };
  }

  /** Throws StatusError 403. */
  async require(attributes: Attributes): Promise<void> {
    const { allowed, reason } = await this.decide(attributes);
    if (!allowed) throw denied(attributes, reason);
  }
}
