// The ReplicaSet controller: as many Pods as asked for. After pkg/controller/replicaset/replica_set.go (1.32).
//
// A round for one ReplicaSet: take over Pods that match the selector and have no controller, let go of those that no longer
// match, create or delete the difference, write the status. Between asking for Pods and seeing them in the watch the
// ReplicaSet has unfulfilled expectations and neither creates nor deletes.

import { isDeepStrictEqual } from 'node:util';
import type { ReplicaSet } from '../../api/apps-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodActive } from '../../api/pod.ts';
import { PODS, REPLICASETS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_OWNER, type Controller, type ControllerContext } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { OwnedPods } from '../owned-pods.ts';
import { controllerOf, controllerRef } from '../owner.ts';
import { Expectations } from './expectations.ts';
import { podsToDelete } from './rank.ts';
import { type ReplicaSetStatus, replicaSetStatus } from './status.ts';

const BURST = 500; // Pods created or deleted in one round
const WORKERS = 5;

interface Failure {
  readonly reason: 'FailedCreate' | 'FailedDelete';
  readonly message: string;
  readonly error: unknown;
}

export class ReplicaSetController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #sets: Informer<ReplicaSet>;
  readonly #pods: Informer<Pod>;
  readonly #owned: OwnedPods<ReplicaSet>;
  readonly #expectations: Expectations;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#sets = ctx.informers.of(REPLICASETS);
    this.#pods = ctx.informers.of(PODS);
    this.#expectations = new Expectations(ctx.clock);
    this.#recorder = ctx.recorder('replicaset-controller');
    this.#loop = new ControlLoop(ctx, 'replicaset', (key) => this.#sync(key), WORKERS);
    this.#sets.addHandler({
      add: (rs) => this.#loop.queue.add(keyOf(rs)),
      update: (old, rs) => {
        if (old.metadata.uid !== rs.metadata.uid) this.#expectations.forget(keyOf(old));
        this.#loop.queue.add(keyOf(rs));
      },
      delete: (rs) => {
        this.#expectations.forget(keyOf(rs));
        this.#loop.queue.add(keyOf(rs));
      },
    });
    this.#owned = new OwnedPods(ctx, REPLICASETS, {
      enqueue: (key) => this.#loop.queue.add(key),
      created: (key) => this.#expectations.creationObserved(key),
      enqueueAfter: (key, afterUs) => this.#loop.queue.addAfter(key, afterUs),
      gone: (key, pod) => this.#expectations.deletionObserved(key, keyOf(pod)),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const rs = this.#sets.get(key);
    if (!rs) {
      this.#expectations.forget(key);
      return;
    }
    const satisfied = this.#expectations.satisfied(key);
    const pods = await this.#owned.claim(rs, isPodActive);
    let failure: Failure | undefined;
    if (satisfied && rs.metadata.deletionTimestamp === undefined) failure = await this.#manage(key, rs, pods);
    const status = await this.#writeStatus(rs, pods, failure);
    if (failure) throw failure.error;

    const minReadySeconds = rs.spec.minReadySeconds ?? 0;
    if (minReadySeconds > 0 && (status.readyReplicas ?? 0) !== (status.availableReplicas ?? 0)) {
      this.#loop.queue.addAfter(key, minReadySeconds * 1e6);
    }
  }

  async #manage(key: string, rs: Stored<ReplicaSet>, pods: readonly Stored<Pod>[]): Promise<Failure | undefined> {
    const diff = pods.length - (rs.spec.replicas ?? 1);
    if (diff < 0) return this.#create(key, rs, Math.min(-diff, BURST));
    if (diff > 0) return this.#delete(key, rs, pods, Math.min(diff, BURST));
    return undefined;
  }

  /** In batches of 1, 2, 4, ...: when every creation is refused, few are tried. */
  async #create(key: string, rs: Stored<ReplicaSet>, count: number): Promise<Failure | undefined> {
    this.#expectations.expectCreations(key, count);
    let left = count;
    for (let batch = 1; left > 0; batch *= 2) {
      const size = Math.min(batch, left);
      const results = await Promise.allSettled(Array.from({ length: size }, () => this.#createPod(rs)));
      const failed = results.filter((r) => r.status === 'rejected');
      left -= size;
      if (failed.length === 0) continue;
      this.#expectations.creationObserved(key, failed.length + left);
      const error: unknown = failed[0]!.reason;
      if (isNamespaceTerminating(error)) return undefined;
      const message = error instanceof Error ? error.message : String(error);
      this.#recorder.warning(rs, 'FailedCreate', `Error creating: ${message}`);
      return { reason: 'FailedCreate', message, error };
    }
    return undefined;
  }

  async #createPod(rs: Stored<ReplicaSet>): Promise<void> {
    const template = rs.spec.template!;
    const pod = await this.#ctx.client.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        generateName: `${rs.metadata.name}-`,
        namespace: rs.metadata.namespace!,
        ...(template.metadata?.labels ? { labels: template.metadata.labels } : {}),
        ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
        ownerReferences: [controllerRef(rs, REPLICASETS)],
      },
      spec: template.spec,
    });
    this.#recorder.normal(rs, 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
  }

  async #delete(
    key: string,
    rs: Stored<ReplicaSet>,
    pods: readonly Stored<Pod>[],
    count: number,
  ): Promise<Failure | undefined> {
    const doomed = podsToDelete(pods, this.#relatedPods(rs), count, this.#ctx.clock.unixMs());
    this.#expectations.expectDeletions(key, doomed.map(keyOf));
    const results = await Promise.allSettled(
      doomed.map(async (pod) => {
        try {
          await this.#ctx.client.delete(PODS, pod.metadata.namespace, pod.metadata.name, {
            preconditions: { uid: pod.metadata.uid },
          });
          this.#recorder.normal(rs, 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
        } catch (error) {
          this.#expectations.deletionObserved(key, keyOf(pod));
          if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error;
        }
      }),
    );
    const failed = results.find((r) => r.status === 'rejected');
    if (!failed) return undefined;
    const error: unknown = failed.reason;
    const message = error instanceof Error ? error.message : String(error);
    this.#recorder.warning(rs, 'FailedDelete', `Error deleting: ${message}`);
    return { reason: 'FailedDelete', message, error };
  }

  /** The Pods of every ReplicaSet of the same Deployment. */
  #relatedPods(rs: Stored<ReplicaSet>): Stored<Pod>[] {
    const owner = controllerOf(rs);
    const sets = owner ? this.#sets.byIndex(BY_OWNER, owner.uid) : [rs];
    return sets.flatMap((s) => this.#pods.byIndex(BY_OWNER, s.metadata.uid));
  }

  async #writeStatus(
    rs: Stored<ReplicaSet>,
    pods: readonly Stored<Pod>[],
    failure: Failure | undefined,
  ): Promise<ReplicaSetStatus> {
    const status = replicaSetStatus(rs, pods, failure, this.#ctx.clock.unixMs());
    if (isDeepStrictEqual(rs.status, status)) return status;
    await tolerate(this.#ctx.client.update(REPLICASETS, { ...rs, status }, 'status'), 'NotFound');
    return status;
  }
}
