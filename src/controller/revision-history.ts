// The revisions of StatefulSets and DaemonSets: a ControllerRevision for each Pod template there was, by which `kubectl rollout
// history` and `undo` work. After pkg/controller/history/controller_history.go and getStatefulSetRevisions in
// pkg/controller/statefulset/stateful_set_control.go (1.32).
// Leaves out: adopting revisions without an owner.
// Deviation: the hash in a name is taken over sorted JSON (see podTemplateHash), not over Go's encoding.
import type { ControllerRevision, DaemonSet, StatefulSet } from '../api/apps-v1.ts';
import type { PodTemplateSpec } from '../api/core-v1.ts';
import type { ResourceType, Stored } from '../api/meta.ts';
import { podTemplateHash } from '../api/names.ts';
import { CONTROLLERREVISIONS } from '../api/resources.ts';
import { isStatus } from '../api/status-error.ts';
import type { Informer } from '../client/informer.ts';
import { equal } from '../lib/tree.ts';
import { BY_OWNER, type ControllerContext } from './context.ts';
import { tolerate } from './control-loop.ts';
import { controllerRef } from './owner.ts';

type Revised = StatefulSet | DaemonSet;

/** The label of Pods that says which revision they were made from. */
export const REVISION_HASH = 'controller-revision-hash';

export interface Revisions {
  /** Oldest first; the update revision is the last. */
  readonly all: readonly Stored<ControllerRevision>[];
  /** Of the present template. */
  readonly update: Stored<ControllerRevision>;
  readonly collisionCount: number;
}

export class RevisionHistory<W extends Revised> {
  readonly #ctx: ControllerContext;
  readonly #type: ResourceType<W>;
  readonly #label: string;
  readonly #revisions: Informer<ControllerRevision>;

  /** `label`: under which a revision carries its hash. */
  constructor(ctx: ControllerContext, type: ResourceType<W>, label: string) {
    this.#ctx = ctx;
    this.#type = type;
    this.#label = label;
    this.#revisions = ctx.informers.of(CONTROLLERREVISIONS);
  }

  /** Makes the present template's revision the newest: finds it, moves an old one up (a rollback), or creates it. */
  async of(owner: Stored<W>): Promise<Revisions> {
    const known = this.#revisions.byIndex(BY_OWNER, owner.metadata.uid).sort((a, b) => a.revision - b.revision);
    const data = templatePatch(owner.spec.template);
    const collisionCount = owner.status?.collisionCount ?? 0;
    const next = (known.at(-1)?.revision ?? 0) + 1;
    const same = known.filter((revision) => equal(revision.data, data)).at(-1);
    if (same && same === known.at(-1)) return { all: known, update: same, collisionCount };
    if (same) {
      const { namespace, name } = same.metadata;
      const update = await this.#ctx.client.patch(CONTROLLERREVISIONS, namespace, name, 'merge', { revision: next });
      return { all: [...known.filter((revision) => revision !== same), update], update, collisionCount };
    }
    const made = await this.#create(owner, data, next, collisionCount);
    return { ...made, all: [...known, made.update] };
  }

  /** Deletes the oldest ones that nothing uses, beyond the limit. `live`: names of those in use. */
  async truncate(owner: Stored<W>, { all }: Revisions, live: ReadonlySet<string>): Promise<void> {
    const idle = all.filter((revision) => !live.has(revision.metadata.name));
    const excess = idle.length - (owner.spec.revisionHistoryLimit ?? 10);
    for (const { metadata } of idle.slice(0, Math.max(0, excess))) {
      await tolerate(this.#ctx.client.delete(CONTROLLERREVISIONS, metadata.namespace, metadata.name), 'NotFound');
    }
  }

  /** A name that another template's revision has gets a new salt. */
  async #create(
    owner: Stored<W>,
    data: unknown,
    revision: number,
    collisionCount: number,
  ): Promise<Omit<Revisions, 'all'>> {
    for (let salt = collisionCount; ; salt++) {
      const hash = podTemplateHash(data, salt === 0 ? undefined : salt);
      const { template } = owner.spec;
      const draft: ControllerRevision = {
        apiVersion: 'apps/v1',
        kind: 'ControllerRevision',
        metadata: {
          name: `${owner.metadata.name}-${hash}`,
          namespace: owner.metadata.namespace!,
          labels: { ...template.metadata?.labels, [this.#label]: hash },
          ...(owner.metadata.annotations ? { annotations: owner.metadata.annotations } : {}),
          ownerReferences: [controllerRef(owner, this.#type)],
        },
        data,
        revision,
      };
      try {
        return { update: await this.#ctx.client.create(CONTROLLERREVISIONS, draft), collisionCount: salt };
      } catch (error) {
        if (!isStatus(error, 'AlreadyExists')) throw error;
        const there = await this.#ctx.client.get(CONTROLLERREVISIONS, owner.metadata.namespace, draft.metadata.name!);
        const ours = there.metadata.ownerReferences?.some((o) => o.uid === owner.metadata.uid);
        if (ours && equal(there.data, data)) return { update: there, collisionCount: salt };
      }
    }
  }
}

/** The patch that puts a template back: what `kubectl rollout undo` sends. */
function templatePatch(template: PodTemplateSpec): unknown {
  return { spec: { template: { ...template, $patch: 'replace' } } };
}

/** The template that a revision keeps. */
export function templateOf({ data }: ControllerRevision): PodTemplateSpec {
  const kept = data as { spec: { template: PodTemplateSpec & { $patch?: string } } };
  const { $patch: _, ...template } = kept.spec.template;
  return template;
}
