// Takes Pods off Nodes whose NoExecute taints they do not tolerate, at once or when their tolerationSeconds are over: what
// `kubectl taint ... :NoExecute` asks for, and what follows when a Node is not ready for five minutes. After
// pkg/controller/tainteviction/taint_eviction.go (1.32).
import type { Node, Pod } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { NODES, PODS } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import { BY_NODE, type Controller, type ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';
import type { EventRecorder } from './events.ts';
import { type Taint, tolerates } from './scheduler/filter.ts';

export class TaintEvictionController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #nodes: Informer<Node>;
  readonly #pods: Informer<Pod>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;
  /** By Pod UID: since when it has been on a Node that it only tolerates for a time. */
  readonly #since = new Map<string, number>();

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#nodes = ctx.informers.of(NODES);
    this.#pods = ctx.informers.of(PODS);
    this.#recorder = ctx.recorder('taint-eviction-controller');
    this.#loop = new ControlLoop(ctx, 'taint eviction', (key) => this.#sync(key));
    const all = (node: Stored<Node>) => {
      for (const pod of this.#pods.byIndex(BY_NODE, node.metadata.name)) this.#loop.queue.add(keyOf(pod));
    };
    this.#nodes.addHandler({
      add: (node) => {
        if (noExecute(node).length > 0) all(node);
      },
      update: (old, node) => {
        if (JSON.stringify(noExecute(old)) !== JSON.stringify(noExecute(node))) all(node);
      },
    });
    this.#pods.addHandler({
      add: (pod) => this.#loop.queue.add(keyOf(pod)),
      update: (old, pod) => {
        if (old.spec.nodeName !== pod.spec.nodeName || old.spec.tolerations !== pod.spec.tolerations) {
          this.#loop.queue.add(keyOf(pod));
        }
      },
      delete: (pod) => this.#since.delete(pod.metadata.uid),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const pod = this.#pods.get(key);
    if (!pod?.spec.nodeName || pod.metadata.deletionTimestamp !== undefined) return;
    const node = this.#nodes.get(pod.spec.nodeName);
    const taints = node ? noExecute(node) : [];
    const { uid } = pod.metadata;
    if (taints.length === 0) {
      if (this.#since.delete(uid)) {
        this.#recorder.normal(pod, 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`);
      }
      return;
    }
    const seconds = toleratedFor(pod, taints);
    if (seconds === undefined) return;
    const nowUs = this.#ctx.clock.nowUs();
    const since = this.#since.get(uid) ?? nowUs;
    const leftUs = since + seconds * 1e6 - nowUs;
    if (leftUs > 0) {
      this.#since.set(uid, since);
      this.#loop.queue.addAfter(key, leftUs);
      return;
    }
    this.#since.delete(uid);
    await this.#evict(key, pod);
  }

  async #evict(key: string, pod: Stored<Pod>): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    this.#recorder.normal(pod, 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
    const disruption = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByTaintManager',
      message: 'Taint manager: deleting due to NoExecute taint',
      lastTransitionTime: formatTime(this.#ctx.clock.unixMs()),
    };
    const { client } = this.#ctx;
    const patch = { status: { conditions: [disruption] } };
    await tolerate(client.patch(PODS, namespace, name, 'strategic', patch, 'status'), 'NotFound');
    await tolerate(client.delete(PODS, namespace, name, { preconditions: { uid } }), 'NotFound', 'Conflict');
  }
}

function noExecute(node: Node): Taint[] {
  return ((node.spec?.taints ?? []) as Taint[]).filter((taint) => taint.effect === 'NoExecute');
}

/** Seconds for which the Pod may stay: 0 when it does not tolerate one of the taints, undefined for ever. */
function toleratedFor({ spec }: Pod, taints: readonly Taint[]): number | undefined {
  const tolerations = spec.tolerations ?? [];
  let least: number | undefined;
  for (const taint of taints) {
    const matching = tolerations.filter((toleration) => tolerates([toleration], taint));
    if (matching.length === 0) return 0;
    for (const { tolerationSeconds } of matching) {
      if (tolerationSeconds !== undefined) least = Math.min(least ?? tolerationSeconds, Math.max(0, tolerationSeconds));
    }
  }
  return least;
}
