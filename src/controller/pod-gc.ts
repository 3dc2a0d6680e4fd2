// Pod garbage collection: removes Pods that no kubelet will ever remove. After pkg/controller/podgc/gc_controller.go (1.32):
// those on a Node that is gone (after 40 s, in case it comes back), those being deleted that never got a Node, and the
// oldest finished ones beyond 12,500.
import type { Node, Pod } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { isPodTerminal } from '../api/pod.ts';
import { NODES, PODS } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Informer } from '../client/informer.ts';
import type { Timer } from '../lib/clock.ts';
import { BY_NODE, type Controller, type ControllerContext, inOrder } from './context.ts';
import { tolerate } from './control-loop.ts';

const PERIOD_US = 20e6;
const QUARANTINE_US = 40e6;
const TERMINATED_THRESHOLD = 12_500;

export class PodGarbageCollector implements Controller {
  readonly #ctx: ControllerContext;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  /** Node name: since when Pods have been seen there without it. */
  readonly #missing = new Map<string, number>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#pods = ctx.informers.of(PODS);
    this.#nodes = ctx.informers.of(NODES);
  }

  run(): void {
    if (!this.#timer && !this.#closed) this.#timer = this.#ctx.clock.after(PERIOD_US, () => void this.#round());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #round(): Promise<void> {
    try {
      await this.#collect();
    } catch (error) {
      this.#ctx.onError?.(error, 'pod garbage collection');
    }
    this.#timer = undefined;
    this.run();
  }

  async #collect(): Promise<void> {
    const pods = this.#pods.list();
    for (const pod of inOrder(pods)) {
      const node = pod.spec.nodeName;
      if (!node && pod.metadata.deletionTimestamp !== undefined) await this.#remove(pod, false);
    }
    for (const node of this.#goneNodes(pods)) {
      for (const pod of inOrder(this.#pods.byIndex(BY_NODE, node))) await this.#remove(pod, true);
    }
    const finished = inOrder(pods.filter((p) => isPodTerminal(p) && p.metadata.deletionTimestamp === undefined));
    for (const pod of finished.slice(0, Math.max(0, finished.length - TERMINATED_THRESHOLD))) {
      await this.#remove(pod, false);
    }
  }

  #goneNodes(pods: readonly Stored<Pod>[]): string[] {
    const nowUs = this.#ctx.clock.nowUs();
    const used = new Set(pods.map((p) => p.spec.nodeName ?? '').filter((n) => n !== ''));
    for (const node of this.#missing.keys()) if (!used.has(node)) this.#missing.delete(node);
    const gone: string[] = [];
    for (const node of used) {
      if (this.#nodes.get(node)) this.#missing.delete(node);
      else if (!this.#missing.has(node)) this.#missing.set(node, nowUs);
      else if (nowUs - this.#missing.get(node)! >= QUARANTINE_US) gone.push(node);
    }
    return gone;
  }

  async #remove(pod: Stored<Pod>, orphaned: boolean): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    if (!isPodTerminal(pod) && orphaned) {
      const disruption = {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'DeletionByPodGC',
        message: 'PodGC: node no longer exists',
        lastTransitionTime: formatTime(this.#ctx.clock.unixMs()),
      };
      const patch = { status: { phase: 'Failed', conditions: [disruption] } };
      await tolerate(this.#ctx.client.patch(PODS, namespace, name, 'strategic', patch, 'status'), 'NotFound');
    }
    await tolerate(
      this.#ctx.client.delete(PODS, namespace, name, { gracePeriodSeconds: 0, preconditions: { uid } }),
      'NotFound',
      'Conflict',
    );
  }
}
