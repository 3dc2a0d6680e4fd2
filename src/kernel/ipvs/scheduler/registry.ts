// Schedulers by the name that ipvsadm -s and kube-proxy's --ipvs-scheduler take.
import { RoundRobin } from './rr.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { SourceHash } from './sh.ts';

export const SCHEDULERS: ReadonlyMap<string, SchedulerFactory> = new Map<string, SchedulerFactory>([
  ['rr', (svc) => new RoundRobin(svc)],
  ['sh', (svc) => new SourceHash(svc)],
]);
