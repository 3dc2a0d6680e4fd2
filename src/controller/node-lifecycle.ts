// The node lifecycle controller, as far as a Node's own word goes: its condition Ready and spec.unschedulable become taints,
// and the Pods of a Node that is not ready are marked not ready, which takes them out of the Services. After
// pkg/controller/nodelifecycle/node_lifecycle_controller.go (1.32).
// Leaves out: leases (a Node that falls silent is not noticed). What the taints do to Pods: taint-eviction.ts.
import { isDeepStrictEqual } from 'node:util';
import type { Node, Pod } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { condition, isPodReady } from '../api/pod.ts';
import { NODES, PODS } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Informer } from '../client/informer.ts';
import { BY_NODE, type Controller, type ControllerContext, inOrder } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';
import type { EventRecorder } from './events.ts';
import { TAINT_UNSCHEDULABLE, type Taint } from './scheduler/filter.ts';

const TAINT_NOT_READY = 'node.kubernetes.io/not-ready';
const TAINT_UNREACHABLE = 'node.kubernetes.io/unreachable';
const OURS = new Set([TAINT_NOT_READY, TAINT_UNREACHABLE, TAINT_UNSCHEDULABLE]);

export class NodeLifecycleController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #nodes: Informer<Node>;
  readonly #pods: Informer<Pod>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#nodes = ctx.informers.of(NODES);
    this.#pods = ctx.informers.of(PODS);
    this.#recorder = ctx.recorder('node-controller');
    this.#loop = new ControlLoop(ctx, 'node', (name) => this.#sync(name));
    this.#nodes.addHandler({
      add: (node) => {
        const { name } = node.metadata;
        const subject = { ...node, metadata: { name, uid: name } }; // as kubectl describe node looks for it
        this.#recorder.normal(subject, 'RegisteredNode', `Node ${name} event: Registered Node ${name} in Controller`);
        this.#loop.queue.add(name);
      },
      update: (_, node) => this.#loop.queue.add(node.metadata.name),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    if (!node) return;
    const old = (node.spec?.taints ?? []) as Taint[];
    const taints = [...old.filter((t) => !OURS.has(t.key)), ...taintsOf(node)];
    if (!isDeepStrictEqual(new Set(old), new Set(taints))) {
      const patch = { spec: { taints: taints.length > 0 ? taints : null } };
      await tolerate(this.#ctx.client.patch(NODES, undefined, name, 'merge', patch), 'NotFound');
    }
    const ready = condition(node.status?.conditions, 'Ready');
    if (ready && ready.status !== 'True') await this.#markPodsNotReady(node);
  }

  async #markPodsNotReady(node: Stored<Node>): Promise<void> {
    for (const pod of inOrder(this.#pods.byIndex(BY_NODE, node.metadata.name))) {
      if (!isPodReady(pod)) continue;
      this.#recorder.warning(pod, 'NodeNotReady', 'Node is not ready');
      const lastTransitionTime = formatTime(this.#ctx.clock.unixMs());
      const patch = { status: { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime }] } };
      const { namespace, name } = pod.metadata;
      await tolerate(this.#ctx.client.patch(PODS, namespace, name, 'strategic', patch, 'status'), 'NotFound');
    }
  }
}

function taintsOf(node: Node): Taint[] {
  const taints: Taint[] = [];
  const ready = condition(node.status?.conditions, 'Ready')?.status;
  if (ready === 'False' || ready === 'Unknown') {
    const key = ready === 'False' ? TAINT_NOT_READY : TAINT_UNREACHABLE;
    taints.push({ key, effect: 'NoSchedule' }, { key, effect: 'NoExecute' });
  }
  if (node.spec?.unschedulable) taints.push({ key: TAINT_UNSCHEDULABLE, effect: 'NoSchedule' });
  return taints;
}
