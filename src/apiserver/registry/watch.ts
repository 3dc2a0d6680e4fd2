// A watch on one resource: store events, filtered by selectors, as ADDED, MODIFIED and DELETED. An object that stops matching
// reads as DELETED (with its last matching state), one that begins to match as ADDED: the rules of
// k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go. The reader sets the pace: see StoreWatch.
import { apiVersionOf, type KubeObject, type ResourceType, type Stored } from '../../api/meta.ts';
import type { WatchEvent } from '../../client/client.ts';
import { freeze } from '../../lib/tree.ts';
import type { StoreEvent, StoreWatch } from '../storage/store.ts';

export type Match<T extends KubeObject> = (object: Stored<T>) => boolean;

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export interface RegistryWatchSettings<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly matches: Match<T>;
  readonly translateError: (error: unknown) => Error;
  readonly bookmarks: boolean;
  /** Objects to begin with; `markEnd` adds the bookmark that says where they end (streaming lists). */
  readonly initial: Stored<T>[];
  readonly markEnd: boolean;
  readonly closed: (watch: RegistryWatch<T>) => void;
}

export class RegistryWatch<T extends KubeObject> {
  readonly #store: StoreWatch;
  readonly #wake: () => void;
  readonly #settings: RegistryWatchSettings<T>;
  #initial: Stored<T>[];
  #initialAt = 0;
  #markEnd: boolean;
  #bookmarkDue = false;

  constructor(store: StoreWatch, wake: () => void, settings: RegistryWatchSettings<T>) {
    this.#store = store;
    this.#wake = wake;
    this.#settings = settings;
    this.#initial = settings.initial;
    this.#markEnd = settings.markEnd;
  }

  /** Events in order, about `max`; [] when there is none now, then `wake` is called. Throws StatusError 410. */
  read(max: number): WatchEvent<T>[] {
    if (this.#initialAt < this.#initial.length) {
      const objects = this.#initial.slice(this.#initialAt, this.#initialAt + max);
      this.#initialAt += objects.length;
      return objects.map((object) => ({ type: 'ADDED', object }));
    }
    this.#initial = [];
    this.#initialAt = 0;
    if (this.#markEnd) {
      this.#markEnd = false;
      return [this.#bookmark({ [INITIAL_EVENTS_END]: 'true' })];
    }
    for (;;) {
      const events = this.#readStore(max);
      if (events.length === 0) break;
      const out: WatchEvent<T>[] = [];
      for (const event of events) {
        const translated = this.#translate(event);
        if (translated) out.push(translated);
      }
      if (out.length > 0) return out;
    }
    if (!this.#bookmarkDue) return [];
    this.#bookmarkDue = false;
    return [this.#bookmark()];
  }

  /** History has slid past what has not been read: the next `read` throws. */
  get lost(): boolean {
    return this.#store.lost;
  }

  /** It is time for a bookmark, or to notice that the watch is lost. */
  remind(): void {
    if (this.lost) this.#wake();
    if (!this.#settings.bookmarks || this.#bookmarkDue) return;
    this.#bookmarkDue = true;
    this.#wake();
  }

  /** Idempotent. */
  close(): void {
    this.#initial = [];
    this.#store.close();
    this.#settings.closed(this);
  }

  #readStore(max: number): StoreEvent[] {
    try {
      return this.#store.read(max);
    } catch (error) {
      throw this.#settings.translateError(error);
    }
  }

  #translate({ type, object, previous, revision }: StoreEvent): WatchEvent<T> | undefined {
    const { matches } = this.#settings;
    const matched = previous !== undefined && matches(previous as Stored<T>);
    const now = type === 'put' && matches(object as Stored<T>);
    if (now) return { type: matched ? 'MODIFIED' : 'ADDED', object: object as Stored<T> };
    if (!matched) return undefined;
    if (type === 'delete') return { type: 'DELETED', object: object as Stored<T> };
    const metadata = { ...previous.metadata, resourceVersion: String(revision) };
    return { type: 'DELETED', object: freeze({ ...previous, metadata }) as Stored<T> };
  }

  #bookmark(annotations?: Record<string, string>): WatchEvent<T> {
    const { type } = this.#settings;
    const metadata = { resourceVersion: String(this.#store.revision), ...(annotations ? { annotations } : {}) };
    return { type: 'BOOKMARK', object: { apiVersion: apiVersionOf(type), kind: type.kind, metadata } };
  }
}
