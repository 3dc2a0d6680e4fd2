// The StatefulSet controller: Pods with names that stay, made in the order of their ordinals and taken away in the reverse. After
// pkg/controller/statefulset/{stateful_set.go,stateful_set_control.go} (1.32).
//
// One round: find the revisions; sort the Pods into replicas (wanted ordinals) and condemned ones; bring them forward, and with
// OrderedReady stop at the first that is not ready yet; delete at most one Pod of an old revision; write the status.
// Leaves out: persistent volume claims, maxUnavailable of rolling updates (alpha).
import { isDeepStrictEqual } from 'node:util';
import type { StatefulSet } from '../../api/apps-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodAvailable, isPodTerminal } from '../../api/pod.ts';
import { PODS, STATEFULSETS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { OwnedPods } from '../owned-pods.ts';
import { nonZero } from '../replicaset/status.ts';
import { REVISION_HASH, RevisionHistory, type Revisions, templateOf } from '../revision-history.ts';
import { endOrdinal, firstOrdinal, isHealthy, ordinalOf, podOf } from './pods.ts';

const WORKERS = 5;

type Status = NonNullable<StatefulSet['status']>;

export class StatefulSetController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #sets: Informer<StatefulSet>;
  readonly #owned: OwnedPods<StatefulSet>;
  readonly #history: RevisionHistory<StatefulSet>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;
  /** UIDs of Pods whose deletion was asked for and may not have been seen yet. */
  readonly #doomed = new Set<string>();

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#sets = ctx.informers.of(STATEFULSETS);
    this.#history = new RevisionHistory(ctx, STATEFULSETS, 'controller.kubernetes.io/hash');
    this.#recorder = ctx.recorder('statefulset-controller');
    this.#loop = new ControlLoop(ctx, 'statefulset', (key) => this.#sync(key), WORKERS);
    const enqueue = (set: Stored<StatefulSet>) => this.#loop.queue.add(keyOf(set));
    this.#sets.addHandler({ add: enqueue, update: (_, set) => enqueue(set), delete: enqueue });
    this.#owned = new OwnedPods(ctx, STATEFULSETS, {
      enqueue: (key) => this.#loop.queue.add(key),
      enqueueAfter: (key, afterUs) => this.#loop.queue.addAfter(key, afterUs),
    });
    ctx.informers.of(PODS).addHandler({ delete: (pod) => this.#doomed.delete(pod.metadata.uid) });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const set = this.#sets.get(key);
    if (!set) return;
    const pods = await this.#owned.claim(set, (pod) => ordinalOf(set, pod) !== undefined);
    if (set.metadata.deletionTimestamp !== undefined) return;
    const revisions = await this.#history.of(set);
    const found = revisions.all.find((revision) => revision.metadata.name === set.status?.currentRevision);
    const current = found ?? revisions.update;
    await this.#writeStatus(set, pods, current.metadata.name, revisions);
    await this.#bringForward(set, pods, current, revisions);
    const live = new Set([current.metadata.name, revisions.update.metadata.name]);
    for (const pod of pods) live.add(pod.metadata.labels?.[REVISION_HASH] ?? '');
    await this.#history.truncate(set, revisions, live);
  }

  /** The next step or, with Parallel, all steps; a Pod that changes starts the next round. */
  async #bringForward(
    set: Stored<StatefulSet>,
    pods: readonly Stored<Pod>[],
    current: Revisions['update'],
    { update }: Revisions,
  ): Promise<void> {
    const ordered = set.spec.podManagementPolicy !== 'Parallel';
    const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod)!, pod]));
    const start = firstOrdinal(set);
    const end = endOrdinal(set);
    for (let ordinal = start; ordinal < end; ordinal++) {
      const pod = byOrdinal.get(ordinal);
      if (!pod) {
        const revision = this.#keepsCurrent(set, ordinal) ? current : update;
        if (!(await this.#create(set, ordinal, revision)) || ordered) return;
      } else if (this.#isTerminating(pod)) {
        if (ordered) return;
      } else if (isPodTerminal(pod)) {
        const reason = pod.status?.phase === 'Failed' ? 'RecreatingFailedPod' : 'RecreatingTerminatedPod';
        const what = `${set.metadata.namespace}/${set.metadata.name} is recreating ${pod.status?.phase === 'Failed' ? 'failed' : 'terminated'} Pod ${pod.metadata.name}`;
        this.#recorder.warning(set, reason, `StatefulSet ${what}`);
        await this.#delete(set, pod);
        if (ordered) return;
      } else if (ordered && !this.#isAvailable(set, pod)) return;
    }
    const wanted = (pod: Pod): boolean => {
      const ordinal = ordinalOf(set, pod)!;
      return ordinal >= start && ordinal < end;
    };
    const descending = [...pods].sort((a, b) => ordinalOf(set, b)! - ordinalOf(set, a)!);
    const condemned = descending.filter((pod) => !wanted(pod));
    for (const pod of condemned) {
      if (this.#isTerminating(pod)) {
        if (ordered) return;
        continue;
      }
      if (ordered && isHealthy(pod) && !this.#isAvailable(set, pod)) return;
      await this.#delete(set, pod);
      if (ordered) return;
    }
    if (set.spec.updateStrategy?.type === 'OnDelete') return;
    await this.#rollOne(set, descending.filter(wanted), update.metadata.name);
  }

  /** Deletes the Pod with the highest ordinal that has an old revision, once all above it are healthy. */
  async #rollOne(set: Stored<StatefulSet>, replicas: readonly Stored<Pod>[], update: string): Promise<void> {
    const partition = set.spec.updateStrategy?.rollingUpdate?.partition ?? 0;
    for (const pod of replicas) {
      if (ordinalOf(set, pod)! < firstOrdinal(set) + partition) return;
      if (this.#isTerminating(pod)) return;
      if (pod.metadata.labels?.[REVISION_HASH] !== update) {
        await this.#delete(set, pod);
        return;
      }
      if (!this.#isAvailable(set, pod)) return;
    }
  }

  /** During a rolling update a lost Pod comes back in its old revision while its turn has not come. */
  #keepsCurrent(set: StatefulSet, ordinal: number): boolean {
    const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
    return type === 'RollingUpdate' && ordinal < firstOrdinal(set) + (rollingUpdate?.partition ?? 0);
  }

  #isTerminating(pod: Stored<Pod>): boolean {
    return pod.metadata.deletionTimestamp !== undefined || this.#doomed.has(pod.metadata.uid);
  }

  #isAvailable(set: StatefulSet, pod: Stored<Pod>): boolean {
    return isHealthy(pod) && isPodAvailable(pod, set.spec.minReadySeconds ?? 0, this.#ctx.clock.unixMs());
  }

  /** False when nothing can be created because the Namespace goes away. */
  async #create(set: Stored<StatefulSet>, ordinal: number, revision: Revisions['update']): Promise<boolean> {
    const pod = podOf(set, templateOf(revision), revision.metadata.name, ordinal);
    const what = `create Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await this.#ctx.client.create(PODS, pod);
    } catch (error) {
      if (isNamespaceTerminating(error)) return false;
      if (!isStatus(error, 'AlreadyExists')) {
        const why = error instanceof Error ? error.message : String(error);
        this.#recorder.warning(set, 'FailedCreate', `${what} failed error: ${why}`);
      }
      throw error;
    }
    this.#recorder.normal(set, 'SuccessfulCreate', `${what} successful`);
    return true;
  }

  async #delete(set: Stored<StatefulSet>, pod: Stored<Pod>): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const what = `delete Pod ${name} in StatefulSet ${set.metadata.name}`;
    this.#doomed.add(uid);
    try {
      await this.#ctx.client.delete(PODS, namespace, name, { preconditions: { uid } });
    } catch (error) {
      this.#doomed.delete(uid);
      if (isStatus(error, 'NotFound') || isStatus(error, 'Conflict')) return;
      const why = error instanceof Error ? error.message : String(error);
      this.#recorder.warning(set, 'FailedDelete', `${what} failed error: ${why}`);
      throw error;
    }
    this.#recorder.normal(set, 'SuccessfulDelete', `${what} successful`);
  }

  async #writeStatus(
    set: Stored<StatefulSet>,
    pods: readonly Stored<Pod>[],
    current: string,
    { update, collisionCount }: Revisions,
  ): Promise<void> {
    const status = this.#statusOf(set, pods, current, update.metadata.name, collisionCount);
    if (isDeepStrictEqual(set.status, status)) return;
    await tolerate(this.#ctx.client.update(STATEFULSETS, { ...set, status }, 'status'), 'NotFound');
  }

  #statusOf(
    set: Stored<StatefulSet>,
    pods: readonly Stored<Pod>[],
    current: string,
    update: string,
    collisionCount: number,
  ): Status {
    const settled = pods.filter((pod) => !this.#isTerminating(pod));
    const at = (revision: string) => settled.filter((p) => p.metadata.labels?.[REVISION_HASH] === revision).length;
    const ready = pods.filter(isHealthy).length;
    const replicas = set.spec.replicas ?? 1;
    const rolling = set.spec.updateStrategy?.type === 'RollingUpdate';
    const complete = rolling && at(update) === replicas && ready === replicas && pods.length === replicas;
    return {
      ...nonZero('observedGeneration', set.metadata.generation ?? 0),
      replicas: pods.length,
      ...nonZero('readyReplicas', ready),
      ...nonZero('currentReplicas', at(complete ? update : current)),
      ...nonZero('updatedReplicas', at(update)),
      availableReplicas: pods.filter((pod) => this.#isAvailable(set, pod)).length,
      currentRevision: complete ? update : current,
      updateRevision: update,
      collisionCount,
      ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
    };
  }
}
