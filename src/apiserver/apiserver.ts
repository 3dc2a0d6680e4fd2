// The API server without a transport: registries over one store, admission, and clients for this process. The HTTPS face and
// the message port (serve-port.ts) are faces on what is here.
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { EVENTS, SERVICES } from '../api/resources.ts';
import { StatusError } from '../api/status-error.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { AdmissionPlugin, AdmissionRequest, Lookup, User } from './admission/admission.ts';
import { namespaceLifecycle } from './admission/namespace-lifecycle.ts';
import { podAdmission } from './admission/pod-admission.ts';
import { IpAllocator } from './allocation/ip-allocator.ts';
import { PortAllocator } from './allocation/port-allocator.ts';
import { LocalClient } from './local-client.ts';
import { EventExpiry } from './registry/expiry.ts';
import { Registry } from './registry/registry.ts';
import { ServiceAllocation } from './registry/service-allocation.ts';
import { strategies } from './registry/strategies.ts';
import { MemoryStore } from './storage/memory.ts';
import type { Store } from './storage/store.ts';

export interface ApiServerOptions {
  clock: Clock;
  rng: Rng;
  /** Default 10.96.0.0/12. */
  serviceCIDR?: string;
  /** Both ends belong to it. Default [30000, 32767]. */
  nodePortRange?: readonly [number, number];
  /** Default: in memory. */
  store?: Store;
}

const ADMIN: User = { name: 'system:admin', groups: ['system:masters', 'system:authenticated'] };
const BOOKMARK_INTERVAL_US = 60_000_000;

export class ApiServer {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #registries = new Map<string, Registry<KubeObject>>();
  readonly #admission: readonly AdmissionPlugin[] = [namespaceLifecycle, podAdmission];
  readonly #ready: Promise<void>;
  readonly #lookup: Lookup;
  readonly #expiry: EventExpiry;
  #bookmarks: Timer;

  /** Throws AllocationError when serviceCIDR or nodePortRange make no sense. */
  constructor({ clock, rng, serviceCIDR = '10.96.0.0/12', nodePortRange = [30_000, 32_767], store }: ApiServerOptions) {
    this.store = store ?? new MemoryStore();
    this.#clock = clock;
    const allocation = new ServiceAllocation(new IpAllocator(serviceCIDR, rng), new PortAllocator(nodePortRange, rng));
    const context = { store: this.store, clock, rng, admit: (request: AdmissionRequest) => this.#admit(request) };
    for (const strategy of strategies(allocation)) {
      this.#registries.set(registryName(strategy.type), new Registry(strategy, context));
    }
    // Straight to the registries: admission runs inside requests, which have waited already.
    this.#lookup = { find: (type, namespace, name) => this.#served(type).find(namespace, name) };
    this.#expiry = new EventExpiry(this.#served(EVENTS), clock, ADMIN);
    this.#bookmarks = this.#armBookmarks();
    this.#ready = this.#served(SERVICES)
      .list()
      .then((services) => allocation.load(services.items));
    // A store that cannot be read fails every request, not the process.
    this.#ready.catch(() => {});
  }

  /** `fieldManager`: who shows up in metadata.managedFields. */
  client(user: User = ADMIN, fieldManager = 'kube-controller-manager'): LocalClient {
    return new LocalClient(this, user, fieldManager);
  }

  /** The registry of a resource, once the server is ready. Throws StatusError 404 for a resource that is not served. */
  async registry<T extends KubeObject>(type: ResourceType<T>): Promise<Registry<T>> {
    await this.#ready;
    return this.#served(type);
  }

  /** Idempotent. Watches end silently. */
  async close(): Promise<void> {
    this.#expiry.close();
    this.#bookmarks.cancel();
    await this.store.close();
  }

  #served<T extends KubeObject>(type: ResourceType<T>): Registry<T> {
    const registry = this.#registries.get(registryName(type));
    if (!registry) throw new StatusError('NotFound', 404, 'the server could not find the requested resource');
    // The map is keyed by what the type says.
    return registry as unknown as Registry<T>;
  }

  #armBookmarks(): Timer {
    return this.#clock.after(BOOKMARK_INTERVAL_US, () => {
      this.#bookmarks = this.#armBookmarks();
      for (const registry of this.#registries.values()) registry.bookmark();
    });
  }

  async #admit(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#admission) await plugin.admit(request, this.#lookup);
  }
}

function registryName(type: ResourceType): string {
  return `${type.group}/${type.resource}`;
}
