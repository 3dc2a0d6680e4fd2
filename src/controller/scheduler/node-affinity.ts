// A Pod's required node affinity: one of the terms must hold whole. By it a DaemonSet's Pods are tied to their Nodes. After
// k8s.io/component-helpers/scheduling/corev1/nodeaffinity (1.32).
import type { Node, NodeSelectorRequirement, Pod } from '../../api/core-v1.ts';

/** True without a required affinity. */
export function matchesNodeAffinity(pod: Pod, node: Node): boolean {
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  const labels = node.metadata.labels ?? {};
  // The only field there is.
  const fields: Record<string, string> = { 'metadata.name': node.metadata.name ?? '' };
  return required.nodeSelectorTerms.some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length + matchFields.length === 0) return false;
    return (
      matchExpressions.every((requirement) => holds(requirement, labels[requirement.key])) &&
      matchFields.every((requirement) => holds(requirement, fields[requirement.key]))
    );
  });
}

function holds({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}
