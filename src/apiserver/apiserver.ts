// The API server without a transport: registries over one store, admission, and clients for this process. The HTTPS face and
// the message port (serve-port.ts) are faces on what is here.
import type { TokenRequest } from '../api/authentication-v1.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { EVENTS, RESOURCEQUOTAS, SERVICEACCOUNTS, SERVICES } from '../api/resources.ts';
import { StatusError } from '../api/status-error.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { AdmissionPlugin, AdmissionRequest, Lookup } from './admission/admission.ts';
import { certificateAdmission } from './admission/certificates.ts';
import { limitRanger } from './admission/limit-ranger.ts';
import { namespaceLifecycle } from './admission/namespace-lifecycle.ts';
import { podAdmission } from './admission/pod-admission.ts';
import { resourceQuotaAdmission } from './admission/resource-quota.ts';
import { serviceAccountAdmission } from './admission/service-account.ts';
import { IpAllocator } from './allocation/ip-allocator.ts';
import { PortAllocator } from './allocation/port-allocator.ts';
import { Authorizer } from './auth/rbac/authorizer.ts';
import { escalationCheck } from './auth/rbac/escalation.ts';
import { requestToken } from './auth/token-request.ts';
import { ServiceAccountTokens } from './auth/tokens.ts';
import { AUTHENTICATED, MASTERS, type User } from './auth/user.ts';
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
  /** Signs and knows service accounts' tokens; with a key of its own when left out. */
  tokens?: ServiceAccountTokens;
}

const ADMIN: User = { name: 'system:admin', groups: [MASTERS, AUTHENTICATED] };
const BOOKMARK_INTERVAL_US = 60_000_000;

export class ApiServer {
  readonly store: Store;
  readonly authorizer: Authorizer;
  readonly #clock: Clock;
  readonly #registries = new Map<string, Registry<KubeObject>>();
  readonly #admission: readonly AdmissionPlugin[];
  readonly #ready: Promise<void>;
  readonly #tokens: ServiceAccountTokens;
  readonly #lookup: Lookup;
  readonly #expiry: EventExpiry;
  #bookmarks: Timer;

  /** Throws AllocationError when serviceCIDR or nodePortRange make no sense. */
  constructor({
    clock,
    rng,
    serviceCIDR = '10.96.0.0/12',
    nodePortRange = [30_000, 32_767],
    store,
    tokens,
  }: ApiServerOptions) {
    this.store = store ?? new MemoryStore();
    this.#tokens = tokens ?? new ServiceAccountTokens();
    this.#clock = clock;
    const allocation = new ServiceAllocation(new IpAllocator(serviceCIDR, rng), new PortAllocator(nodePortRange, rng));
    const context = {
      store: this.store,
      clock,
      rng,
      admit: (request: AdmissionRequest) => this.#admit(request),
      judge: (request: AdmissionRequest) => this.#judge(request),
    };
    for (const strategy of strategies(allocation)) {
      this.#registries.set(registryName(strategy.type), new Registry(strategy, context));
    }
    // Straight to the registries: admission runs inside requests, which have waited already.
    this.#lookup = {
      find: (type, namespace, name) => this.#served(type).find(namespace, name),
      all: async (type, namespace) => (await this.#served(type).list(namespace ? { namespace } : {})).items,
    };
    this.authorizer = new Authorizer(this.#lookup);
    this.#admission = [
      namespaceLifecycle,
      serviceAccountAdmission(clock, rng),
      podAdmission,
      limitRanger,
      certificateAdmission(this.authorizer),
      escalationCheck(this.authorizer),
      resourceQuotaAdmission((quota) => this.#served(RESOURCEQUOTAS).update(quota, 'status', { user: ADMIN })),
    ];
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

  /** serviceaccounts/NAME/token. Throws StatusError. */
  async requestToken(namespace: string, name: string, body: unknown): Promise<TokenRequest> {
    const account = await (await this.registry(SERVICEACCOUNTS)).get(namespace, name);
    return await requestToken(account, body, this.#tokens, this.#lookup, this.#clock.unixMs());
  }

  /** The service account whose token it is; undefined: not a token of ours, or not any more. */
  async tokenUser(token: string): Promise<User | undefined> {
    await this.#ready;
    return await this.#tokens.authenticate(token, this.#lookup, this.#clock.unixMs());
  }

  /** The keys of service accounts' tokens, as a JSON Web Key Set. */
  tokenKeys(): unknown {
    return this.#tokens.keySet();
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
    for (const plugin of this.#admission) await plugin.admit?.(request, this.#lookup);
  }

  async #judge(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#admission) await plugin.validate?.(request, this.#lookup);
  }
}

function registryName(type: ResourceType): string {
  return `${type.group}/${type.resource}`;
}
