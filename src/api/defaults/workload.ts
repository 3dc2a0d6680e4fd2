// Defaults of the kinds of apps/v1. After kubernetes/pkg/apis/apps/v1/defaults.go. Drafts are written to.
import type { DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../apps-v1.ts';
import type { PodTemplateSpec } from '../core-v1.ts';
import { defaultPodSpec } from './pod.ts';

export function defaultDeployment(deployment: Deployment): void {
  deployment.spec ??= {} as Deployment['spec'];
  const { spec } = deployment;
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ??= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
    spec.strategy.rollingUpdate.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  spec.template = defaultTemplate(spec.template);
}

export function defaultReplicaSet(replicaSet: ReplicaSet): void {
  replicaSet.spec ??= {} as ReplicaSet['spec'];
  replicaSet.spec.replicas ??= 1;
  replicaSet.spec.template = defaultTemplate(replicaSet.spec.template);
}

export function defaultStatefulSet(set: StatefulSet): void {
  set.spec ??= {} as StatefulSet['spec'];
  const { spec } = set;
  spec.podManagementPolicy ??= 'OrderedReady';
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.partition ??= 0;
  }
  spec.persistentVolumeClaimRetentionPolicy ??= { whenDeleted: 'Retain', whenScaled: 'Retain' };
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  spec.template = defaultTemplate(spec.template);
}

export function defaultDaemonSet(set: DaemonSet): void {
  set.spec ??= {} as DaemonSet['spec'];
  const { spec } = set;
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  spec.template = defaultTemplate(spec.template);
}

/** Also of batch/v1's templates. */
export function defaultTemplate(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const out = template ?? { spec: { containers: [] } };
  out.spec ??= { containers: [] };
  defaultPodSpec(out.spec);
  return out;
}
