// Schedulers by the name that ipvsadm -s and kube-proxy's --ipvs-scheduler take: all of Linux 6.1.
import type { Rng } from '../../../lib/rng.ts';
import { DestinationHash } from './dh.ts';
import { LocalityLeastConnection, LocalityReplication } from './lblc.ts';
import {
  failover,
  leastConnection,
  neverQueue,
  overflow,
  shortestExpectedDelay,
  stateless,
  weightedLeastConnection,
} from './least.ts';
import { Maglev } from './mh.ts';
import { RoundRobin } from './rr.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { SourceHash } from './sh.ts';
import { TwoChoices } from './twos.ts';
import { WeightedRoundRobin } from './wrr.ts';

/** `rng` is for those that draw lots. */
export function schedulers(rng: Rng): ReadonlyMap<string, SchedulerFactory> {
  return new Map<string, SchedulerFactory>([...DETERMINISTIC, ['twos', (svc) => new TwoChoices(svc, rng)]]);
}

const DETERMINISTIC: readonly (readonly [string, SchedulerFactory])[] = [
  ['rr', (svc) => new RoundRobin(svc)],
  ['wrr', (svc) => new WeightedRoundRobin(svc)],
  ['lc', stateless('lc', leastConnection)],
  ['wlc', stateless('wlc', weightedLeastConnection)],
  ['sed', stateless('sed', shortestExpectedDelay)],
  ['nq', stateless('nq', neverQueue)],
  ['fo', stateless('fo', failover)],
  ['ovf', stateless('ovf', overflow)],
  ['sh', (svc) => new SourceHash(svc)],
  ['dh', (svc) => new DestinationHash(svc)],
  ['mh', (svc) => new Maglev(svc)],
  ['lblc', (svc) => new LocalityLeastConnection(svc)],
  ['lblcr', (svc) => new LocalityReplication(svc)],
];
