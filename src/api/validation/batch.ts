// Rules for Jobs and CronJobs. After kubernetes/pkg/apis/batch/validation/validation.go.
// Left out: podFailurePolicy, successPolicy and limits an index, which are refused because nothing here acts on them.
import type { CronJob, Job, JobSpec } from '../batch-v1.ts';
import { checkTimeZone, parseSchedule } from '../cron.ts';
import type { FieldErrors } from '../field-errors.ts';
import { matchesLabelSelector } from '../selectors.ts';
import { immutable, validateLabelSelector } from './meta.ts';
import { nonNegative, validatePodTemplate } from './workload.ts';

const RESTART_POLICIES = ['OnFailure', 'Never'];
const COMPLETION_MODES = ['NonIndexed', 'Indexed'];
const CONCURRENCY_POLICIES = ['Allow', 'Forbid', 'Replace'];
const NOT_EMULATED = ['podFailurePolicy', 'successPolicy', 'backoffLimitPerIndex', 'maxFailedIndexes', 'managedBy'];
const MAX_CRON_JOB_NAME = 52;

export function validateJob({ spec }: Job, errors: FieldErrors): void {
  validateJobSpec(spec, 'spec', errors);
  const { selector, template } = spec;
  if (selector === undefined) errors.required('spec.selector');
  else {
    const before = errors.causes.length;
    validateLabelSelector(selector, 'spec.selector', errors);
    const labels = template.metadata?.labels;
    const sound = errors.causes.length === before;
    if (sound && !matchesLabelSelector(selector, labels)) {
      errors.invalid('spec.template.metadata.labels', labels ?? null, '`selector` does not match template `labels`');
    }
  }
}

function validateJobSpec(spec: JobSpec, path: string, errors: FieldErrors): void {
  const counts = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
  ] as const;
  for (const field of counts) nonNegative(spec[field], `${path}.${field}`, errors);
  if (spec.completionMode !== undefined && !COMPLETION_MODES.includes(spec.completionMode)) {
    errors.notSupported(`${path}.completionMode`, spec.completionMode, COMPLETION_MODES);
  }
  if (spec.completionMode === 'Indexed' && spec.completions === undefined) {
    errors.required(`${path}.completions`, 'when completion mode is Indexed');
  }
  for (const field of NOT_EMULATED) {
    if (Object.hasOwn(spec, field)) errors.forbidden(`${path}.${field}`, 'is not emulated');
  }
  validatePodTemplate(spec.template, `${path}.template`, errors);
  const { restartPolicy } = spec.template.spec;
  if (restartPolicy === 'Always') {
    errors.notSupported(`${path}.template.spec.restartPolicy`, restartPolicy, RESTART_POLICIES);
  }
}

/** The template may still change where a suspended Job has never started; here it never may. */
export function validateJobUpdate({ spec }: Job, { spec: old }: Job, errors: FieldErrors): void {
  const resized = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if (!resized) immutable('spec.completions', spec.completions, old.completions, errors);
  immutable('spec.selector', spec.selector, old.selector, errors);
  immutable('spec.template', spec.template, old.template, errors);
  immutable('spec.completionMode', spec.completionMode, old.completionMode, errors);
}

export function validateCronJob({ metadata, spec }: CronJob, errors: FieldErrors): void {
  if ((metadata.name?.length ?? 0) > MAX_CRON_JOB_NAME) {
    errors.invalid('metadata.name', metadata.name, `must be no more than ${MAX_CRON_JOB_NAME} characters`);
  }
  if (!spec.schedule) errors.required('spec.schedule');
  else if (/TZ/.test(spec.schedule)) {
    errors.invalid('spec.schedule', spec.schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead');
  } else attempt(() => parseSchedule(spec.schedule), 'spec.schedule', spec.schedule, errors);
  if (spec.timeZone !== undefined) {
    try {
      checkTimeZone(spec.timeZone);
    } catch {
      errors.invalid('spec.timeZone', spec.timeZone, `unknown time zone ${spec.timeZone}`);
    }
  }
  for (const field of ['startingDeadlineSeconds', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'] as const) {
    nonNegative(spec[field], `spec.${field}`, errors);
  }
  const policy = spec.concurrencyPolicy;
  if (!policy) errors.required('spec.concurrencyPolicy');
  else if (!CONCURRENCY_POLICIES.includes(policy)) {
    errors.notSupported('spec.concurrencyPolicy', policy, CONCURRENCY_POLICIES);
  }
  const { spec: job } = spec.jobTemplate;
  validateJobSpec(job, 'spec.jobTemplate.spec', errors);
  if (job.selector) {
    errors.invalid('spec.jobTemplate.spec.selector', job.selector, '`selector` will be auto-generated');
  }
}

function attempt(parse: () => unknown, field: string, value: unknown, errors: FieldErrors): void {
  try {
    parse();
  } catch (error) {
    errors.invalid(field, value, (error as Error).message);
  }
}
