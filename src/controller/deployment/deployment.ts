// The Deployment controller: a ReplicaSet for each Pod template, and the move from one to the next. After
// pkg/controller/deployment/{deployment_controller,sync,rolling,recreate,progress}.go (1.32).
//
// One round: find the ReplicaSets; paused or resized: scale them in proportion; else make the new one if it is missing and
// take one step of the strategy; write the status. Rolling back needs nothing of its own: kubectl puts the old template
// back, whose ReplicaSet is found again and becomes the newest revision.
// Leaves out: the deprecated rollbackTo of extensions/v1beta1.
import { isDeepStrictEqual } from 'node:util';
import type { Deployment, ReplicaSet } from '../../api/apps-v1.ts';
import type { Pod } from '../../api/core-v1.ts';
import type { Condition, Stored } from '../../api/meta.ts';
import { podTemplateHash } from '../../api/names.ts';
import { isPodTerminal } from '../../api/pod.ts';
import { DEPLOYMENTS, PODS, REPLICASETS } from '../../api/resources.ts';
import { labelSelectorMatcher } from '../../api/selectors.ts';
import { isStatus } from '../../api/status-error.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_NAMESPACE, BY_OWNER, type Controller, type ControllerContext, inOrder } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { controllerOf, controllerRef } from '../owner.ts';
import { isScalingEvent, proportionalScale } from './proportion.ts';
import {
  beyondHistory,
  findNew,
  maxRevision,
  newReplicaSetAnnotations,
  POD_TEMPLATE_HASH,
  REVISION,
  sameTemplate,
  sizeAnnotations,
} from './revision.ts';
import { isRollingUpdate, newReplicaSetSize, replicasOf, shrinkOld, sum } from './rolling.ts';
import {
  type DeploymentStatus,
  deploymentStatus,
  hasProgressDeadline,
  isComplete,
  newCondition,
  pauseCondition,
  untilTimeoutMs,
  withCondition,
  withProgress,
} from './status.ts';

const WORKERS = 5;

/** The ReplicaSets of one Deployment as a round sees them. */
interface Sets {
  readonly newSet: Stored<ReplicaSet> | undefined;
  readonly oldSets: Stored<ReplicaSet>[];
  /** newSet was made in this round. */
  readonly created?: boolean;
}

export class DeploymentController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #deployments: Informer<Deployment>;
  readonly #sets: Informer<ReplicaSet>;
  readonly #pods: Informer<Pod>;
  readonly #recorder: EventRecorder;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#deployments = ctx.informers.of(DEPLOYMENTS);
    this.#sets = ctx.informers.of(REPLICASETS);
    this.#pods = ctx.informers.of(PODS);
    this.#recorder = ctx.recorder('deployment-controller');
    this.#loop = new ControlLoop(ctx, 'deployment', (key) => this.#sync(key), WORKERS);
    const enqueue = (d: Stored<Deployment>) => this.#loop.queue.add(keyOf(d));
    this.#deployments.addHandler({ add: enqueue, update: (_, d) => enqueue(d), delete: enqueue });
    this.#sets.addHandler({
      add: (rs) => this.#setChanged(rs),
      update: (old, rs) => {
        if (controllerOf(old)?.uid !== controllerOf(rs)?.uid) this.#setChanged(old);
        this.#setChanged(rs);
      },
      delete: (rs) => this.#setChanged(rs),
    });
    // Recreate waits for the last old Pod to go.
    this.#pods.addHandler({
      update: (old, pod) => {
        if (isPodTerminal(pod) && !isPodTerminal(old)) this.#podGone(pod);
      },
      delete: (pod) => this.#podGone(pod),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  #setChanged(rs: Stored<ReplicaSet>): void {
    const ref = controllerOf(rs);
    if (ref) {
      if (ref.kind === 'Deployment') this.#loop.queue.add(`${rs.metadata.namespace}/${ref.name}`);
      return;
    }
    for (const d of this.#deployments.byIndex(BY_NAMESPACE, rs.metadata.namespace!)) {
      if (labelSelectorMatcher(d.spec.selector).matches(rs.metadata.labels)) this.#loop.queue.add(keyOf(d));
    }
  }

  #podGone(pod: Stored<Pod>): void {
    const ref = controllerOf(pod);
    const rs = ref && this.#sets.get(`${pod.metadata.namespace}/${ref.name}`);
    const owner = rs && controllerOf(rs);
    const d = owner && this.#deployments.get(`${pod.metadata.namespace}/${owner.name}`);
    if (d?.spec.strategy?.type === 'Recreate') this.#loop.queue.add(keyOf(d));
  }

  async #sync(key: string): Promise<void> {
    const d = this.#deployments.get(key);
    if (!d) return;
    if (labelSelectorMatcher(d.spec.selector).requirements.length === 0) {
      const message = 'This deployment is selecting all pods. A non-empty selector is required.';
      this.#recorder.warning(d, 'SelectingAll', message);
      return;
    }
    const sets = await this.#claim(d);
    if (d.metadata.deletionTimestamp !== undefined) {
      await this.#writeStatus(d, this.#split(d, sets), false);
      return;
    }
    const paused = pauseCondition(d, this.#ctx.clock.unixMs());
    if (paused) {
      // The watch brings the Deployment back with the condition set.
      await this.#writeConditions(d, paused);
      return;
    }
    if (d.spec.paused || isScalingEvent(d, sets)) await this.#scale(d, sets);
    else if (isRollingUpdate(d)) await this.#roll(d, sets);
    else await this.#recreate(d, sets);
  }

  /** The ReplicaSets of the Deployment, after adopting orphans that match and releasing those that do not. */
  async #claim(d: Stored<Deployment>): Promise<Stored<ReplicaSet>[]> {
    const selector = labelSelectorMatcher(d.spec.selector);
    const alive = d.metadata.deletionTimestamp === undefined;
    const kept: Stored<ReplicaSet>[] = [];
    for (const rs of inOrder(this.#sets.byIndex(BY_OWNER, d.metadata.uid))) {
      if (selector.matches(rs.metadata.labels)) kept.push(rs);
      else if (alive) {
        const ownerReferences = (rs.metadata.ownerReferences ?? []).filter((o) => o.uid !== d.metadata.uid);
        await tolerate(this.#patchSet(rs, { metadata: { ownerReferences } }), 'NotFound');
      }
    }
    if (!alive) return kept;
    for (const rs of this.#sets.byIndex(BY_OWNER, '')) {
      if (rs.metadata.namespace !== d.metadata.namespace || rs.metadata.deletionTimestamp !== undefined) continue;
      if (!selector.matches(rs.metadata.labels)) continue;
      const ownerReferences = [...(rs.metadata.ownerReferences ?? []), controllerRef(d, DEPLOYMENTS)];
      kept.push(await this.#patchSet(rs, { metadata: { ownerReferences } }));
    }
    return kept;
  }

  #patchSet(rs: Stored<ReplicaSet>, patch: unknown): Promise<Stored<ReplicaSet>> {
    return this.#ctx.client.patch(REPLICASETS, rs.metadata.namespace, rs.metadata.name, 'merge', patch);
  }

  #split(d: Stored<Deployment>, sets: readonly Stored<ReplicaSet>[]): Sets {
    const newSet = findNew(d, sets);
    return { newSet, oldSets: sets.filter((rs) => rs !== newSet) };
  }

  /** Finds the ReplicaSet of the present template, makes it if asked, and brings revisions up to date. */
  async #withRevision(d: Stored<Deployment>, sets: readonly Stored<ReplicaSet>[], create: boolean): Promise<Sets> {
    const { newSet, oldSets } = this.#split(d, sets);
    const revision = maxRevision(oldSets) + 1;
    if (!newSet) {
      if (!create) return { newSet, oldSets };
      const made = await this.#createSet(d, oldSets, revision);
      return { newSet: made, oldSets, created: made !== undefined };
    }

    const annotations = newReplicaSetAnnotations(d, newSet, revision, true);
    const minReadySeconds = d.spec.minReadySeconds ?? 0;
    if (annotations || (newSet.spec.minReadySeconds ?? 0) !== minReadySeconds) {
      const updated = await this.#ctx.client.update(REPLICASETS, {
        ...newSet,
        metadata: { ...newSet.metadata, ...(annotations ? { annotations } : {}) },
        spec: { ...newSet.spec, minReadySeconds },
      });
      return { newSet: updated, oldSets };
    }
    await this.#setRevision(d, newSet.metadata.annotations?.[REVISION] ?? String(revision));
    if (hasProgressDeadline(d) && !d.status?.conditions?.some((c) => c.type === 'Progressing')) {
      const message = `Found new replica set "${newSet.metadata.name}"`;
      await this.#writeConditions(
        d,
        newCondition('Progressing', 'True', 'FoundNewReplicaSet', message, this.#ctx.clock.unixMs()),
      );
    }
    return { newSet, oldSets };
  }

  async #createSet(
    d: Stored<Deployment>,
    oldSets: readonly Stored<ReplicaSet>[],
    revision: number,
  ): Promise<Stored<ReplicaSet> | undefined> {
    const hash = podTemplateHash(d.spec.template, d.status?.collisionCount);
    const labels = { ...d.spec.template.metadata?.labels, [POD_TEMPLATE_HASH]: hash };
    const draft: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${d.metadata.name}-${hash}`,
        namespace: d.metadata.namespace!,
        labels,
        ownerReferences: [controllerRef(d, DEPLOYMENTS)],
      },
      spec: {
        replicas: newReplicaSetSize(d, 0, sum(oldSets, replicasOf)),
        ...(d.spec.minReadySeconds ? { minReadySeconds: d.spec.minReadySeconds } : {}),
        selector: {
          ...d.spec.selector,
          matchLabels: { ...d.spec.selector.matchLabels, [POD_TEMPLATE_HASH]: hash },
        },
        template: { ...d.spec.template, metadata: { ...d.spec.template.metadata, labels } },
      },
    };
    draft.metadata.annotations = newReplicaSetAnnotations(d, draft, revision, false)!;
    let created: Stored<ReplicaSet>;
    let existed = false;
    try {
      created = await this.#ctx.client.create(REPLICASETS, draft);
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      if (!isStatus(error, 'AlreadyExists')) {
        await this.#failedCreate(d, draft.metadata.name!, error);
        throw error;
      }
      created = await this.#existing(d, draft.metadata.name!, error);
      existed = true;
    }
    const size = replicasOf(created);
    if (!existed && size > 0) {
      const message = `Scaled up replica set ${created.metadata.name} from 0 to ${size}`;
      this.#recorder.normal(d, 'ScalingReplicaSet', message);
    }
    await this.#setRevision(d, String(revision));
    return created;
  }

  /** Our own ReplicaSet that the watch has not shown yet, or another with the same hash: then the hash gets a new salt. */
  async #existing(d: Stored<Deployment>, name: string, error: unknown): Promise<Stored<ReplicaSet>> {
    const found = await this.#ctx.client.get(REPLICASETS, d.metadata.namespace, name);
    if (controllerOf(found)?.uid === d.metadata.uid && sameTemplate(found.spec.template, d.spec.template)) return found;
    const collisionCount = (d.status?.collisionCount ?? 0) + 1;
    await this.#ctx.client.update(DEPLOYMENTS, { ...d, status: { ...d.status, collisionCount } }, 'status');
    throw error;
  }

  async #failedCreate(d: Stored<Deployment>, name: string, error: unknown): Promise<void> {
    const why = error instanceof Error ? error.message : String(error);
    const message = `Failed to create new replica set "${name}": ${why}`;
    this.#recorder.warning(d, 'ReplicaSetCreateError', message);
    if (!hasProgressDeadline(d)) return;
    const nowMs = this.#ctx.clock.unixMs();
    await tolerate(
      this.#writeConditions(d, newCondition('Progressing', 'False', 'ReplicaSetCreateError', message, nowMs)),
      'Conflict',
      'NotFound',
    );
  }

  /** The annotation is metadata, not spec: the generation stays. */
  async #setRevision(d: Stored<Deployment>, revision: string): Promise<void> {
    if (d.metadata.annotations?.[REVISION] === revision) return;
    const patch = { metadata: { annotations: { [REVISION]: revision } } };
    await this.#ctx.client.patch(DEPLOYMENTS, d.metadata.namespace, d.metadata.name, 'merge', patch);
  }

  async #roll(d: Stored<Deployment>, sets: readonly Stored<ReplicaSet>[]): Promise<void> {
    const now = await this.#withRevision(d, sets, true);
    const { newSet, oldSets } = now;
    if (!newSet) return;
    const all = [newSet, ...oldSets];
    const size =
      replicasOf(newSet) > replicasOf(d)
        ? replicasOf(d)
        : newReplicaSetSize(d, replicasOf(newSet), sum(all, replicasOf));
    if (size !== replicasOf(newSet)) {
      const grown = await this.#resize(d, newSet, size);
      await this.#writeStatus(d, { ...now, newSet: grown }, true);
      return;
    }
    const steps = shrinkOld(d, oldSets, newSet);
    if (steps.length > 0) {
      for (const { replicaSet, to } of steps) {
        const shrunk = await this.#resize(d, replicaSet as Stored<ReplicaSet>, to);
        oldSets[oldSets.indexOf(replicaSet as Stored<ReplicaSet>)] = shrunk;
      }
    } else if (isComplete(d, d.status ?? {})) await this.#cleanUp(d, oldSets);
    await this.#writeStatus(d, now, true);
  }

  async #recreate(d: Stored<Deployment>, sets: readonly Stored<ReplicaSet>[]): Promise<void> {
    let now = await this.#withRevision(d, sets, false);
    const active = now.oldSets.filter((rs) => replicasOf(rs) > 0);
    for (const rs of active) {
      now.oldSets[now.oldSets.indexOf(rs)] = await this.#resize(d, rs, 0);
    }
    if (active.length > 0 || this.#oldPodsRun(now)) {
      await this.#writeStatus(d, now, true);
      return;
    }
    if (!now.newSet) now = await this.#withRevision(d, sets, true);
    if (!now.newSet) return;
    const grown = await this.#resize(d, now.newSet, replicasOf(d));
    if (isComplete(d, d.status ?? {})) await this.#cleanUp(d, now.oldSets);
    await this.#writeStatus(d, { ...now, newSet: grown }, true);
  }

  #oldPodsRun({ oldSets }: Sets): boolean {
    return oldSets.some((rs) => this.#pods.byIndex(BY_OWNER, rs.metadata.uid).some((pod) => !isPodTerminal(pod)));
  }

  async #scale(d: Stored<Deployment>, sets: readonly Stored<ReplicaSet>[]): Promise<void> {
    const now = await this.#withRevision(d, sets, false);
    const resized = new Map<Stored<ReplicaSet>, Stored<ReplicaSet>>();
    for (const { replicaSet, to } of proportionalScale(d, now.newSet, now.oldSets)) {
      const rs = replicaSet as Stored<ReplicaSet>;
      resized.set(rs, await this.#resize(d, rs, to));
    }
    const latest = (rs: Stored<ReplicaSet>) => resized.get(rs) ?? rs;
    const after = { newSet: now.newSet && latest(now.newSet), oldSets: now.oldSets.map(latest) };
    if (d.spec.paused) await this.#cleanUp(d, after.oldSets);
    await this.#writeStatus(d, after, false);
  }

  /** Sets size and size annotations; no write when both are so already. */
  async #resize(d: Stored<Deployment>, rs: Stored<ReplicaSet>, to: number): Promise<Stored<ReplicaSet>> {
    const from = replicasOf(rs);
    const annotations = { ...rs.metadata.annotations, ...sizeAnnotations(d) };
    if (from === to && isDeepStrictEqual(annotations, rs.metadata.annotations)) return rs;
    const updated = await this.#ctx.client.update(REPLICASETS, {
      ...rs,
      metadata: { ...rs.metadata, annotations },
      spec: { ...rs.spec, replicas: to },
    });
    if (from !== to) {
      const message = `Scaled ${from < to ? 'up' : 'down'} replica set ${rs.metadata.name} from ${from} to ${to}`;
      this.#recorder.normal(d, 'ScalingReplicaSet', message);
    }
    return updated;
  }

  async #cleanUp(d: Stored<Deployment>, oldSets: readonly Stored<ReplicaSet>[]): Promise<void> {
    for (const rs of beyondHistory(d, oldSets)) {
      await tolerate(this.#ctx.client.delete(REPLICASETS, rs.metadata.namespace, rs.metadata.name), 'NotFound');
    }
  }

  async #writeConditions(d: Stored<Deployment>, fresh: Condition): Promise<void> {
    const conditions = withCondition(d.status?.conditions ?? [], fresh);
    await this.#patchStatus(d, { ...d.status, conditions });
  }

  async #writeStatus(stored: Stored<Deployment>, { newSet, oldSets, created }: Sets, rollout: boolean): Promise<void> {
    const all = newSet ? [...oldSets, newSet] : oldSets;
    const nowMs = this.#ctx.clock.unixMs();
    const d = created && hasProgressDeadline(stored) ? afterCreation(stored, newSet!, nowMs) : stored;
    let status = deploymentStatus(d, newSet, all, nowMs);
    if (rollout) {
      status = withProgress(d, status, newSet, all, nowMs);
      const leftMs = untilTimeoutMs(d, status, nowMs);
      if (leftMs !== undefined) this.#loop.queue.addAfter(keyOf(d), (leftMs + 1000) * 1000);
    }
    if (!isDeepStrictEqual(stored.status, status)) await this.#patchStatus(d, status);
  }

  /** Replaces the status whatever else has changed since; the round that follows corrects a stale one. */
  async #patchStatus(d: Stored<Deployment>, status: DeploymentStatus): Promise<void> {
    const { resourceVersion: _, ...metadata } = d.metadata;
    // Without resourceVersion: our own annotation patch in this round must not make it a conflict.
    const object = { ...d, metadata } as Deployment;
    await tolerate(this.#ctx.client.update(DEPLOYMENTS, { ...object, status }, 'status'), 'NotFound');
  }
}

/** As if the condition that tells of the new ReplicaSet had been written before this round's status. */
function afterCreation(d: Stored<Deployment>, newSet: Stored<ReplicaSet>, nowMs: number): Stored<Deployment> {
  const message = `Created new replica set "${newSet.metadata.name}"`;
  const fresh = newCondition('Progressing', 'True', 'NewReplicaSetCreated', message, nowMs);
  return { ...d, status: { ...d.status, conditions: withCondition(d.status?.conditions ?? [], fresh) } };
}
