// The scheduler: gives each unassigned Pod a Node. After pkg/scheduler (1.32) in outline: filter, score, assume, bind.
// Score: the fewest Pods; ties are broken by the rng. Pods are taken in the order they were seen. A Pod that fits nowhere waits
// until a Node, or the Pods on it, change, and at least 1 s after the first try, doubling to 10 s (podInitialBackoffSeconds,
// podMaxBackoffSeconds); before there is any Node a try counts for nothing.
// Deviation: Kubernetes scores by free resources, balance, spreading and image locality; here requests only decide whether a
// Pod fits.
import type { Node, Pod } from '../../api/core-v1.ts';
import type { RuntimeClass } from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { condition, isPodTerminal } from '../../api/pod.ts';
import { NODES, PODS, RUNTIMECLASSES } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { filterNode, fitError, type NodeLoad, type Requests, requestsOf } from './filter.ts';

const BACKOFF_US = 1e6;
const MAX_BACKOFF_US = 10e6;
const DEFAULT_SCHEDULER = 'default-scheduler';

interface Placed extends Requests {
  readonly node: string;
}

export class Scheduler implements Controller {
  readonly #ctx: ControllerContext;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  readonly #runtimeClasses: Informer<RuntimeClass>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;
  /** By Pod key: where it is, or is being put. */
  readonly #placed = new Map<string, Placed>();
  /** Sums of #placed by Node. */
  readonly #loads = new Map<string, { pods: number; cpu: number; memory: number }>();
  /** Pods that fit nowhere when last tried. */
  readonly #waiting = new Set<string>();
  /** Of Pods that have been tried in vain: how often, and before when they are not tried again. */
  readonly #backoff = new Map<string, { tries: number; untilUs: number }>();

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#pods = ctx.informers.of(PODS);
    this.#nodes = ctx.informers.of(NODES);
    this.#runtimeClasses = ctx.informers.of(RUNTIMECLASSES);
    this.#recorder = ctx.recorder(DEFAULT_SCHEDULER);
    // One decision at a time; requests to bind overlap.
    this.#loop = new ControlLoop(ctx, 'scheduler', (key) => this.#sync(key));
    this.#pods.addHandler({
      add: (pod) => this.#podChanged(pod),
      update: (old, pod) => {
        if (old.metadata.uid !== pod.metadata.uid) this.#podGone(old);
        this.#podChanged(pod);
      },
      delete: (pod) => this.#podGone(pod),
    });
    this.#nodes.addHandler({
      add: () => this.#retryWaiting(),
      update: (old, node) => {
        if (affectsScheduling(old, node)) this.#retryWaiting();
      },
    });
    this.#runtimeClasses.addHandler({ add: () => this.#retryWaiting(), update: () => this.#retryWaiting() });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  #podChanged(pod: Stored<Pod>): void {
    const key = keyOf(pod);
    if (isPodTerminal(pod)) {
      this.#waiting.delete(key);
      this.#release(key);
    } else if (pod.spec.nodeName) {
      this.#waiting.delete(key);
      this.#place(key, pod.spec.nodeName, requestsOf(pod));
    } else if (isOurs(pod) && !this.#waiting.has(key)) this.#enqueue(key);
  }

  #podGone(pod: Stored<Pod>): void {
    this.#waiting.delete(keyOf(pod));
    this.#backoff.delete(keyOf(pod));
    this.#release(keyOf(pod));
  }

  #place(key: string, node: string, requests: Requests): void {
    const before = this.#placed.get(key);
    if (before?.node === node) return;
    if (before) this.#release(key);
    this.#placed.set(key, { node, ...requests });
    const load = this.#loads.get(node) ?? { pods: 0, cpu: 0, memory: 0 };
    load.pods++;
    load.cpu += requests.cpu;
    load.memory += requests.memory;
    this.#loads.set(node, load);
  }

  #release(key: string): void {
    const placed = this.#placed.get(key);
    if (!placed) return;
    this.#placed.delete(key);
    const load = this.#loads.get(placed.node)!;
    load.pods--;
    load.cpu -= placed.cpu;
    load.memory -= placed.memory;
    this.#retryWaiting();
  }

  #retryWaiting(): void {
    for (const key of this.#waiting) this.#enqueue(key);
    this.#waiting.clear();
  }

  /** Not before its back-off is over. */
  #enqueue(key: string): void {
    const leftUs = (this.#backoff.get(key)?.untilUs ?? 0) - this.#ctx.clock.nowUs();
    if (leftUs > 0) this.#loop.queue.addAfter(key, leftUs);
    else this.#loop.queue.add(key);
  }

  async #sync(key: string): Promise<void> {
    const pod = this.#pods.get(key);
    if (!pod || pod.spec.nodeName || !isOurs(pod) || this.#placed.has(key)) return;
    const requests = requestsOf(pod);
    const found = this.#choose(pod, requests);
    if (typeof found === 'string') {
      this.#waiting.add(key);
      if (this.#nodes.list().length > 0) this.#backOff(key);
      await this.#unschedulable(pod, found);
      return;
    }
    this.#backoff.delete(key);
    this.#place(key, found.metadata.name, requests);
    void this.#bind(key, pod, found.metadata.name);
  }

  #backOff(key: string): void {
    const tries = (this.#backoff.get(key)?.tries ?? 0) + 1;
    const untilUs = this.#ctx.clock.nowUs() + Math.min(MAX_BACKOFF_US, BACKOFF_US * 2 ** (tries - 1));
    this.#backoff.set(key, { tries, untilUs });
  }

  /** The Node, or why there is none. */
  #choose(pod: Stored<Pod>, requests: Requests): Stored<Node> | string {
    const runtimeClass = pod.spec.runtimeClassName ? this.#runtimeClasses.get(pod.spec.runtimeClassName) : undefined;
    const refusals: string[][] = [];
    let best: Stored<Node>[] = [];
    let fewest = Number.POSITIVE_INFINITY;
    const nodes = this.#nodes.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const node of nodes) {
      const load: NodeLoad = { node, ...(this.#loads.get(node.metadata.name) ?? { pods: 0, cpu: 0, memory: 0 }) };
      const reasons = filterNode(pod, requests, load, runtimeClass);
      if (reasons.length > 0) refusals.push(reasons);
      else if (load.pods < fewest) {
        fewest = load.pods;
        best = [node];
      } else if (load.pods === fewest) best.push(node);
    }
    if (best.length === 0) return fitError(refusals);
    return best.length === 1 ? best[0]! : best[this.#ctx.rng.below(best.length)]!;
  }

  async #bind(key: string, pod: Stored<Pod>, node: string): Promise<void> {
    try {
      const { resourceVersion: _, ...metadata } = pod.metadata;
      await this.#ctx.client.update(PODS, { ...pod, metadata, spec: { ...pod.spec, nodeName: node } }, 'binding');
      const { namespace, name } = pod.metadata;
      this.#recorder.normal(pod, 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      this.#release(key);
      if (isStatus(error, 'NotFound')) return;
      if (!isStatus(error, 'Conflict')) {
        const why = error instanceof Error ? error.message : String(error);
        this.#recorder.warning(pod, 'FailedScheduling', `binding rejected: ${why}`);
        this.#ctx.onError?.(error, `bind ${key}`);
      }
      this.#loop.queue.addRateLimited(key);
    }
  }

  async #unschedulable(pod: Stored<Pod>, message: string): Promise<void> {
    this.#recorder.warning(pod, 'FailedScheduling', message);
    const current = condition(pod.status?.conditions, 'PodScheduled');
    if (current?.status === 'False' && current.message === message) return;
    const now = formatTime(this.#ctx.clock.unixMs());
    const lastTransitionTime = current?.status === 'False' ? (current.lastTransitionTime ?? now) : now;
    const fresh = {
      type: 'PodScheduled',
      status: 'False',
      lastProbeTime: null,
      lastTransitionTime,
      reason: 'Unschedulable',
      message,
    };
    const patch = { status: { conditions: [fresh] } };
    await tolerate(
      this.#ctx.client.patch(PODS, pod.metadata.namespace, pod.metadata.name, 'strategic', patch, 'status'),
      'NotFound',
    );
  }
}

function isOurs(pod: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp === undefined && (pod.spec.schedulerName ?? DEFAULT_SCHEDULER) === DEFAULT_SCHEDULER
  );
}

function affectsScheduling(old: Node, now: Node): boolean {
  const view = (n: Node) =>
    JSON.stringify([n.spec?.unschedulable ?? false, n.spec?.taints, n.metadata.labels, n.status?.allocatable]);
  return view(old) !== view(now);
}
