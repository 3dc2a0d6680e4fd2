// The namespace controller: empties a Namespace that is being deleted, then lets it go. After
// pkg/controller/namespace/deletion/namespaced_resources_deleter.go (1.32). Pods end with their own grace; each that goes
// starts another round, and a slow retry is the safety net for what finalizers keep.
// Leaves out: the ordered deletion of 1.33, and the conditions about discovery, which cannot fail here.
import { isDeepStrictEqual } from 'node:util';
import type { Namespace } from '../api/core-v1.ts';
import type { Condition, Stored } from '../api/meta.ts';
import { condition } from '../api/pod.ts';
import { NAMESPACES, PODS, RESOURCES } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Informer } from '../client/informer.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';
import { withCondition } from './deployment/status.ts';

const FINALIZER = 'kubernetes';
/** namespaceDeletionGracePeriod of namespace_controller.go: what is inside stays for a while, so that a client that deletes the
 * Namespace and then its objects one by one (`kubectl delete -f`) finds them. */
const GRACE_US = 5e6;
const RETRY_US = 1e6;
const WORKERS = 10; // as --concurrent-namespace-syncs

export class NamespaceController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #namespaces: Informer<Namespace>;
  readonly #loop: ControlLoop;
  /** Those whose grace has passed. */
  readonly #emptying = new Set<string>();

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#namespaces = ctx.informers.of(NAMESPACES);
    this.#loop = new ControlLoop(ctx, 'namespace', (name) => this.#sync(name), WORKERS);
    const enqueue = (ns: Stored<Namespace>) => {
      if (ns.metadata.deletionTimestamp !== undefined) this.#loop.queue.addAfter(ns.metadata.name, GRACE_US);
    };
    this.#namespaces.addHandler({
      add: enqueue,
      update: (_, ns) => enqueue(ns),
      delete: (ns) => this.#emptying.delete(ns.metadata.name),
    });
    ctx.informers.of(PODS).addHandler({
      delete: (pod) => {
        const namespace = pod.metadata.namespace!;
        if (this.#emptying.has(namespace)) this.#loop.queue.add(namespace);
      },
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(name: string): Promise<void> {
    const ns = this.#namespaces.get(name);
    const finalizers = ns?.spec?.finalizers ?? [];
    if (!ns || ns.metadata.deletionTimestamp === undefined || !finalizers.includes(FINALIZER)) return;
    this.#emptying.add(name);
    const remaining = await this.#empty(name);
    if (remaining.size > 0) {
      await this.#report(ns, remaining);
      this.#loop.queue.addAfter(name, RETRY_US);
      return;
    }
    const spec = { ...ns.spec, finalizers: finalizers.filter((f) => f !== FINALIZER) };
    await tolerate(this.#ctx.client.update(NAMESPACES, { ...ns, spec }, 'finalize'), 'NotFound');
  }

  /** Deletes everything there is; returns how much is left of each resource. */
  async #empty(namespace: string): Promise<Map<string, number>> {
    const { client } = this.#ctx;
    const remaining = new Map<string, number>();
    const empty = async (type: (typeof RESOURCES)[number]) => {
      const { items } = await client.list(type, { namespace });
      if (items.length === 0) return;
      await Promise.all(
        items
          .filter((o) => o.metadata.deletionTimestamp === undefined)
          .map((o) => {
            const deletion = client.delete(type, namespace, o.metadata.name, { propagationPolicy: 'Background' });
            return tolerate(deletion, 'NotFound', 'Conflict');
          }),
      );
      const left = (await client.list(type, { namespace })).items.length;
      if (left > 0) remaining.set(type.group === '' ? type.resource : `${type.resource}.${type.group}`, left);
    };
    await Promise.all(RESOURCES.filter((type) => type.namespaced).map(empty));
    return remaining;
  }

  async #report(ns: Stored<Namespace>, remaining: ReadonlyMap<string, number>): Promise<void> {
    const now = formatTime(this.#ctx.clock.unixMs());
    const counts = [...remaining].map(([resource, n]) => `${resource} has ${n} resource instances`).sort();
    const fresh: Condition = {
      type: 'NamespaceContentRemaining',
      status: 'True',
      lastTransitionTime: now,
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${counts.join(', ')}`,
    };
    const old = ns.status?.conditions ?? [];
    const stale = condition(old, fresh.type)?.message !== fresh.message;
    const conditions = withCondition(stale ? old.filter((c) => c.type !== fresh.type) : old, fresh);
    if (isDeepStrictEqual(old, conditions)) return;
    const object = { ...ns, status: { ...ns.status, conditions } };
    await tolerate(this.#ctx.client.update(NAMESPACES, object, 'status'), 'NotFound', 'Conflict');
  }
}
