// Which Nodes may take a Pod, and why the others may not. Pure. After pkg/scheduler/framework/plugins/{nodeunschedulable,
// nodename,tainttoleration,nodeaffinity,noderesources} and the FitError wording of pkg/scheduler/framework/types.go (1.32).
// Leaves out: affinity to Pods and what is only preferred, topology spread, host ports, volumes, preemption (the text says that it would not help).
import type { Container, Node, Pod, Toleration } from '../../api/core-v1.ts';
import type { RuntimeClass } from '../../api/discovery-v1.ts';
import { isSidecar } from '../../api/pod.ts';
import { parseQuantity } from '../../api/quantity.ts';
import { matchesNodeAffinity } from './node-affinity.ts';

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

/** A Node and what its Pods, bound or about to be, take of it. */
export interface NodeLoad {
  readonly node: Node;
  readonly pods: number;
  /** Cores and bytes requested. */
  readonly cpu: number;
  readonly memory: number;
}

export interface Requests {
  readonly cpu: number;
  readonly memory: number;
}

/** A RuntimeClass may confine its Pods to some Nodes. */
export type SchedulableRuntimeClass = RuntimeClass & {
  scheduling?: { nodeSelector?: Record<string, string> };
};

export const TAINT_UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

/** The reasons why the Pod cannot go there; [] when it can. As in the real chain, only the first filter that fails speaks. */
export function filterNode(
  pod: Pod,
  requests: Requests,
  load: NodeLoad,
  runtimeClass: SchedulableRuntimeClass | undefined,
): string[] {
  const { node } = load;
  const tolerations = pod.spec.tolerations ?? [];
  if (node.spec?.unschedulable && !tolerates(tolerations, { key: TAINT_UNSCHEDULABLE, effect: 'NoSchedule' })) {
    return ['node(s) were unschedulable'];
  }
  for (const taint of (node.spec?.taints ?? []) as Taint[]) {
    if (taint.effect === 'PreferNoSchedule' || tolerates(tolerations, taint)) continue;
    return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
  }
  const labels = node.metadata.labels ?? {};
  const wanted = {
    ...runtimeClass?.scheduling?.nodeSelector,
    ...pod.spec.nodeSelector,
  };
  if (!Object.entries(wanted).every(([k, v]) => labels[k] === v) || !matchesNodeAffinity(pod, node)) {
    return ["node(s) didn't match Pod's node affinity/selector"];
  }
  return insufficient(requests, load);
}

function insufficient(requests: Requests, { node, pods, cpu, memory }: NodeLoad): string[] {
  const allocatable = node.status?.allocatable ?? node.status?.capacity ?? {};
  const has = (name: string) => (allocatable[name] === undefined ? undefined : parseQuantity(allocatable[name]));
  const reasons: string[] = [];
  const room = has('pods');
  if (room !== undefined && pods + 1 > room) reasons.push('Too many pods');
  const cores = has('cpu');
  if (requests.cpu > 0 && cores !== undefined && cpu + requests.cpu > cores) reasons.push('Insufficient cpu');
  const bytes = has('memory');
  if (requests.memory > 0 && bytes !== undefined && memory + requests.memory > bytes)
    reasons.push('Insufficient memory');
  return reasons;
}

export function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some((t) => {
    if (t.effect && t.effect !== taint.effect) return false;
    if (t.key && t.key !== taint.key) return false;
    if (t.operator === 'Exists') return true;
    return Boolean(t.key) && (t.value ?? '') === (taint.value ?? '');
  });
}

/** What the Pod asks for: its containers together, or its largest init container if that is more. */
export function requestsOf(pod: Pod): Requests {
  const of = (name: 'cpu' | 'memory') => {
    const asked = (c: Container) =>
      parseQuantity(c.resources?.requests?.[name] ?? c.resources?.limits?.[name] ?? '0') || 0;
    const inits = pod.spec.initContainers ?? [];
    const sidecars = inits.filter(isSidecar).reduce((n, c) => n + asked(c), 0);
    const running = pod.spec.containers.reduce((n, c) => n + asked(c), sidecars);
    return inits.reduce((most, c) => Math.max(most, asked(c)), running);
  };
  return { cpu: of('cpu'), memory: of('memory') };
}

/** The message of FailedScheduling. `reasons`: one list a Node. */
export function fitError(reasons: readonly (readonly string[])[]): string {
  const total = reasons.length;
  if (total === 0) return 'no nodes available to schedule pods';
  const counts = new Map<string, number>();
  for (const reason of reasons.flat()) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const listed = [...counts].map(([reason, n]) => `${n} ${reason}`).sort();
  // Evicting others helps where only room is missing; there it finds no victims, as nobody has a lower priority.
  const full = reasons.filter((r) => r.some((t) => t.startsWith('Insufficient') || t === 'Too many pods')).length;
  const preemption = [
    ...(total - full > 0 ? [`${total - full} Preemption is not helpful for scheduling`] : []),
    ...(full > 0 ? [`${full} No preemption victims found for incoming pod`] : []),
  ].sort();
  return `0/${total} nodes are available: ${listed.join(', ')}. preemption: 0/${total} nodes are available: ${preemption.join(', ')}.`;
}
