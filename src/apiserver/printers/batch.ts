// Rows of Jobs, CronJobs and PodDisruptionBudgets. After k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { CronJob, Job } from '../../api/batch-v1.ts';
import type { PodDisruptionBudget } from '../../api/policy-v1.ts';
import { age, humanDuration } from './duration.ts';
import { column, NAME, type Printer, selectorText, wide } from './printer.ts';
import { CONTAINERS, containers } from './workloads.ts';

export const jobPrinter: Printer<Job> = {
  columns: [
    NAME,
    column('Status'),
    column('Completions'),
    column('Duration'),
    column('Age'),
    ...CONTAINERS,
    wide('Selector'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    jobState({ metadata, status }),
    completions(spec, status?.succeeded ?? 0),
    duration(status, nowMs),
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.template),
    selectorText(spec.selector),
  ],
};

function completions({ completions: wanted, parallelism = 0 }: Job['spec'], succeeded: number): string {
  if (wanted !== undefined) return `${succeeded}/${wanted}`;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function duration(status: Job['status'], nowMs: number): string {
  if (!status?.startTime) return '';
  const end = status.completionTime ? Date.parse(status.completionTime) : nowMs;
  return humanDuration(end - Date.parse(status.startTime));
}

function jobState({ metadata, status }: Pick<Job, 'metadata'> & { status: Job['status'] }): string {
  const has = (type: string) => status?.conditions?.some((c) => c.type === type && c.status === 'True');
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (metadata.deletionTimestamp) return 'Terminating';
  if (has('Suspended')) return 'Suspended';
  if (has('FailureTarget')) return 'FailureTarget';
  return has('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running';
}

export const cronJobPrinter: Printer<CronJob> = {
  columns: [
    NAME,
    column('Schedule'),
    column('Timezone'),
    column('Suspend', 'boolean'),
    column('Active', 'integer'),
    column('Last Schedule'),
    column('Age'),
    ...CONTAINERS,
    wide('Selector'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    spec.schedule,
    spec.timeZone ?? '<none>',
    spec.suspend ? 'True' : 'False',
    status?.active?.length ?? 0,
    status?.lastScheduleTime ? age(status.lastScheduleTime, nowMs) : '<none>',
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.jobTemplate.spec.template),
    selectorText(spec.jobTemplate.spec.selector),
  ],
};

export const podDisruptionBudgetPrinter: Printer<PodDisruptionBudget> = {
  columns: [
    NAME,
    column('Min Available'),
    column('Max Unavailable'),
    column('Allowed Disruptions', 'integer'),
    column('Age'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    String(spec.minAvailable ?? 'N/A'),
    String(spec.maxUnavailable ?? 'N/A'),
    status?.disruptionsAllowed ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ],
};
