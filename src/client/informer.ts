// A local, always current copy of one kind of object, with handlers for its changes and indexes over it. After
// k8s.io/client-go/tools/cache (SharedIndexInformer). One informer may be shared by many; objects in it are frozen.
// Differences: no resync period (handlers hear of changes only), handlers run synchronously in the order they were added,
// after the copy and its indexes have been brought up to date.
import type { KubeObject, List, ResourceType, Stored } from '../api/meta.ts';
import type { Clock } from '../lib/clock.ts';
import type { ApiClient, ListOptions } from './client.ts';
import { Reflector } from './reflector.ts';

export interface InformerOptions<T extends KubeObject> extends ListOptions {
  client: ApiClient;
  type: ResourceType<T>;
  clock: Clock;
  /** A list or watch failed; it is retried anyway. */
  onError?: (error: unknown) => void;
}

export interface InformerHandler<T extends KubeObject> {
  add?(object: Stored<T>): void;
  /** Also called when an object was deleted and made anew unseen: `old` then has another uid. */
  update?(old: Stored<T>, object: Stored<T>): void;
  /** The last state known. */
  delete?(object: Stored<T>): void;
}

export type IndexFunction<T extends KubeObject> = (object: Stored<T>) => readonly string[];

interface Index<T extends KubeObject> {
  readonly values: IndexFunction<T>;
  readonly keys: Map<string, Set<string>>;
}

/** `namespace/name`, or `name` for an object without a namespace. */
export function keyOf(object: KubeObject): string {
  const { namespace, name = '' } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

export class Informer<T extends KubeObject> {
  /** Resolves when the first list has been taken in and its handlers have run. Never rejects. */
  readonly synced: Promise<void>;
  readonly #reflector: Reflector<T>;
  readonly #objects = new Map<string, Stored<T>>();
  readonly #handlers = new Set<InformerHandler<T>>();
  readonly #indexes = new Map<string, Index<T>>();
  #resolveSynced: () => void = () => {};
  #hasSynced = false;
  #closed = false;

  constructor(options: InformerOptions<T>) {
    const { onError, ...rest } = options;
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
    this.#reflector = new Reflector({
      ...rest,
      sink: {
        replace: (list) => this.#replace(list),
        event: (type, object) => (type === 'DELETED' ? this.#remove(keyOf(object), object) : this.#put(object)),
        ...(onError ? { failed: onError } : {}),
      },
    });
  }

  /** Idempotent. */
  start(): void {
    this.#reflector.start();
  }

  hasSynced(): boolean {
    return this.#hasSynced;
  }

  get(key: string): Stored<T> | undefined {
    return this.#objects.get(key);
  }

  /** All objects, in no particular order. A new array: O(n). */
  list(): Stored<T>[] {
    return [...this.#objects.values()];
  }

  get size(): number {
    return this.#objects.size;
  }

  /** A handler added late gets `add` for every object there is, before this returns. The result removes the handler. */
  addHandler(handler: InformerHandler<T>): () => void {
    this.#handlers.add(handler);
    for (const object of [...this.#objects.values()]) handler.add?.(object);
    return () => this.#handlers.delete(handler);
  }

  /** Objects found by what `values` returns for them; see `byIndex`. */
  addIndex(name: string, values: IndexFunction<T>): void {
    const index: Index<T> = { values, keys: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) insert(index, key, object);
  }

  /** The objects whose index `name` has `value`. Throws for an unknown index. */
  byIndex(name: string, value: string): Stored<T>[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`informer has no index "${name}"`);
    const out: Stored<T>[] = [];
    for (const key of index.keys.get(value) ?? []) out.push(this.#objects.get(key)!);
    return out;
  }

  /** Idempotent; no handler is called after it. What was known stays readable. */
  close(): void {
    this.#closed = true;
    this.#reflector.close();
  }

  #replace(list: List<T>): void {
    const gone = new Set(this.#objects.keys());
    for (const object of list.items) {
      gone.delete(keyOf(object));
      this.#put(object);
    }
    for (const key of gone) this.#remove(key);
    if (this.#closed || this.#hasSynced) return;
    this.#hasSynced = true;
    this.#resolveSynced();
  }

  #put(object: Stored<T>): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old && old.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) {
      if (old) erase(index, key, old);
      insert(index, key, object);
    }
    for (const handler of [...this.#handlers]) {
      if (this.#closed) return;
      if (old) handler.update?.(old, object);
      else handler.add?.(object);
    }
  }

  #remove(key: string, last?: Stored<T>): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) erase(index, key, old);
    for (const handler of [...this.#handlers]) {
      if (this.#closed) return;
      handler.delete?.(last ?? old);
    }
  }
}

function insert<T extends KubeObject>(index: Index<T>, key: string, object: Stored<T>): void {
  for (const value of index.values(object)) {
    let keys = index.keys.get(value);
    if (!keys) index.keys.set(value, (keys = new Set()));
    keys.add(key);
  }
}

function erase<T extends KubeObject>(index: Index<T>, key: string, object: Stored<T>): void {
  for (const value of index.values(object)) {
    const keys = index.keys.get(value);
    if (keys?.delete(key) && keys.size === 0) index.keys.delete(value);
  }
}
