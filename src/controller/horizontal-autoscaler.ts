// The autoscaler as it is in a cluster without a metrics server: it keeps its target between minReplicas and maxReplicas, and says
// of everything else that there are no metrics. After pkg/controller/podautoscaler/horizontal.go (1.32).
// Leaves out: metrics, and with them behavior: nothing here measures what a Pod uses.
import { isDeepStrictEqual } from 'node:util';
import type { HorizontalPodAutoscaler, MetricSpec } from '../api/autoscaling-v2.ts';
import type { Condition, KubeObject, ResourceType, Stored } from '../api/meta.ts';
import { DEPLOYMENTS, HORIZONTALPODAUTOSCALERS, REPLICASETS, STATEFULSETS } from '../api/resources.ts';
import { isStatus } from '../api/status-error.ts';
import { formatTime } from '../api/time.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';
import type { EventRecorder } from './events.ts';

type Scaled = KubeObject & { spec: { replicas?: number } };
type Status = NonNullable<HorizontalPodAutoscaler['status']>;

const PERIOD_US = 15e6; // horizontal-pod-autoscaler-sync-period
const TARGETS = [DEPLOYMENTS, REPLICASETS, STATEFULSETS] as unknown as readonly ResourceType<Scaled>[];
const NO_API = 'the server could not find the requested resource (get pods.metrics.k8s.io)';

export class HorizontalAutoscaler implements Controller {
  readonly #ctx: ControllerContext;
  readonly #autoscalers: Informer<HorizontalPodAutoscaler>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#autoscalers = ctx.informers.of(HORIZONTALPODAUTOSCALERS);
    this.#recorder = ctx.recorder('horizontal-pod-autoscaler');
    this.#loop = new ControlLoop(ctx, 'autoscaler', (key) => this.#sync(key));
    this.#autoscalers.addHandler({
      add: (autoscaler) => this.#loop.queue.add(keyOf(autoscaler)),
      update: (old, autoscaler) => {
        if (old.metadata.generation !== autoscaler.metadata.generation) this.#loop.queue.add(keyOf(autoscaler));
      },
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const autoscaler = this.#autoscalers.get(key);
    if (!autoscaler || autoscaler.metadata.deletionTimestamp !== undefined) return;
    const status = await this.#round(autoscaler);
    if (!isDeepStrictEqual(autoscaler.status, status)) {
      await tolerate(
        this.#ctx.client.update(HORIZONTALPODAUTOSCALERS, { ...autoscaler, status }, 'status'),
        'NotFound',
      );
    }
    this.#loop.queue.addAfter(key, PERIOD_US);
  }

  async #round(autoscaler: Stored<HorizontalPodAutoscaler>): Promise<Status> {
    const { minReplicas = 1, maxReplicas, metrics = [] } = autoscaler.spec;
    const before = autoscaler.status ?? { desiredReplicas: 0 };
    const conditions = new Conditions(before.conditions ?? [], formatTime(this.#ctx.clock.unixMs()));
    const target = await this.#target(autoscaler);
    if (typeof target === 'string') {
      this.#recorder.warning(autoscaler, 'FailedGetScale', target);
      const message = `the HPA controller was unable to get the target's current scale: ${target}`;
      conditions.set('AbleToScale', 'False', 'FailedGetScale', message);
      return { ...before, conditions: conditions.list };
    }
    conditions.set(
      'AbleToScale',
      'True',
      'SucceededGetScale',
      "the HPA controller was able to get the target's current scale",
    );
    const current = target.object.spec.replicas ?? 1;
    const counts = { currentReplicas: current, desiredReplicas: before.desiredReplicas };
    if (current === 0) {
      const message = 'scaling is disabled since the replica count of the target is zero';
      conditions.set('ScalingActive', 'False', 'ScalingDisabled', message);
      return { ...before, ...counts, conditions: conditions.list };
    }
    const bound = current > maxReplicas ? maxReplicas : current < minReplicas ? minReplicas : undefined;
    if (bound !== undefined) {
      const why = current > maxReplicas ? 'above Spec.MaxReplicas' : 'below Spec.MinReplicas';
      const { namespace, name } = target.object.metadata;
      await this.#ctx.client.patch(target.type, namespace, name, 'merge', { spec: { replicas: bound } }, 'scale');
      this.#recorder.normal(
        autoscaler,
        'SuccessfulRescale',
        `New size: ${bound}; reason: Current number of replicas ${why}`,
      );
      conditions.set(
        'AbleToScale',
        'True',
        'SucceededRescale',
        `the HPA controller was able to update the target scale to ${bound}`,
      );
      const lastScaleTime = formatTime(this.#ctx.clock.unixMs());
      return { ...before, ...counts, desiredReplicas: bound, lastScaleTime, conditions: conditions.list };
    }
    this.#tellUnmeasured(autoscaler, metrics, conditions);
    return { ...before, ...counts, conditions: conditions.list };
  }

  /** Why there is none. */
  async #target({ metadata, spec }: Stored<HorizontalPodAutoscaler>) {
    const { kind, name, apiVersion } = spec.scaleTargetRef;
    const type = TARGETS.find((candidate) => candidate.kind === kind);
    if (!type) return `no matches for kind "${kind}" in group "${apiVersion?.split('/')[0] ?? ''}"`;
    try {
      return { type, object: await this.#ctx.client.get(type, metadata.namespace, name) };
    } catch (error) {
      if (isStatus(error, 'NotFound')) return (error as Error).message;
      throw error;
    }
  }

  #tellUnmeasured(
    autoscaler: Stored<HorizontalPodAutoscaler>,
    metrics: readonly MetricSpec[],
    conditions: Conditions,
  ): void {
    const [first] = metrics;
    const name = first?.resource?.name ?? '';
    const missing = first?.resource
      ? `failed to get ${name} utilization: unable to get metrics for resource ${name}: unable to fetch metrics from resource metrics API: ${NO_API}`
      : `unable to get ${first?.type} metric: there is no metrics API`;
    const reason = first?.resource ? 'FailedGetResourceMetric' : `FailedGet${first?.type}Metric`;
    this.#recorder.warning(autoscaler, reason, missing);
    const count = metrics.length;
    const sum = `invalid metrics (${count} invalid out of ${count}), first error is: failed to get ${name} resource metric value: ${missing}`;
    this.#recorder.warning(autoscaler, 'FailedComputeMetricsReplicas', sum);
    conditions.set('ScalingActive', 'False', reason, `the HPA was unable to compute the replica count: ${missing}`);
  }
}

class Conditions {
  list: Condition[];
  readonly #now: string;

  constructor(before: readonly Condition[], now: string) {
    this.list = [...before];
    this.#now = now;
  }

  set(type: string, status: 'True' | 'False', reason: string, message: string): void {
    const old = this.list.find((condition) => condition.type === type);
    const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? this.#now) : this.#now;
    const fresh = { type, status, lastTransitionTime, reason, message };
    this.list = old ? this.list.map((condition) => (condition === old ? fresh : condition)) : [...this.list, fresh];
  }
}
