// A workload seen as an autoscaling/v1 Scale, and what a Scale says about the workload. After kubernetes/pkg/registry/apps/deployment
// storage (ScaleREST) and apimachinery's managedfields/scalehandler.go: the fields that a Scale sets are owned as the workload's.
import { apiVersionOf, type KubeObject, type LabelSelector, type ResourceType, type Stored } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { formatLabelSelector } from '../../api/selectors.ts';
import { SCALES, type Scale } from '../../api/subresources.ts';
import { clone } from '../../lib/tree.ts';
import { checkConfiguration } from '../apply/configuration.ts';
import type { ScaleStrategy } from './strategy.ts';

interface Replicated extends KubeObject {
  spec: { replicas?: number; selector: LabelSelector };
  status?: { replicas?: number };
}

/** Of the workloads that say how many Pods they want, and count them. */
export const replicasScale: ScaleStrategy<Replicated> = {
  replicas: ({ spec, status }) => ({
    spec: spec.replicas ?? 0,
    status: status?.replicas ?? 0,
    selector: formatLabelSelector(spec.selector),
  }),
  setReplicas: (workload, replicas) => {
    workload.spec.replicas = replicas;
  },
};

export function scaleOf<T extends KubeObject>(
  type: ResourceType<T>,
  strategy: ScaleStrategy<T>,
  object: Stored<T>,
): Scale {
  const { spec, status, selector } = strategy.replicas(object);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: SCALES.kind,
    apiVersion: apiVersionOf(SCALES),
    metadata: { name, ...(type.namespaced ? { namespace: namespace! } : {}), uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec },
    status: { replicas: status, selector },
  };
}

/** A draft: `old` with the replicas of a Scale that has been decoded. */
export function scaled<T extends KubeObject>(strategy: ScaleStrategy<T>, scale: Scale, old: Stored<T>): T {
  const draft = clone(old) as T;
  const { resourceVersion } = scale.metadata;
  if (resourceVersion) draft.metadata.resourceVersion = resourceVersion;
  strategy.setReplicas(draft, scale.spec?.replicas ?? 0);
  return draft;
}

/** The configuration of the workload that a Scale which is applied stands for. Throws StatusError. */
export function workloadOfScale(type: ResourceType, scale: Scale): KubeObject {
  checkConfiguration(SCALES, schemaOf(SCALES)!, scale);
  const replicas = scale.spec?.replicas;
  const { name, namespace } = scale.metadata;
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    metadata: { name, namespace },
    spec: replicas === undefined ? {} : { replicas },
  } as KubeObject;
}
