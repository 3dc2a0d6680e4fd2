// The garbage collector: an object whose owners are all gone is deleted. After
// pkg/controller/garbagecollector/garbagecollector.go (1.32).
//
// Background: an owner goes at once, its dependents after it. Foreground: the owner keeps the finalizer foregroundDeletion
// until every dependent with blockOwnerDeletion is gone. Orphan: it keeps `orphan` until its dependents no longer name it.
// An owner that no watch has shown is asked for before it is taken for gone. An owner in another namespace counts as gone.
// Leaves out: Events as dependents or owners, and the event OwnerRefInvalidNamespace.
import type { KubeObject, OwnerReference, ResourceType, Stored } from '../../api/meta.ts';
import { EVENTS, RESOURCES, resourceOfKind } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import type { DeleteOptions } from '../../client/client.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, tolerate } from '../control-loop.ts';
import { FINALIZER_FOREGROUND, FINALIZER_ORPHAN, hasFinalizer } from './finalizers.ts';
import { type GraphNode, OwnerGraph, ownerUids, waitsForDependents } from './graph.ts';

const WORKERS = 20; // as --concurrent-gc-syncs

export class GarbageCollector implements Controller {
  readonly #ctx: ControllerContext;
  readonly #graph = new OwnerGraph();
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#loop = new ControlLoop(ctx, 'garbage collector', (uid) => this.#attempt(uid), WORKERS);
    for (const type of RESOURCES) {
      if (type === EVENTS) continue;
      ctx.informers.of<KubeObject>(type).addHandler({
        add: (object) => this.#observe(type, object),
        update: (old, object) => {
          if (old.metadata.uid !== object.metadata.uid) this.#gone(old);
          this.#observe(type, object);
        },
        delete: (object) => this.#gone(object),
      });
    }
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  #observe(type: ResourceType, object: Stored): void {
    const node = this.#graph.put(type, object);
    if (object.metadata.deletionTimestamp !== undefined) {
      if (hasFinalizer(object, FINALIZER_ORPHAN)) this.#loop.queue.add(node.uid);
      if (waitsForDependents(object)) {
        this.#loop.queue.add(node.uid);
        for (const dependent of node.dependents) this.#loop.queue.add(dependent.uid);
      }
    }
    const suspect = ownerUids(object).some((uid) => {
      const owner = this.#graph.get(uid)?.object;
      return !owner || waitsForDependents(owner);
    });
    if (suspect) this.#loop.queue.add(node.uid);
  }

  #gone(object: Stored): void {
    const node = this.#graph.remove(object.metadata.uid);
    for (const dependent of node?.dependents ?? []) this.#loop.queue.add(dependent.uid);
    for (const uid of ownerUids(object)) {
      if (waitsForDependents(this.#graph.get(uid)?.object)) this.#loop.queue.add(uid);
    }
  }

  async #attempt(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    const { object, type } = node ?? {};
    if (!node || !object || !type) return;
    if (object.metadata.deletionTimestamp !== undefined) {
      if (hasFinalizer(object, FINALIZER_ORPHAN)) await this.#orphanDependents(node, type, object);
      else if (waitsForDependents(object)) await this.#finishForeground(node, type, object);
      return;
    }
    const owners = object.metadata.ownerReferences ?? [];
    if (owners.length === 0) return;
    const solid: OwnerReference[] = [];
    let waiting = 0;
    for (const ref of owners) {
      const owner = await this.#find(ref, object);
      if (!owner) continue;
      if (waitsForDependents(owner)) waiting++;
      else solid.push(ref);
    }
    if (solid.length === owners.length) return;
    if (solid.length > 0) await this.#patch(type, object, { ownerReferences: solid });
    else await this.#delete(type, object, waiting > 0 && node.dependents.size > 0);
  }

  /** The owner as far as it exists: from the graph, else from the API. */
  async #find(ref: OwnerReference, dependent: Stored): Promise<KubeObject | undefined> {
    const type = resourceOfKind(ref.apiVersion, ref.kind);
    // A kind we do not serve cannot be judged; the dependent is left alone.
    if (!type) return dependent;
    const namespace = type.namespaced ? dependent.metadata.namespace : undefined;
    const known = this.#graph.get(ref.uid)?.object;
    if (known) return known.metadata.namespace === namespace ? known : undefined;
    try {
      const found = await this.#ctx.client.get(type, namespace, ref.name);
      return found.metadata.uid === ref.uid ? found : undefined;
    } catch (error) {
      if (isStatus(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #delete(type: ResourceType, object: Stored, foreground: boolean): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    let propagationPolicy: NonNullable<DeleteOptions['propagationPolicy']> = foreground ? 'Foreground' : 'Background';
    if (hasFinalizer(object, FINALIZER_ORPHAN)) propagationPolicy = 'Orphan';
    else if (hasFinalizer(object, FINALIZER_FOREGROUND)) propagationPolicy = 'Foreground';
    await tolerate(
      this.#ctx.client.delete(type, namespace, name, { propagationPolicy, preconditions: { uid } }),
      'NotFound',
    );
  }

  async #finishForeground(node: GraphNode, type: ResourceType, object: Stored): Promise<void> {
    const blocks = (dependent: GraphNode) =>
      dependent.object?.metadata.ownerReferences?.some((o) => o.uid === node.uid && o.blockOwnerDeletion === true) ??
      false;
    if ([...node.dependents].some(blocks)) return;
    await this.#dropFinalizer(type, object, FINALIZER_FOREGROUND);
  }

  async #orphanDependents(node: GraphNode, type: ResourceType, object: Stored): Promise<void> {
    for (const dependent of node.dependents) {
      if (!dependent.object || !dependent.type) continue;
      const refs = dependent.object.metadata.ownerReferences ?? [];
      await this.#patch(dependent.type, dependent.object, { ownerReferences: refs.filter((o) => o.uid !== node.uid) });
    }
    await this.#dropFinalizer(type, object, FINALIZER_ORPHAN);
  }

  async #dropFinalizer(type: ResourceType, object: Stored, finalizer: string): Promise<void> {
    const finalizers = (object.metadata.finalizers ?? []).filter((f) => f !== finalizer);
    await this.#patch(type, object, { finalizers });
  }

  /** Replaces metadata lists; a conflict when the object has moved on, and then it is looked at again. */
  async #patch(type: ResourceType, object: Stored, metadata: Partial<KubeObject['metadata']>): Promise<void> {
    const { namespace, name, resourceVersion } = object.metadata;
    const patch = { metadata: { ...metadata, resourceVersion } };
    await tolerate(this.#ctx.client.patch(type, namespace, name, 'merge', patch), 'NotFound');
  }
}
