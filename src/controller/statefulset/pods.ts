// The Pods of a StatefulSet by their ordinals, and what they are made like. Pure. After
// pkg/controller/statefulset/stateful_set_utils.go (1.32).
import type { StatefulSet } from '../../api/apps-v1.ts';
import type { Pod, PodTemplateSpec } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodReady } from '../../api/pod.ts';
import { STATEFULSETS } from '../../api/resources.ts';
import { controllerRef } from '../owner.ts';
import { REVISION_HASH } from '../revision-history.ts';

const POD_NAME = 'statefulset.kubernetes.io/pod-name';
const POD_INDEX = 'apps.kubernetes.io/pod-index';

/** Of `web-3` in StatefulSet `web`; undefined for a Pod that is none of its members. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const match = /^(.*)-(\d+)$/.exec(pod.metadata.name ?? '');
  return match && match[1] === set.metadata.name ? Number(match[2]) : undefined;
}

export function firstOrdinal(set: StatefulSet): number {
  return set.spec.ordinals?.start ?? 0;
}

/** One past the last. */
export function endOrdinal(set: StatefulSet): number {
  return firstOrdinal(set) + (set.spec.replicas ?? 1);
}

/** The Pod's name is also its hostname; with the Service's as subdomain it has a name in the DNS of its own. */
export function podOf(set: Stored<StatefulSet>, template: PodTemplateSpec, revision: string, ordinal: number): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: set.metadata.namespace!,
      labels: {
        ...template.metadata?.labels,
        [POD_NAME]: name,
        [POD_INDEX]: String(ordinal),
        [REVISION_HASH]: revision,
      },
      ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
      ownerReferences: [controllerRef(set, STATEFULSETS)],
    },
    spec: { ...template.spec, hostname: name, ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}) },
  };
}

export function isHealthy(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && pod.status?.phase === 'Running' && isPodReady(pod);
}
