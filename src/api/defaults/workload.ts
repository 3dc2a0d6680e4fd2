// Defaults of Deployments and ReplicaSets. After kubernetes/pkg/apis/apps/v1/defaults.go. Drafts are written to.
import type { Deployment, ReplicaSet } from '../apps-v1.ts';
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

function defaultTemplate(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const out = template ?? { spec: { containers: [] } };
  out.spec ??= { containers: [] };
  defaultPodSpec(out.spec);
  return out;
}
