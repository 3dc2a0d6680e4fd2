// A watch on one resource: store events, filtered by selectors, as ADDED, MODIFIED and DELETED. An object that stops matching
// reads as DELETED (with its last matching state), one that begins to match as ADDED: the rules of
// k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go. The reader sets the pace: see StoreWatch.
import type { KubeObject, Stored } from '../../api/meta.ts';
import type { WatchEvent } from '../../client/client.ts';
import { freeze } from '../../lib/tree.ts';
import type { StoreEvent, StoreWatch } from '../storage/store.ts';

export type Match<T extends KubeObject> = (object: Stored<T>) => boolean;

export class RegistryWatch<T extends KubeObject> {
  #initial: Stored<T>[];
  readonly #store: StoreWatch;
  readonly #matches: Match<T>;
  readonly #translateError: (error: unknown) => Error;

  constructor(initial: Stored<T>[], store: StoreWatch, matches: Match<T>, translateError: (error: unknown) => Error) {
    this.#initial = initial;
    this.#store = store;
    this.#matches = matches;
    this.#translateError = translateError;
  }

  /** Everything up to this revision has been read; for bookmarks. */
  get revision(): number {
    return this.#store.revision;
  }

  /** Events in order, about `max`; [] when there is none now, then `wake` is called. Throws StatusError 410. */
  read(max: number): WatchEvent<T>[] {
    if (this.#initial.length > 0) {
      const objects = this.#initial.slice(0, max);
      this.#initial = this.#initial.slice(max);
      return objects.map((object) => ({ type: 'ADDED', object }));
    }
    for (;;) {
      const events = this.#readStore(max);
      if (events.length === 0) return [];
      const out: WatchEvent<T>[] = [];
      for (const event of events) {
        const translated = this.#translate(event);
        if (translated) out.push(translated);
      }
      if (out.length > 0) return out;
    }
  }

  close(): void {
    this.#initial = [];
    this.#store.close();
  }

  #readStore(max: number): StoreEvent[] {
    try {
      return this.#store.read(max);
    } catch (error) {
      throw this.#translateError(error);
    }
  }

  #translate({ type, object, previous, revision }: StoreEvent): WatchEvent<T> | undefined {
    const matched = previous !== undefined && this.#matches(previous as Stored<T>);
    const matches = type === 'put' && this.#matches(object as Stored<T>);
    if (matches) return { type: matched ? 'MODIFIED' : 'ADDED', object: object as Stored<T> };
    if (!matched) return undefined;
    if (type === 'delete') return { type: 'DELETED', object: object as Stored<T> };
    const metadata = { ...previous.metadata, resourceVersion: String(revision) };
    return { type: 'DELETED', object: freeze({ ...previous, metadata }) as Stored<T> };
  }
}
