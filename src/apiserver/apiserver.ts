// The API server without a transport: registries over one store, admission, and clients for this process. The HTTPS face and
// the message port are faces on what is here.
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { StatusError } from '../api/status-error.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { AdmissionPlugin, AdmissionRequest, Lookup, User } from './admission/admission.ts';
import { namespaceLifecycle } from './admission/namespace-lifecycle.ts';
import { LocalClient } from './local-client.ts';
import { Registry } from './registry/registry.ts';
import { strategies } from './registry/strategies.ts';
import { MemoryStore } from './storage/memory.ts';
import type { Store } from './storage/store.ts';

export interface ApiServerOptions {
  clock: Clock;
  rng: Rng;
  /** Default 10.96.0.0/12. */
  serviceCIDR?: string;
  /** Default [30000, 32767]. */
  nodePortRange?: readonly [number, number];
  /** Default: in memory. */
  store?: Store;
}

const ADMIN: User = { name: 'system:admin', groups: ['system:masters', 'system:authenticated'] };

export class ApiServer {
  readonly store: Store;
  readonly #registries = new Map<string, Registry<KubeObject>>();
  readonly #admission: readonly AdmissionPlugin[] = [namespaceLifecycle];
  readonly #ready: Promise<void>;

  constructor(options: ApiServerOptions) {
    const { clock, rng } = options;
    this.store = options.store ?? new MemoryStore();
    const context = { store: this.store, clock, rng, admit: (request: AdmissionRequest) => this.#admit(request) };
    for (const strategy of strategies(options)) {
      this.#registries.set(registryName(strategy.type), new Registry(strategy, context));
    }
    this.#ready = Promise.resolve();
  }

  client(user: User = ADMIN): LocalClient {
    return new LocalClient(this, user);
  }

  async registry<T extends KubeObject>(type: ResourceType<T>): Promise<Registry<T>> {
    await this.#ready;
    const registry = this.#registries.get(registryName(type));
    if (!registry) throw new StatusError('NotFound', 404, 'the server could not find the requested resource');
    return registry as unknown as Registry<T>;
  }

  /** Idempotent. Watches end silently. */
  async close(): Promise<void> {
    await this.store.close();
  }

  async #admit(request: AdmissionRequest): Promise<void> {
    const lookup: Lookup = {
      find: async (type, namespace, name) => (await this.registry(type)).find(namespace, name),
    };
    for (const plugin of this.#admission) await plugin.admit(request, lookup);
  }
}

function registryName(type: ResourceType): string {
  return `${type.group}/${type.resource}`;
}
