// The Pods that controllers would make of the Deployments, ReplicaSets and StatefulSets of the files, so that manifests as people
// write them have endpoints. Only of what nobody has run yet: without a status, and without Pods that it selects among the files.
// Deviation: a Deployment's Pods are named NAME-0, NAME-1, ... as a StatefulSet's; a real one's names are drawn by lot.
import type { Deployment, ReplicaSet, StatefulSet } from '../../api/apps-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import { DEPLOYMENTS, REPLICASETS, STATEFULSETS } from '../../api/resources.ts';
import { matchesLabelSelector } from '../../api/selectors.ts';

export type Workload = Deployment | ReplicaSet | StatefulSet;

/** Kinds of whose objects Pods are made here. */
export const WORKLOAD_KINDS: readonly string[] = [DEPLOYMENTS.kind, REPLICASETS.kind, STATEFULSETS.kind];

/** `given`: the Pods of the files. Namespaces are filled in. The Pods have no address yet. */
export function podsOfWorkloads(workloads: readonly Workload[], given: readonly Pod[]): Pod[] {
  return workloads.flatMap((workload) => {
    const { metadata, spec } = workload;
    const namespace = metadata.namespace!;
    const own = given.some(
      (p) => p.metadata.namespace === namespace && matchesLabelSelector(spec.selector, p.metadata.labels ?? {}),
    );
    if (workload.status || own) return [];
    const { labels = {}, annotations = {} } = spec.template?.metadata ?? {};
    const named = (name: string): Partial<Pod['spec']> =>
      'serviceName' in spec ? { hostname: name, subdomain: spec.serviceName ?? '' } : {};
    return Array.from({ length: spec.replicas ?? 1 }, (_, i): Pod => {
      const name = `${metadata.name}-${i}`;
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, labels, annotations },
        spec: { containers: [], ...spec.template?.spec, ...named(name) },
      };
    });
  });
}
