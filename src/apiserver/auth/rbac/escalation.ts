// Nobody grants what they do not have: writing a role needs all that its rules allow, or the verb `escalate`; writing a binding
// needs all that its role allows, or the verb `bind`. After kubernetes/pkg/registry/rbac/{role,clusterrole,rolebinding,
// clusterrolebinding}/policybased/storage.go and escalation_check.go; there a layer of the storage, here a plugin.
import type { ClusterRole, PolicyRule, Role, RoleBinding } from '../../../api/rbac-v1.ts';
import { CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES } from '../../../api/resources.ts';
import { equal } from '../../../lib/tree.ts';
import { type AdmissionPlugin, type AdmissionRequest, forbidden } from '../../admission/admission.ts';
import { MASTERS } from '../user.ts';
import type { Authorizer } from './authorizer.ts';
import { compact, describeRule, quoted, uncovered } from './rules.ts';

const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

export function escalationCheck(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'RBACEscalation',
    async admit(request: AdmissionRequest): Promise<void> {
      const { type, draft, user } = request;
      if (!draft || type.group !== ROLES.group || user.groups.includes(MASTERS)) return;
      if (type.resource === ROLES.resource || type.resource === CLUSTERROLES.resource) {
        await checkRole(authorizer, request, draft as ClusterRole);
      } else if (type.resource === ROLEBINDINGS.resource || type.resource === CLUSTERROLEBINDINGS.resource) {
        await checkBinding(authorizer, request, draft as RoleBinding);
      }
    },
  };
}

async function checkRole(authorizer: Authorizer, request: AdmissionRequest, role: ClusterRole): Promise<void> {
  const { type, user, namespace, operation } = request;
  const old = request.old as ClusterRole | undefined;
  const { group, resource } = type;
  const name = operation === 'CREATE' ? undefined : request.name;
  if ((await authorizer.decide({ user, verb: 'escalate', group, resource, name, namespace })).allowed) return;
  if (old && equal(rulesOf(old), rulesOf(role)) && equal(old.aggregationRule, role.aggregationRule)) return;
  await confirm(authorizer, request, rulesOf(role));
  if (role.aggregationRule && (await missing(authorizer, request, EVERYTHING)).length > 0) {
    throw forbidden(type, request.name, 'must have cluster-admin privileges to use the aggregationRule');
  }
}

async function checkBinding(authorizer: Authorizer, request: AdmissionRequest, binding: RoleBinding): Promise<void> {
  const { user, namespace } = request;
  const old = request.old as RoleBinding | undefined;
  if (old && equal(old.roleRef, binding.roleRef) && equal(old.subjects ?? [], binding.subjects ?? [])) return;
  const { roleRef } = binding;
  if (!roleRef?.name) return; // validation will say what is wrong
  const { group } = ROLES;
  const { resource } = roleRef.kind === 'Role' ? ROLES : CLUSTERROLES;
  const bind = { user, verb: 'bind', group, resource, name: roleRef.name, namespace };
  if ((await authorizer.decide(bind)).allowed) return;
  await confirm(authorizer, request, await authorizer.rules.rulesOf(roleRef, namespace ?? ''));
}

async function confirm(authorizer: Authorizer, request: AdmissionRequest, rules: readonly PolicyRule[]): Promise<void> {
  const lacking = await missing(authorizer, request, rules);
  if (lacking.length === 0) return;
  const { type, name, user } = request;
  const list = [...new Set(compact(lacking).map(describeRule))].sort();
  throw forbidden(
    type,
    name,
    `user ${JSON.stringify(user.name)} (groups=${quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${list.join('\n')}`,
  );
}

async function missing(
  authorizer: Authorizer,
  { user, namespace }: AdmissionRequest,
  rules: readonly PolicyRule[],
): Promise<PolicyRule[]> {
  const { rules: owned } = await authorizer.rules.rulesFor(user, namespace);
  return uncovered(
    owned.map(({ rule }) => rule),
    rules,
  );
}

function rulesOf(role: Role): readonly PolicyRule[] {
  return role.rules ?? [];
}
