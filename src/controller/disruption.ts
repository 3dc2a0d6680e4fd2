// The disruption controller: how many Pods each PodDisruptionBudget lets go. After pkg/controller/disruption/disruption.go (1.32).
// The evictions themselves are counted by the API server (apiserver/registry/eviction.ts), which notes in disruptedPods what it
// has allowed; such a Pod counts as gone until it is, or for two minutes.
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from '../api/core-v1.ts';
import type { Condition, KubeObject, ResourceType, Stored } from '../api/meta.ts';
import { condition, isPodReady, isPodTerminal } from '../api/pod.ts';
import type { PodDisruptionBudget } from '../api/policy-v1.ts';
import { DEPLOYMENTS, PODDISRUPTIONBUDGETS, PODS, REPLICASETS, STATEFULSETS } from '../api/resources.ts';
import { labelSelectorMatcher } from '../api/selectors.ts';
import { formatTime, parseTime } from '../api/time.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import { BY_NAMESPACE, type Controller, type ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';
import { scaled } from './deployment/rolling.ts';
import type { EventRecorder } from './events.ts';
import { controllerOf } from './owner.ts';
import { nonZero } from './replicaset/status.ts';

const DISRUPTED_TIMEOUT_MS = 120_000;

type Scaled = KubeObject & { spec: { replicas?: number } };

export class DisruptionController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #budgets: Informer<PodDisruptionBudget>;
  readonly #pods: Informer<Pod>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#budgets = ctx.informers.of(PODDISRUPTIONBUDGETS);
    this.#pods = ctx.informers.of(PODS);
    this.#recorder = ctx.recorder('controllermanager');
    this.#loop = new ControlLoop(ctx, 'disruption', (key) => this.#sync(key));
    const enqueue = (budget: Stored<PodDisruptionBudget>) => this.#loop.queue.add(keyOf(budget));
    this.#budgets.addHandler({ add: enqueue, update: (_, budget) => enqueue(budget) });
    const look = (pod: Stored<Pod>) => {
      for (const budget of this.#budgets.byIndex(BY_NAMESPACE, pod.metadata.namespace!)) {
        if (covers(budget, pod)) enqueue(budget);
      }
    };
    this.#pods.addHandler({
      add: look,
      update: (old, pod) => {
        if (!isDeepStrictEqual(old.metadata.labels, pod.metadata.labels)) look(old);
        look(pod);
      },
      delete: look,
    });
    // How many Pods there should be is theirs to say.
    for (const type of [DEPLOYMENTS, REPLICASETS, STATEFULSETS] as readonly ResourceType[]) {
      const all = ({ metadata }: Stored) => {
        for (const budget of this.#budgets.byIndex(BY_NAMESPACE, metadata.namespace!)) enqueue(budget);
      };
      ctx.informers.of(type).addHandler({ update: (_, object) => all(object) });
    }
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const budget = this.#budgets.get(key);
    if (!budget || budget.metadata.deletionTimestamp !== undefined) return;
    const pods = this.#pods
      .byIndex(BY_NAMESPACE, budget.metadata.namespace!)
      .filter((pod) => covers(budget, pod) && !isPodTerminal(pod));
    if (pods.length === 0) this.#recorder.normal(budget, 'NoPods', 'No matching pods found');
    const nowMs = this.#ctx.clock.unixMs();
    const { disrupted, nextMs } = this.#disrupted(budget, nowMs);
    const { expected, desired } = this.#counts(budget.spec, pods);
    const gone = (pod: Pod) => pod.metadata.deletionTimestamp !== undefined || pod.metadata.name! in disrupted;
    const healthy = pods.filter((pod) => isPodReady(pod) && !gone(pod)).length;
    const allowed = expected <= 0 ? 0 : Math.max(0, healthy - desired);
    const status: NonNullable<PodDisruptionBudget['status']> = {
      ...nonZero('observedGeneration', budget.metadata.generation ?? 0),
      ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
      disruptionsAllowed: allowed,
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: expected,
      conditions: conditions(budget, allowed > 0, nowMs),
    };
    if (nextMs !== undefined) this.#loop.queue.addAfter(key, nextMs * 1000);
    if (isDeepStrictEqual(budget.status, status)) return;
    await tolerate(this.#ctx.client.update(PODDISRUPTIONBUDGETS, { ...budget, status }, 'status'), 'NotFound');
  }

  /** Evicted Pods that have not been seen to go, and when the first of them is given up waiting for. */
  #disrupted(
    budget: Stored<PodDisruptionBudget>,
    nowMs: number,
  ): { disrupted: Record<string, string>; nextMs: number | undefined } {
    const disrupted: Record<string, string> = {};
    let nextMs: number | undefined;
    for (const [name, since] of Object.entries(budget.status?.disruptedPods ?? {})) {
      const pod = this.#pods.get(`${budget.metadata.namespace}/${name}`);
      if (!pod || pod.metadata.deletionTimestamp !== undefined) continue;
      const leftMs = parseTime(since) + DISRUPTED_TIMEOUT_MS - nowMs;
      if (leftMs <= 0) continue;
      disrupted[name] = since;
      nextMs = Math.min(nextMs ?? leftMs, leftMs);
    }
    return { disrupted, nextMs };
  }

  #counts({ minAvailable, maxUnavailable }: PodDisruptionBudget['spec'], pods: readonly Stored<Pod>[]) {
    if (maxUnavailable !== undefined) {
      const expected = this.#expected(pods);
      return { expected, desired: Math.max(0, expected - scaled(maxUnavailable, expected, 'up')) };
    }
    if (typeof minAvailable === 'number') return { expected: pods.length, desired: minAvailable };
    const expected = this.#expected(pods);
    return { expected, desired: scaled(minAvailable ?? 0, expected, 'up') };
  }

  /** The replicas that the Pods' controllers ask for, together. */
  #expected(pods: readonly Stored<Pod>[]): number {
    const scales = new Map<string, number>();
    let without = 0;
    for (const pod of pods) {
      const owner = this.#scaleOf(pod);
      if (owner) scales.set(owner.metadata.uid, owner.spec.replicas ?? 1);
      else without++;
    }
    return [...scales.values()].reduce((sum, replicas) => sum + replicas, without);
  }

  #scaleOf(pod: Stored<Pod>): Stored<Scaled> | undefined {
    const { informers } = this.#ctx;
    const find = (object: KubeObject, kind: string, type: ResourceType<Scaled>): Stored<Scaled> | undefined => {
      const ref = controllerOf(object);
      if (ref?.kind !== kind) return undefined;
      return informers.of(type).get(`${object.metadata.namespace}/${ref.name}`);
    };
    const set = find(pod, 'ReplicaSet', REPLICASETS as ResourceType<Scaled>);
    if (!set) return find(pod, 'StatefulSet', STATEFULSETS as ResourceType<Scaled>);
    return find(set, 'Deployment', DEPLOYMENTS as ResourceType<Scaled>) ?? set;
  }
}

/** An empty selector covers the whole Namespace, none covers nothing. */
function covers({ spec }: PodDisruptionBudget, { metadata }: Pod): boolean {
  return spec.selector !== undefined && labelSelectorMatcher(spec.selector).matches(metadata.labels);
}

function conditions(budget: Stored<PodDisruptionBudget>, allowed: boolean, nowMs: number): Condition[] {
  const status = allowed ? 'True' : 'False';
  const before = condition(budget.status?.conditions, 'DisruptionAllowed');
  return [
    {
      type: 'DisruptionAllowed',
      status,
      observedGeneration: budget.metadata.generation ?? 0,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime! : formatTime(nowMs),
      reason: allowed ? 'SufficientPods' : 'InsufficientPods',
      message: '',
    },
  ];
}
