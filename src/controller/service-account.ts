// The service account controller: every active Namespace has a ServiceAccount `default`. After
// pkg/controller/serviceaccount/serviceaccounts_controller.go (1.32).
import type { Namespace, ServiceAccount } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { NAMESPACES, SERVICEACCOUNTS } from '../api/resources.ts';
import type { Informer } from '../client/informer.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from './control-loop.ts';

const NAME = 'default';

export class ServiceAccountController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #namespaces: Informer<Namespace>;
  readonly #accounts: Informer<ServiceAccount>;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#namespaces = ctx.informers.of(NAMESPACES);
    this.#accounts = ctx.informers.of(SERVICEACCOUNTS);
    this.#loop = new ControlLoop(ctx, 'serviceaccount', (namespace) => this.#sync(namespace));
    const enqueue = (ns: Stored<Namespace>) => this.#loop.queue.add(ns.metadata.name);
    this.#namespaces.addHandler({ add: enqueue, update: (_, ns) => enqueue(ns) });
    this.#accounts.addHandler({ delete: (account) => this.#loop.queue.add(account.metadata.namespace!) });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(namespace: string): Promise<void> {
    const ns = this.#namespaces.get(namespace);
    if (!ns || ns.metadata.deletionTimestamp !== undefined || this.#accounts.get(`${namespace}/${NAME}`)) return;
    const account: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, namespace } };
    try {
      await tolerate(this.#ctx.client.create(SERVICEACCOUNTS, account), 'AlreadyExists', 'NotFound');
    } catch (error) {
      if (!isNamespaceTerminating(error)) throw error;
    }
  }
}
