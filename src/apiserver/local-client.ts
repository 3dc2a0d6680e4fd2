// The API in the same thread: calls go straight to the registries, watch events come from microtasks. Objects given out are
// the stored ones, frozen.
import type { TokenRequest, TokenRequestSpec } from '../api/authentication-v1.ts';
import type { KubeObject, List, ResourceType, Stored } from '../api/meta.ts';
import type {
  ApiClient,
  DeleteOptions,
  ListOptions,
  PatchType,
  Subresource,
  Watch,
  WatchEvent,
  WatchOptions,
} from '../client/client.ts';
import type { User } from './auth/user.ts';
import type { Registry, RequestOptions } from './registry/registry.ts';
import type { RegistryWatch } from './registry/watch.ts';

const BATCH = 500;

export interface Registries {
  /** Throws StatusError 404 for a resource that is not served. Waits until the server is ready. */
  registry<T extends KubeObject>(type: ResourceType<T>): Promise<Registry<T>>;
  requestToken(namespace: string, name: string, body: { spec: TokenRequestSpec }): Promise<TokenRequest>;
}

export class LocalClient implements ApiClient {
  readonly #registries: Registries;
  readonly #options: RequestOptions;

  constructor(registries: Registries, user: User, fieldManager: string) {
    this.#registries = registries;
    this.#options = { user, fieldManager };
  }

  async get<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
  ): Promise<Stored<T>> {
    return (await this.#registries.registry(type)).get(namespace, name);
  }

  async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<List<T>> {
    return (await this.#registries.registry(type)).list(options);
  }

  async create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<Stored<T>> {
    return (await this.#registries.registry(type)).create(object, this.#options);
  }

  async update<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: Subresource): Promise<Stored<T>> {
    return (await this.#registries.registry(type)).update(object, subresource, this.#options);
  }

  async patch<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    patchType: PatchType,
    patch: unknown,
    subresource?: Subresource,
  ): Promise<Stored<T>> {
    const registry = await this.#registries.registry(type);
    return registry.patch(namespace, name, patchType, patch, subresource, this.#options);
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    await (await this.#registries.registry(type)).delete(namespace, name, options, this.#options);
  }

  createToken(namespace: string, name: string, spec: TokenRequestSpec): Promise<TokenRequest> {
    return this.#registries.requestToken(namespace, name, { spec });
  }

  /** A watch to be read at the caller's pace, see RegistryWatch. */
  async openWatch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
    wake: () => void,
  ): Promise<RegistryWatch<T>> {
    return (await this.#registries.registry(type)).watch(options, wake);
  }

  watch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    onEnd: (error?: Error) => void,
  ): Watch {
    const watch = new LocalWatch(onEvent, onEnd);
    void watch.open((wake) => this.openWatch(type, options, wake));
    return watch;
  }
}

class LocalWatch<T extends KubeObject> implements Watch {
  readonly #onEvent: (event: WatchEvent<T>) => void;
  readonly #onEnd: (error?: Error) => void;
  #watch: RegistryWatch<T> | undefined;
  #closed = false;

  constructor(onEvent: (event: WatchEvent<T>) => void, onEnd: (error?: Error) => void) {
    this.#onEvent = onEvent;
    this.#onEnd = onEnd;
  }

  async open(open: (wake: () => void) => Promise<RegistryWatch<T>>): Promise<void> {
    try {
      this.#watch = await open(() => this.#drain());
    } catch (error) {
      this.#end(error as Error);
      return;
    }
    if (this.#closed) this.#watch.close();
    else this.#drain();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  #drain(): void {
    while (!this.#closed && this.#watch) {
      let events: WatchEvent<T>[];
      try {
        events = this.#watch.read(BATCH);
      } catch (error) {
        this.#end(error as Error);
        return;
      }
      if (events.length === 0) return;
      for (const event of events) {
        if (this.#closed) return;
        this.#onEvent(event);
      }
    }
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.close();
    this.#onEnd(error);
  }
}
