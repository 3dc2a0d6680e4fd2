// The Pods of a workload: which are its own by their controller reference, which it takes over or lets go, and which changes of
// Pods concern it. What ReplicaSets, StatefulSets, DaemonSets and Jobs share. After PodControllerRefManager in
// pkg/controller/controller_ref_manager.go and the Pod handlers of pkg/controller/replicaset/replica_set.go (1.32).
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from '../api/core-v1.ts';
import type { KubeObject, LabelSelector, ResourceType, Stored } from '../api/meta.ts';
import { isPodReady } from '../api/pod.ts';
import { PODS } from '../api/resources.ts';
import { labelSelectorMatcher } from '../api/selectors.ts';
import { isStatus } from '../api/status-error.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import { BY_NAMESPACE, BY_OWNER, type ControllerContext, inOrder } from './context.ts';
import { tolerate } from './control-loop.ts';
import { controllerOf, controllerRef } from './owner.ts';

export type Workload = KubeObject & { spec: { selector?: LabelSelector; minReadySeconds?: number } };

export interface OwnedPodsHandler {
  /** Look at the owner again. */
  enqueue(key: string): void;
  /** A Pod that names the owner has appeared; the owner itself may not have been seen yet. */
  created?(ownerKey: string): void;
  /** Look at the owner again then: a Pod has become ready, and counts as available after spec.minReadySeconds. */
  enqueueAfter?(key: string, afterUs: number): void;
  /** A Pod is being deleted, or has gone: both are told. */
  gone?(ownerKey: string, pod: Stored<Pod>): void;
}

export class OwnedPods<W extends Workload> {
  readonly #ctx: ControllerContext;
  readonly #type: ResourceType<W>;
  readonly #owners: Informer<W>;
  readonly #pods: Informer<Pod>;
  readonly #handler: OwnedPodsHandler;

  constructor(ctx: ControllerContext, type: ResourceType<W>, handler: OwnedPodsHandler) {
    this.#ctx = ctx;
    this.#type = type;
    this.#owners = ctx.informers.of(type);
    this.#pods = ctx.informers.of(PODS);
    this.#handler = handler;
    this.#pods.addHandler({
      add: (pod) => this.#added(pod),
      update: (old, pod) => this.#updated(old, pod),
      delete: (pod) => this.#gone(pod),
    });
  }

  /** Every Pod whose controller it is, oldest first. */
  of(owner: Stored<W>): Stored<Pod>[] {
    return inOrder(this.#pods.byIndex(BY_OWNER, owner.metadata.uid));
  }

  /** Its Pods among the `eligible` ones, after adopting and releasing. One that is being deleted adopts nothing. */
  async claim(owner: Stored<W>, eligible: (pod: Stored<Pod>) => boolean): Promise<Stored<Pod>[]> {
    const selector = labelSelectorMatcher(owner.spec.selector);
    const stays = owner.metadata.deletionTimestamp === undefined;
    const kept: Stored<Pod>[] = [];
    for (const pod of this.of(owner)) {
      if (!eligible(pod)) continue;
      if (selector.matches(pod.metadata.labels)) kept.push(pod);
      else if (stays) await this.#release(owner, pod);
    }
    if (!stays) return kept;
    // Pods without a controller are few; the index '' holds them for all namespaces.
    for (const pod of this.#pods.byIndex(BY_OWNER, '')) {
      if (pod.metadata.namespace !== owner.metadata.namespace || pod.metadata.deletionTimestamp) continue;
      if (!eligible(pod) || !selector.matches(pod.metadata.labels)) continue;
      const adopted = await this.#adopt(owner, pod);
      if (adopted) kept.push(adopted);
    }
    return kept;
  }

  async #release(owner: Stored<W>, pod: Stored<Pod>): Promise<void> {
    const ownerReferences = (pod.metadata.ownerReferences ?? []).filter((o) => o.uid !== owner.metadata.uid);
    const patch = { metadata: { uid: pod.metadata.uid, ownerReferences } };
    const { namespace, name } = pod.metadata;
    await tolerate(this.#ctx.client.patch(PODS, namespace, name, 'merge', patch), 'NotFound', 'Conflict');
  }

  async #adopt(owner: Stored<W>, pod: Stored<Pod>): Promise<Stored<Pod> | undefined> {
    const ownerReferences = [...(pod.metadata.ownerReferences ?? []), controllerRef(owner, this.#type)];
    const patch = { metadata: { uid: pod.metadata.uid, ownerReferences } };
    try {
      return await this.#ctx.client.patch(PODS, pod.metadata.namespace, pod.metadata.name, 'merge', patch);
    } catch (error) {
      if (isStatus(error, 'NotFound') || isStatus(error, 'Conflict')) return undefined;
      throw error;
    }
  }

  #ownerOf(pod: Stored<Pod>): Stored<W> | undefined {
    const ref = controllerOf(pod);
    if (ref?.kind !== this.#type.kind) return undefined;
    const owner = this.#owners.get(`${pod.metadata.namespace}/${ref.name}`);
    return owner?.metadata.uid === ref.uid ? owner : undefined;
  }

  #added(pod: Stored<Pod>): void {
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#gone(pod);
      return;
    }
    // By name, not through the informer: the Pod may be seen before its owner.
    const ref = controllerOf(pod);
    if (ref?.kind === this.#type.kind) {
      const key = `${pod.metadata.namespace}/${ref.name}`;
      this.#handler.created?.(key);
      this.#handler.enqueue(key);
    } else if (!ref) this.#enqueueMatching(pod);
  }

  #updated(old: Stored<Pod>, pod: Stored<Pod>): void {
    if (old.metadata.uid !== pod.metadata.uid) {
      this.#gone(old);
      this.#added(pod);
      return;
    }
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#gone(pod);
      return;
    }
    const owner = this.#ownerOf(pod);
    const before = this.#ownerOf(old);
    if (before && before !== owner) this.#handler.enqueue(keyOf(before));
    if (owner) {
      this.#handler.enqueue(keyOf(owner));
      const { minReadySeconds = 0 } = owner.spec;
      // A second more: the times of conditions are cut to whole ones.
      if (minReadySeconds > 0 && !isPodReady(old) && isPodReady(pod))
        this.#handler.enqueueAfter?.(keyOf(owner), (minReadySeconds + 1) * 1e6);
      return;
    }
    const orphan = !controllerOf(pod);
    const relabelled = orphan && !isDeepStrictEqual(old.metadata.labels, pod.metadata.labels);
    if (relabelled || (orphan && controllerOf(old))) this.#enqueueMatching(pod);
  }

  #gone(pod: Stored<Pod>): void {
    const owner = this.#ownerOf(pod);
    if (!owner) return;
    this.#handler.gone?.(keyOf(owner), pod);
    this.#handler.enqueue(keyOf(owner));
  }

  /** An orphan may be adopted by any owner that selects it. */
  #enqueueMatching(pod: Stored<Pod>): void {
    for (const owner of this.#owners.byIndex(BY_NAMESPACE, pod.metadata.namespace!)) {
      if (labelSelectorMatcher(owner.spec.selector).matches(pod.metadata.labels)) this.#handler.enqueue(keyOf(owner));
    }
  }
}
