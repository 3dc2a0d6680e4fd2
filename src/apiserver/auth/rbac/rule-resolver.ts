// The rules that hold for a user: those of every role that a binding gives them, in the whole cluster and in one Namespace. After
// kubernetes/pkg/registry/rbac/validation/rule.go. Reads the roles as they are stored now: there is no cache to be behind.
import {
  type PolicyRule,
  RBAC_GROUP,
  type Role,
  type RoleBinding,
  type RoleRef,
  type Subject,
} from '../../../api/rbac-v1.ts';
import { CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES } from '../../../api/resources.ts';
import { notFound } from '../../../api/status-error.ts';
import type { Lookup } from '../../admission/admission.ts';
import { serviceAccountUser, type User } from '../user.ts';

export interface GrantedRule {
  readonly rule: PolicyRule;
  /** `ClusterRoleBinding "x" of ClusterRole "y" to User "z"` */
  readonly source: string;
}

export interface Granted {
  readonly rules: readonly GrantedRule[];
  /** Bindings to roles that do not exist. */
  readonly errors: readonly string[];
}

export class RuleResolver {
  readonly #lookup: Lookup;

  constructor(lookup: Lookup) {
    this.#lookup = lookup;
  }

  async rulesFor(user: User, namespace: string | undefined): Promise<Granted> {
    const rules: GrantedRule[] = [];
    const errors: string[] = [];
    const add = async (bindings: readonly RoleBinding[], bindingNamespace: string): Promise<void> => {
      for (const binding of bindings) {
        const subject = binding.subjects?.find((candidate) => isUser(candidate, user, bindingNamespace));
        if (!subject) continue;
        const role = await this.#role(binding.roleRef, bindingNamespace);
        if (!role)
          errors.push(
            `${binding.roleRef.kind.toLowerCase()}.${RBAC_GROUP} ${JSON.stringify(binding.roleRef.name)} not found`,
          );
        for (const rule of role?.rules ?? [])
          rules.push({ rule, source: describe(binding, subject, bindingNamespace) });
      }
    };
    await add(await this.#lookup.all(CLUSTERROLEBINDINGS), '');
    if (namespace) await add(await this.#lookup.all(ROLEBINDINGS, namespace), namespace);
    return { rules, errors };
  }

  /** Throws StatusError 404 when there is no such role. */
  async rulesOf(ref: RoleRef, namespace: string): Promise<readonly PolicyRule[]> {
    const role = await this.#role(ref, namespace);
    if (!role) throw notFound(ref.kind === 'Role' ? ROLES : CLUSTERROLES, ref.name);
    return role.rules ?? [];
  }

  #role(ref: RoleRef, namespace: string): Promise<Role | undefined> {
    return ref.kind === 'Role'
      ? this.#lookup.find(ROLES, namespace, ref.name)
      : this.#lookup.find(CLUSTERROLES, undefined, ref.name);
  }
}

function isUser(subject: Subject, user: User, bindingNamespace: string): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === user.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount': {
      const namespace = subject.namespace || bindingNamespace;
      return namespace !== '' && user.name === serviceAccountUser(namespace, subject.name);
    }
    default:
      return false;
  }
}

function describe(binding: RoleBinding, subject: Subject, bindingNamespace: string): string {
  const { kind, metadata, roleRef } = binding;
  const name = bindingNamespace === '' ? metadata.name : `${metadata.name}/${bindingNamespace}`;
  const account = subject.kind === 'ServiceAccount';
  const who = account ? `${subject.name}/${subject.namespace || bindingNamespace}` : subject.name;
  return `${kind} ${JSON.stringify(name)} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${subject.kind} ${JSON.stringify(who)}`;
}
