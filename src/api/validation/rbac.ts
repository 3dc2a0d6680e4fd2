// Rules for roles and their bindings. After kubernetes/pkg/apis/rbac/validation/validation.go.
import { equal } from '../../lib/tree.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import { dns1123SubdomainErrors, pathSegmentErrors } from '../names.ts';
import { type PolicyRule, RBAC_GROUP, type Role, type RoleBinding, type Subject } from '../rbac-v1.ts';

export function validateRules({ rules }: Role, namespaced: boolean, errors: FieldErrors): void {
  (rules ?? []).forEach((rule, i) => {
    validateRule(rule, namespaced, at('rules', i), errors);
  });
}

function validateRule(rule: PolicyRule, namespaced: boolean, path: string, errors: FieldErrors): void {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  if (verbs.length === 0) errors.required(`${path}.verbs`, 'verbs must contain at least one value');
  if (nonResourceURLs.length > 0) {
    const field = `${path}.nonResourceURLs`;
    if (namespaced) errors.invalid(field, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs');
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0) {
      errors.invalid(field, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs');
    }
    return;
  }
  if (apiGroups.length === 0) {
    errors.required(`${path}.apiGroups`, 'resource rules must supply at least one api group');
  }
  if (resources.length === 0) {
    errors.required(`${path}.resources`, 'resource rules must supply at least one resource');
  }
  if (resourceNames.length > 0 && resources.length > 1) {
    errors.required(`${path}.resourceNames`, 'resource names cannot apply to multiple resources');
  }
}

export function validateBinding(binding: RoleBinding, roleKinds: readonly string[], errors: FieldErrors): void {
  const { apiGroup = '', kind = '', name = '' } = binding.roleRef ?? {};
  if (apiGroup !== RBAC_GROUP) errors.notSupported('roleRef.apiGroup', apiGroup, [RBAC_GROUP]);
  if (!roleKinds.includes(kind)) errors.notSupported('roleRef.kind', kind, roleKinds);
  if (name === '') errors.required('roleRef.name');
  else errors.invalidAll('roleRef.name', name, pathSegmentErrors(name));
  const namespaced = binding.kind === 'RoleBinding';
  (binding.subjects ?? []).forEach((subject, i) => {
    validateSubject(subject, namespaced, at('subjects', i), errors);
  });
}

export function validateBindingUpdate(binding: RoleBinding, old: RoleBinding, errors: FieldErrors): void {
  if (!equal(binding.roleRef, old.roleRef)) errors.invalid('roleRef', binding.roleRef, 'cannot change roleRef');
}

function validateSubject(subject: Subject, namespaced: boolean, path: string, errors: FieldErrors): void {
  const { kind = '', apiGroup = '', name = '', namespace = '' } = subject;
  if (name === '') errors.required(`${path}.name`);
  switch (kind) {
    case 'ServiceAccount':
      if (name !== '') errors.invalidAll(`${path}.name`, name, dns1123SubdomainErrors(name));
      if (apiGroup !== '') errors.notSupported(`${path}.apiGroup`, apiGroup, ['']);
      if (!namespaced && namespace === '') errors.required(`${path}.namespace`);
      break;
    case 'User':
    case 'Group':
      if (name === '') errors.invalid(`${path}.name`, name, `${kind.toLowerCase()} name cannot be empty`);
      if (apiGroup !== RBAC_GROUP) errors.notSupported(`${path}.apiGroup`, apiGroup, [RBAC_GROUP]);
      break;
    default:
      errors.notSupported(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group']);
  }
}
