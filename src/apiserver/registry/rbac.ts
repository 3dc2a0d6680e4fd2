// Roles, ClusterRoles and their bindings. After kubernetes/pkg/registry/rbac; that nobody grants more than they have is checked
// in auth/rbac/escalation.ts.
import { pathSegmentErrors } from '../../api/names.ts';
import {
  type ClusterRole,
  type ClusterRoleBinding,
  RBAC_GROUP,
  type Role,
  type RoleBinding,
} from '../../api/rbac-v1.ts';
import { CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES } from '../../api/resources.ts';
import { validateBinding, validateBindingUpdate, validateRules } from '../../api/validation/rbac.ts';
import type { Strategy } from './strategy.ts';

export const roleStrategy: Strategy<Role> = {
  type: ROLES,
  createOnUpdate: true,
  nameErrors: pathSegmentErrors,
  defaults: defaultRules,
  validate: (role, errors) => validateRules(role, true, errors),
};

export const clusterRoleStrategy: Strategy<ClusterRole> = {
  type: CLUSTERROLES,
  createOnUpdate: true,
  nameErrors: pathSegmentErrors,
  defaults: defaultRules,
  validate: (role, errors) => validateRules(role, false, errors),
};

export const roleBindingStrategy: Strategy<RoleBinding> = {
  type: ROLEBINDINGS,
  createOnUpdate: true,
  nameErrors: pathSegmentErrors,
  defaults: defaultBinding,
  validate: (binding, errors) => validateBinding(binding, ['Role', 'ClusterRole'], errors),
  validateUpdate: validateBindingUpdate,
};

export const clusterRoleBindingStrategy: Strategy<ClusterRoleBinding> = {
  type: CLUSTERROLEBINDINGS,
  createOnUpdate: true,
  nameErrors: pathSegmentErrors,
  defaults: defaultBinding,
  validate: (binding, errors) => validateBinding(binding, ['ClusterRole'], errors),
  validateUpdate: validateBindingUpdate,
};

/** Always there, as `rules: null` is in the real API. */
function defaultRules(role: Role): void {
  role.rules ??= null;
}

/** After pkg/apis/rbac/v1/defaults.go: users and groups are RBAC's, service accounts the core group's. */
function defaultBinding(binding: RoleBinding): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= RBAC_GROUP;
  for (const subject of binding.subjects ?? []) {
    if (subject.kind !== 'ServiceAccount') subject.apiGroup ||= RBAC_GROUP;
    else if (subject.apiGroup === '') delete subject.apiGroup;
  }
}
