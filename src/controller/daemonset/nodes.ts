// On which Nodes a DaemonSet runs, and what its Pod there is made like. Pure. After nodeShouldRunDaemonPod in
// pkg/controller/daemon/daemon_controller.go and pkg/controller/daemon/util/daemonset_util.go (1.32).
import type { DaemonSet } from '../../api/apps-v1.ts';
import type { Node, NodeAffinity, Pod, Toleration } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { DAEMONSETS } from '../../api/resources.ts';
import { controllerRef } from '../owner.ts';
import { REVISION_HASH } from '../revision-history.ts';
import { type Taint, tolerates } from '../scheduler/filter.ts';
import { matchesNodeAffinity } from '../scheduler/node-affinity.ts';

const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

/** A daemon stays on a Node in trouble. */
const TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];

/** `run`: one belongs there. `stay`: one that is there already may stay. */
export function placement(set: Stored<DaemonSet>, node: Node): { run: boolean; stay: boolean } {
  const pod = daemonPod(set, node.metadata.name!, '');
  const { nodeName, nodeSelector = {} } = set.spec.template.spec;
  const labels = node.metadata.labels ?? {};
  const template: Pod = { ...pod, spec: set.spec.template.spec };
  const fits =
    (!nodeName || nodeName === node.metadata.name) &&
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value) &&
    matchesNodeAffinity(template, node);
  if (!fits) return { run: false, stay: false };
  const taints = (node.spec?.taints ?? []) as Taint[];
  const against = taints.filter((t) => t.effect !== 'PreferNoSchedule' && !tolerates(pod.spec.tolerations ?? [], t));
  return { run: against.length === 0, stay: !against.some((t) => t.effect === 'NoExecute') };
}

/** Tied to its Node by affinity; the scheduler binds it. */
export function daemonPod(set: Stored<DaemonSet>, node: string, hash: string): Pod {
  const { template } = set.spec;
  const generation = set.metadata.annotations?.[TEMPLATE_GENERATION];
  const own = template.spec.tolerations ?? [];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${set.metadata.name}-`,
      namespace: set.metadata.namespace!,
      labels: {
        ...template.metadata?.labels,
        ...(generation ? { 'pod-template-generation': generation } : {}),
        [REVISION_HASH]: hash,
      },
      ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
      ownerReferences: [controllerRef(set, DAEMONSETS)],
    },
    spec: {
      ...template.spec,
      tolerations: [...own, ...TOLERATIONS.filter((t) => !own.some((o) => o.key === t.key && o.effect === t.effect))],
      affinity: { ...template.spec.affinity, nodeAffinity: onlyOn(node, template.spec.affinity?.nodeAffinity) },
    },
  };
}

/** The Node a daemon's Pod is meant for, also before it is bound. */
export function targetNode({ spec }: Pod): string {
  if (spec.nodeName) return spec.nodeName;
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const field = terms[0]?.matchFields?.find((requirement) => requirement.key === 'metadata.name');
  return field?.values?.[0] ?? '';
}

function onlyOn(node: string, affinity: NodeAffinity | undefined): NodeAffinity {
  const matchFields = [{ key: 'metadata.name', operator: 'In' as const, values: [node] }];
  // As the real one: what the template requires has been looked at when the Node was chosen.
  const required = { nodeSelectorTerms: [{ matchFields }] };
  return { ...affinity, requiredDuringSchedulingIgnoredDuringExecution: required };
}
