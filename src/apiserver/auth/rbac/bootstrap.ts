// Makes the default roles and bindings, and gives those of an earlier run back what they have lost, unless their annotation
// autoupdate says no. After kubernetes/pkg/registry/rbac/rest/storage_rbac.go and reconciliation/.
import type { ClusterRole, ClusterRoleBinding } from '../../../api/rbac-v1.ts';
import { CLUSTERROLEBINDINGS, CLUSTERROLES } from '../../../api/resources.ts';
import { isStatus } from '../../../api/status-error.ts';
import type { ApiClient } from '../../../client/client.ts';
import { equal } from '../../../lib/tree.ts';
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES } from './bootstrap-roles.ts';
import { uncovered } from './rules.ts';

const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';

/** Resolves when all are there. Users' additions stay. */
export async function bootstrapRoles(client: ApiClient): Promise<void> {
  await Promise.all([
    ...CLUSTER_ROLES.map((role) => ensureRole(client, role)),
    ...CLUSTER_ROLE_BINDINGS.map((binding) => ensureBinding(client, binding)),
  ]);
}

async function ensureRole(client: ApiClient, role: ClusterRole): Promise<void> {
  const { name = '' } = role.metadata;
  try {
    await client.create(CLUSTERROLES, role);
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error;
    const found = await client.get(CLUSTERROLES, undefined, name);
    const lost = uncovered(found.rules ?? [], role.rules ?? []);
    if (found.metadata.annotations?.[AUTOUPDATE] !== 'true' || lost.length === 0) return;
    await client.patch(CLUSTERROLES, undefined, name, 'merge', { rules: [...(found.rules ?? []), ...lost] });
  }
}

async function ensureBinding(client: ApiClient, binding: ClusterRoleBinding): Promise<void> {
  const { name = '' } = binding.metadata;
  try {
    await client.create(CLUSTERROLEBINDINGS, binding);
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error;
    const found = await client.get(CLUSTERROLEBINDINGS, undefined, name);
    const subjects = found.subjects ?? [];
    const lost = (binding.subjects ?? []).filter((wanted) => !subjects.some((subject) => equal(subject, wanted)));
    if (found.metadata.annotations?.[AUTOUPDATE] !== 'true' || lost.length === 0) return;
    await client.patch(CLUSTERROLEBINDINGS, undefined, name, 'merge', { subjects: [...subjects, ...lost] });
  }
}
