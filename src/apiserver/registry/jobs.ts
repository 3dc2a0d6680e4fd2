// Jobs. After kubernetes/pkg/registry/batch/job/strategy.go: the selector and the labels that match it are made here.
import type { Job } from '../../api/batch-v1.ts';
import { defaultJob } from '../../api/defaults/batch.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { JOBS } from '../../api/resources.ts';
import { validateJob, validateJobUpdate } from '../../api/validation/batch.ts';
import type { Strategy } from './strategy.ts';

const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid';

export const jobStrategy: Strategy<Job> = {
  type: JOBS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultJob,
  prepareForCreate(job) {
    job.status = {};
    if (!job.spec.manualSelector) selectOwnPods(job);
  },
  validate: validateJob,
  validateUpdate: validateJobUpdate,
  status: {},
  fields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
};

function selectOwnPods({ metadata, spec }: Job): void {
  const uid = metadata.uid!;
  const name = metadata.name!;
  spec.selector ??= { matchLabels: { [CONTROLLER_UID]: uid } };
  const labels = {
    'controller-uid': uid,
    [CONTROLLER_UID]: uid,
    'job-name': name,
    'batch.kubernetes.io/job-name': name,
  };
  spec.template.metadata = {
    ...spec.template.metadata,
    labels: { ...spec.template.metadata?.labels, ...labels },
  };
}
