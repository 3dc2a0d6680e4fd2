// Defaults of Jobs and CronJobs. After kubernetes/pkg/apis/batch/v1/defaults.go. Drafts are written to.
import type { CronJob, Job, JobSpec } from '../batch-v1.ts';
import { defaultTemplate } from './workload.ts';

export function defaultJob(job: Job): void {
  job.spec ??= {} as JobSpec;
  const { spec } = job;
  // Neither given: one Pod that has to succeed.
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= 6;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= 'TerminatingOrFailed';
  spec.template = jobTemplate(spec);
}

export function defaultCronJob(cronJob: CronJob): void {
  cronJob.spec ??= {} as CronJob['spec'];
  const { spec } = cronJob;
  spec.concurrencyPolicy ??= 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  spec.jobTemplate ??= {} as CronJob['spec']['jobTemplate'];
  spec.jobTemplate.spec ??= {} as JobSpec;
  spec.jobTemplate.spec.template = jobTemplate(spec.jobTemplate.spec);
}

function jobTemplate(spec: JobSpec): JobSpec['template'] {
  return defaultTemplate(spec.template);
}
