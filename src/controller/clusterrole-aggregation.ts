// Fills in the rules of ClusterRoles with an aggregationRule: those of every ClusterRole that their selectors choose, by name, each
// once. After kubernetes/pkg/controller/clusterroleaggregation. An aggregated role may be chosen itself (edit takes view in).
import type { LabelSelector } from '../api/meta.ts';
import type { ClusterRole, PolicyRule } from '../api/rbac-v1.ts';
import { CLUSTERROLES } from '../api/resources.ts';
import { labelSelectorMatcher } from '../api/selectors.ts';
import type { Informer } from '../client/informer.ts';
import { equal } from '../lib/tree.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';

export class ClusterRoleAggregationController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #roles: Informer<ClusterRole>;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#roles = ctx.informers.of(CLUSTERROLES);
    this.#loop = new ControlLoop(ctx, 'clusterrole aggregation', (name) => this.#sync(name));
    const enqueue = (): void => this.#enqueueAll();
    this.#roles.addHandler({ add: enqueue, update: enqueue, delete: enqueue });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  /** Any role may belong to any aggregate, before or after its change. */
  #enqueueAll(): void {
    for (const role of this.#roles.list()) if (role.aggregationRule) this.#loop.queue.add(role.metadata.name);
  }

  async #sync(name: string): Promise<void> {
    const role = this.#roles.get(name);
    if (!role?.aggregationRule) return;
    const rules = this.#rulesOf(role, role.aggregationRule.clusterRoleSelectors ?? []);
    if (equal(rules, role.rules ?? [])) return;
    await tolerate(this.#ctx.client.patch(CLUSTERROLES, undefined, name, 'merge', { rules }), 'NotFound');
  }

  #rulesOf(aggregate: ClusterRole, selectors: readonly LabelSelector[]): PolicyRule[] {
    const rules: PolicyRule[] = [];
    const byName = this.#roles.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const matcher of selectors.map(labelSelectorMatcher)) {
      for (const role of byName) {
        if (role.metadata.name === aggregate.metadata.name || !matcher.matches(role.metadata.labels)) continue;
        for (const rule of role.rules ?? []) if (!rules.some((known) => equal(known, rule))) rules.push(rule);
      }
    }
    return rules;
  }
}
