// What the Pods of a Job are made like, and how they have ended. Pure. After pkg/controller/job/job_controller.go (1.32).
import type { Job } from '../../api/batch-v1.ts';
import type { Container, Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { JOBS } from '../../api/resources.ts';
import { controllerRef } from '../owner.ts';
import { COMPLETION_INDEX } from './indexes.ts';

export const FINALIZER = 'batch.kubernetes.io/job-tracking';

/** `index`: of an Indexed Job. */
export function jobPod(job: Stored<Job>, index: number | undefined): Pod {
  const { template } = job.spec;
  const { name, namespace } = job.metadata;
  const own = index === undefined ? {} : { [COMPLETION_INDEX]: String(index) };
  const annotations = { ...template.metadata?.annotations, ...own };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: index === undefined ? `${name}-` : `${name}-${index}-`,
      namespace: namespace!,
      labels: { ...template.metadata?.labels, ...own },
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      finalizers: [FINALIZER],
      ownerReferences: [controllerRef(job, JOBS)],
    },
    spec: index === undefined ? template.spec : indexed(template.spec, `${name}-${index}`),
  };
}

function indexed(spec: Pod['spec'], hostname: string): Pod['spec'] {
  const env = {
    name: 'JOB_COMPLETION_INDEX',
    valueFrom: { fieldRef: { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } },
  };
  const told = (container: Container): Container => ({ ...container, env: [...(container.env ?? []), env] });
  return {
    ...spec,
    hostname,
    containers: spec.containers.map(told),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(told) } : {}),
  };
}

export function isTracked({ metadata }: Pod): boolean {
  return metadata.finalizers?.includes(FINALIZER) ?? false;
}

export function isSucceeded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded';
}

/** One that somebody deletes has failed, unless replacements wait for its end. */
export function isFailed(job: Job, { metadata, status }: Pod): boolean {
  if (status?.phase === 'Failed') return true;
  if (job.spec.podReplacementPolicy === 'Failed') return false;
  return metadata.deletionTimestamp !== undefined && status?.phase !== 'Succeeded';
}
