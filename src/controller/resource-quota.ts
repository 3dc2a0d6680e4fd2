// The resource quota controller: status.hard follows spec.hard, and status.used is counted anew when something that a quota counts
// goes or changes, and every five minutes. New objects are charged by admission. After
// kubernetes/pkg/controller/resourcequota/resource_quota_controller.go.
import { type Amount, add, count, formatAmount } from '../api/amount.ts';
import type { Pod, ResourceQuota } from '../api/core-v1.ts';
import type { KubeObject, ResourceType, Stored } from '../api/meta.ts';
import { inScope, scopesOf } from '../api/quota/scopes.ts';
import { typeOfQuota, usageOf } from '../api/quota/usage.ts';
import { PODS, RESOURCEQUOTAS, RESOURCES, SERVICES } from '../api/resources.ts';
import { type Informer, keyOf } from '../client/informer.ts';
import type { Timer } from '../lib/clock.ts';
import { equal } from '../lib/tree.ts';
import { BY_NAMESPACE, type Controller, type ControllerContext } from './context.ts';
import { ControlLoop, splitKey, tolerate } from './control-loop.ts';

const RESYNC_US = 300e6;

export class ResourceQuotaController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #quotas: Informer<ResourceQuota>;
  readonly #loop: ControlLoop;
  #timer: Timer | null = null;
  #closed = false;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#quotas = ctx.informers.of(RESOURCEQUOTAS);
    this.#loop = new ControlLoop(ctx, 'resource quota', (key) => this.#sync(key));
    const enqueue = (quota: ResourceQuota): void => this.#loop.queue.add(keyOf(quota));
    this.#quotas.addHandler({
      add: enqueue,
      update: (old, quota) => {
        if (!equal(old.spec, quota.spec)) enqueue(quota);
      },
    });
    for (const type of RESOURCES) if (type.namespaced) this.#follow(type);
  }

  run(): void {
    this.#loop.run();
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#loop.close();
  }

  /** What may give something back: a deletion, a Pod that ends, a Service of another type. */
  #follow(type: ResourceType): void {
    const recount = ({ metadata }: KubeObject): void => {
      for (const quota of this.#quotas.byIndex(BY_NAMESPACE, metadata.namespace!)) {
        const counted = Object.keys(quota.spec?.hard ?? {}).some((name) => typeOfQuota(name) === type);
        if (counted) this.#loop.queue.add(keyOf(quota));
      }
    };
    const isMeasured = type === PODS || type === SERVICES;
    const update = (old: KubeObject, now: KubeObject): void => {
      if (this.#quotas.size > 0 && !sameUsage(type, old, now)) recount(now);
    };
    this.#ctx.informers.of(type).addHandler({ delete: recount, ...(isMeasured ? { update } : {}) });
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer = this.#ctx.clock.after(RESYNC_US, () => {
      for (const quota of this.#quotas.list()) this.#loop.queue.add(keyOf(quota));
      this.#arm();
    });
  }

  async #sync(key: string): Promise<void> {
    const known = this.#quotas.get(key);
    if (!known) return;
    const [namespace, name] = splitKey(key);
    const { client } = this.#ctx;
    // The newest state, not the watch's: admission charges it all the time.
    const quota = await client.get(RESOURCEQUOTAS, namespace, name);
    const hard = quota.spec?.hard ?? {};
    const used = await this.#count(quota, namespace, Object.keys(hard));
    if (equal(quota.status, { hard, used })) return;
    await tolerate(client.update(RESOURCEQUOTAS, { ...quota, status: { hard, used } }, 'status'), 'NotFound');
  }

  async #count(
    quota: Stored<ResourceQuota>,
    namespace: string,
    names: readonly string[],
  ): Promise<Record<string, string>> {
    const totals = new Map<string, Amount>(names.map((name) => [name, count(0)]));
    const scopes = scopesOf(quota);
    for (const type of new Set(names.map(typeOfQuota))) {
      if (!type) continue;
      for (const object of (await this.#ctx.client.list(type, { namespace })).items) {
        if (scopes.length > 0 && !(type === PODS && scopes.every((s) => inScope(object as unknown as Pod, s))))
          continue;
        for (const [name, amount] of usageOf(type, object)) {
          if (totals.has(name)) totals.set(name, add(totals.get(name), amount));
        }
      }
    }
    return Object.fromEntries([...totals].map(([name, amount]) => [name, formatAmount(amount)]));
  }
}

function sameUsage(type: ResourceType, old: KubeObject, now: KubeObject): boolean {
  const [before, after] = [usageOf(type, old), usageOf(type, now)];
  if (before.size !== after.size) return false;
  return [...after].every(([name, amount]) => before.get(name)?.nano === amount.nano);
}
