// CronJobs. After kubernetes/pkg/registry/batch/cronjob/strategy.go.
import type { CronJob } from '../../api/batch-v1.ts';
import { defaultCronJob } from '../../api/defaults/batch.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { CRONJOBS } from '../../api/resources.ts';
import { validateCronJob } from '../../api/validation/batch.ts';
import type { Strategy } from './strategy.ts';

export const cronJobStrategy: Strategy<CronJob> = {
  type: CRONJOBS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultCronJob,
  prepareForCreate(cronJob) {
    cronJob.status = {};
  },
  validate: validateCronJob,
  status: {},
};
