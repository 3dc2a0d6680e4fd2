// Rows of RoleBindings and ClusterRoleBindings (roles have the default table). After
// k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { RoleBinding, Subject } from '../../api/rbac-v1.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer, wide } from './printer.ts';

export const bindingPrinter: Printer<RoleBinding> = {
  columns: [NAME, column('Role'), column('Age'), wide('Users'), wide('Groups'), wide('ServiceAccounts')],
  cells: ({ metadata, roleRef, subjects = [] }, nowMs) => {
    const of = (kind: string, name: (subject: Subject) => string): string =>
      subjects
        .filter((subject) => subject.kind === kind)
        .map(name)
        .join(', ');
    return [
      metadata.name ?? '',
      `${roleRef.kind}/${roleRef.name}`,
      age(metadata.creationTimestamp, nowMs),
      of('User', ({ name }) => name),
      of('Group', ({ name }) => name),
      of('ServiceAccount', ({ name, namespace = '' }) => `${namespace}/${name}`),
    ];
  },
};
