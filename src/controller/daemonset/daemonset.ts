// The DaemonSet controller: one Pod on every Node that fits. After pkg/controller/daemon/{daemon_controller,update}.go (1.32).
//
// One round: sort the Pods by the Node they are meant for; create where one is missing, delete what is too much, has ended
// or must leave; with RollingUpdate replace old Pods, as many at a time as maxUnavailable (old one first) or maxSurge (new one
// first) allows; write the status.
// Leaves out: the back-off of Pods that fail again and again on one Node.
import { isDeepStrictEqual } from 'node:util';
import type { DaemonSet } from '../../api/apps-v1.ts';
import type { Node, Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodAvailable, isPodReady, isPodTerminal } from '../../api/pod.ts';
import { DAEMONSETS, NODES, PODS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import { scaled } from '../deployment/rolling.ts';
import type { EventRecorder } from '../events.ts';
import { OwnedPods } from '../owned-pods.ts';
import { Expectations } from '../replicaset/expectations.ts';
import { nonZero } from '../replicaset/status.ts';
import { REVISION_HASH, RevisionHistory, type Revisions } from '../revision-history.ts';
import { daemonPod, placement, targetNode } from './nodes.ts';

const WORKERS = 2;

/** A Node, and the DaemonSet's Pods there, oldest first. */
interface Place {
  readonly name: string;
  readonly run: boolean;
  readonly stay: boolean;
  readonly pods: Stored<Pod>[];
}

interface Changes {
  readonly create: string[];
  readonly remove: Stored<Pod>[];
}

export class DaemonSetController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #sets: Informer<DaemonSet>;
  readonly #nodes: Informer<Node>;
  readonly #owned: OwnedPods<DaemonSet>;
  readonly #history: RevisionHistory<DaemonSet>;
  readonly #expectations: Expectations;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#sets = ctx.informers.of(DAEMONSETS);
    this.#nodes = ctx.informers.of(NODES);
    this.#history = new RevisionHistory(ctx, DAEMONSETS, REVISION_HASH);
    this.#expectations = new Expectations(ctx.clock);
    this.#recorder = ctx.recorder('daemonset-controller');
    this.#loop = new ControlLoop(ctx, 'daemonset', (key) => this.#sync(key), WORKERS);
    const enqueue = (set: Stored<DaemonSet>) => this.#loop.queue.add(keyOf(set));
    this.#sets.addHandler({
      add: enqueue,
      update: (old, set) => {
        if (old.metadata.uid !== set.metadata.uid) this.#expectations.forget(keyOf(old));
        enqueue(set);
      },
      delete: (set) => this.#expectations.forget(keyOf(set)),
    });
    const all = () => {
      for (const set of this.#sets.list()) enqueue(set);
    };
    this.#nodes.addHandler({
      add: all,
      update: (old, node) => {
        const view = (n: Node) => JSON.stringify([n.metadata.labels, n.spec?.taints]);
        if (view(old) !== view(node)) all();
      },
      delete: all,
    });
    this.#owned = new OwnedPods(ctx, DAEMONSETS, {
      enqueue: (key) => this.#loop.queue.add(key),
      created: (key) => this.#expectations.creationObserved(key),
      gone: (key, pod) => this.#expectations.deletionObserved(key, keyOf(pod)),
      enqueueAfter: (key, afterUs) => this.#loop.queue.addAfter(key, afterUs),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const set = this.#sets.get(key);
    if (!set || set.metadata.deletionTimestamp !== undefined) return;
    const revisions = await this.#history.of(set);
    const hash = revisions.update.metadata.labels![REVISION_HASH]!;
    const places = this.#places(set, await this.#owned.claim(set, () => true));
    if (this.#expectations.satisfied(key)) {
      let changes = this.#missingAndSurplus(set, places);
      const idle = changes.create.length + changes.remove.length === 0;
      if (idle && set.spec.updateStrategy?.type === 'RollingUpdate') changes = this.#rolling(set, places, hash);
      await this.#apply(key, set, changes, hash);
    }
    const hashes = new Set(places.flatMap((place) => place.pods).map((pod) => pod.metadata.labels?.[REVISION_HASH]));
    const live = revisions.all.filter((revision) => hashes.has(revision.metadata.labels?.[REVISION_HASH]));
    live.push(revisions.update);
    await this.#history.truncate(set, revisions, new Set(live.map((revision) => revision.metadata.name)));
    await this.#writeStatus(set, places, hash, revisions);
  }

  /** Every Node, also those that have gone but still have Pods. */
  #places(set: Stored<DaemonSet>, pods: readonly Stored<Pod>[]): Place[] {
    const places = new Map<string, Place>();
    const nodes = this.#nodes.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const node of nodes) {
      const { name } = node.metadata;
      places.set(name, { name, ...placement(set, node), pods: [] });
    }
    for (const pod of pods) {
      const name = targetNode(pod);
      const place = places.get(name) ?? { name, run: false, stay: false, pods: [] };
      places.set(name, place);
      place.pods.push(pod);
    }
    return [...places.values()];
  }

  #missingAndSurplus(set: Stored<DaemonSet>, places: readonly Place[]): Changes {
    const create: string[] = [];
    const remove: Stored<Pod>[] = [];
    for (const { name, run, stay, pods } of places) {
      const here = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
      const ended = here.filter(isPodTerminal);
      const going = here.filter((pod) => !ended.includes(pod));
      if (!stay) {
        remove.push(...here);
        continue;
      }
      for (const pod of ended) {
        const how = pod.status?.phase === 'Failed' ? 'failed' : 'succeeded';
        const reason = how === 'failed' ? 'FailedDaemonPod' : 'SucceededDaemonPod';
        this.#recorder.warning(
          set,
          reason,
          `Found ${how} daemon pod ${set.metadata.namespace}/${pod.metadata.name} on node ${name}, will try to kill it`,
        );
      }
      remove.push(...ended);
      if (going.length === 0 && run && ended.length === 0 && pods.length === 0) create.push(name);
      // While one is replaced with maxSurge there may be two: the rolling update deals with them.
      const most = this.#surge(set, 1) > 0 ? 2 : 1;
      remove.push(...going.slice(most));
    }
    return { create, remove };
  }

  #rolling(set: Stored<DaemonSet>, places: readonly Place[], hash: string): Changes {
    const nowMs = this.#ctx.clock.unixMs();
    const minReadySeconds = set.spec.minReadySeconds ?? 0;
    const available = (pod: Pod | undefined) => pod !== undefined && isPodAvailable(pod, minReadySeconds, nowMs);
    const desired = places.filter((place) => place.run);
    const surge = this.#surge(set, desired.length);
    const create: string[] = [];
    const remove: Stored<Pod>[] = [];
    const { maxUnavailable = 1 } = set.spec.updateStrategy?.rollingUpdate ?? {};
    let unavailable = 0;
    let surging = 0;
    const candidates: Place[] = [];
    for (const place of places) {
      const old = place.pods.find((pod) => pod.metadata.labels?.[REVISION_HASH] !== hash);
      const fresh = place.pods.find((pod) => pod.metadata.labels?.[REVISION_HASH] === hash);
      const leaving = place.pods.some((pod) => pod.metadata.deletionTimestamp !== undefined);
      if (surge > 0 && old && fresh) {
        if (available(fresh) && !leaving) remove.push(old);
        else surging++;
      } else if (leaving || !place.pods.some(available)) {
        if (place.run) unavailable++;
        // One that does not work anyway is replaced at once.
        if (old && !leaving && surge === 0) remove.push(old);
        else if (old && !leaving) candidates.push(place);
      } else if (old) candidates.push(place);
    }
    for (const place of candidates) {
      if (surge > 0) {
        if (surging++ < surge) create.push(place.name);
      } else if (unavailable++ < scaled(maxUnavailable, desired.length, 'up')) remove.push(place.pods[0]!);
    }
    return { create, remove };
  }

  #surge(set: DaemonSet, nodes: number): number {
    return scaled(set.spec.updateStrategy?.rollingUpdate?.maxSurge ?? 0, nodes, 'up');
  }

  async #apply(key: string, set: Stored<DaemonSet>, { create, remove }: Changes, hash: string): Promise<void> {
    if (create.length + remove.length === 0) return;
    this.#expectations.expectCreations(key, create.length, remove.map(keyOf));
    const results = await Promise.allSettled([
      ...create.map(async (node) => {
        try {
          const pod = await this.#ctx.client.create(PODS, daemonPod(set, node, hash));
          this.#recorder.normal(set, 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
        } catch (error) {
          this.#expectations.creationObserved(key);
          if (isNamespaceTerminating(error)) return;
          this.#recorder.warning(set, 'FailedCreate', `Error creating: ${(error as Error).message}`);
          throw error;
        }
      }),
      ...remove.map(async (pod) => {
        const { namespace, name, uid } = pod.metadata;
        try {
          await this.#ctx.client.delete(PODS, namespace, name, { preconditions: { uid } });
          this.#recorder.normal(set, 'SuccessfulDelete', `Deleted pod: ${name}`);
        } catch (error) {
          this.#expectations.deletionObserved(key, keyOf(pod));
          if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error;
        }
      }),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #writeStatus(
    set: Stored<DaemonSet>,
    places: readonly Place[],
    hash: string,
    { collisionCount }: Revisions,
  ): Promise<void> {
    const nowMs = this.#ctx.clock.unixMs();
    // The Pod that counts on a Node is the newest that is not being deleted.
    const counted = (place: Place) => place.pods.filter((pod) => pod.metadata.deletionTimestamp === undefined).at(-1);
    const wanted = places.filter((place) => place.run);
    const pods = wanted.map(counted).filter((pod) => pod !== undefined);
    const available = pods.filter((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)).length;
    const updated = pods.filter((pod) => pod.metadata.labels?.[REVISION_HASH] === hash).length;
    const status: NonNullable<DaemonSet['status']> = {
      currentNumberScheduled: pods.length,
      numberMisscheduled: places.filter((place) => !place.run && place.pods.length > 0).length,
      desiredNumberScheduled: wanted.length,
      numberReady: pods.filter(isPodReady).length,
      ...nonZero('observedGeneration', set.metadata.generation ?? 0),
      ...nonZero('updatedNumberScheduled', updated),
      ...nonZero('numberAvailable', available),
      ...nonZero('numberUnavailable', wanted.length - available),
      ...(collisionCount > 0 ? { collisionCount } : {}),
    };
    if (isDeepStrictEqual(set.status, status)) return;
    await tolerate(this.#ctx.client.update(DAEMONSETS, { ...set, status }, 'status'), 'NotFound');
  }
}
