// How one resource is read: lists, whole or page by page, at a revision or at least as new as one, and watches. After
// k8s.io/apiserver/pkg/storage/etcd3/store.go (GetList) and cacher; resourceVersion as in the API concepts of Kubernetes.
import { apiVersionOf, type KubeObject, type List, type ResourceType, type Stored } from '../../api/meta.ts';
import { badRequest } from '../../api/status-error.ts';
import type { ListOptions, WatchOptions } from '../../client/client.ts';
import type { Store, StoreWatch } from '../storage/store.ts';
import { decodeContinue, encodeContinue } from './continue-token.ts';
import { listError, tooLarge, watchError } from './revision-errors.ts';
import { selection } from './selection.ts';
import type { Strategy } from './strategy.ts';
import { RegistryWatch } from './watch.ts';

export interface ChunkedListOptions extends ListOptions {
  readonly limit?: number;
  readonly continue?: string;
  /** '' or absent: the newest state; '0': any; a number: at least (or exactly, by resourceVersionMatch) that revision. */
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
}

export interface RegistryWatchOptions extends WatchOptions {
  /** true: first the objects there are, whatever the resourceVersion, and a bookmark after them; false: without them. */
  readonly sendInitialEvents?: boolean;
}

const FILTERED_PAGE = 1000;

export class Reading<T extends KubeObject> {
  readonly #strategy: Strategy<T>;
  readonly #store: Store;
  readonly #prefix: string;
  readonly #watches = new Set<RegistryWatch<T>>();

  constructor(strategy: Strategy<T>, store: Store) {
    this.#strategy = strategy;
    this.#store = store;
    this.#prefix = keyPrefix(strategy.type);
  }

  async list(options: ChunkedListOptions = {}): Promise<List<T>> {
    const matches = selection(this.#strategy, options);
    const prefix = this.#rangePrefix(options.namespace);
    const token = options.continue ? decodeContinue(options.continue) : undefined;
    if (token && options.resourceVersion && options.resourceVersion !== '0') {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    let revision = token && token.revision > 0 ? token.revision : undefined;
    if (!token && options.resourceVersion && options.resourceVersionMatch === 'Exact') {
      revision = this.#revision(options.resourceVersion);
    } else if (options.resourceVersion) await this.#notOlderThan(options.resourceVersion);
    const filtered = !!(options.labelSelector || options.fieldSelector);
    const { limit = 0 } = options;
    const items: Stored<T>[] = [];
    let after = token && prefix + token.after;
    let next: string | undefined;
    let remaining = 0;
    try {
      do {
        // Where most are filtered out, small pages would go over the range again and again.
        const page = await this.#store.list(prefix, {
          limit: limit > 0 && filtered ? Math.max(limit, FILTERED_PAGE) : limit,
          ...(after !== undefined ? { after } : {}),
          ...(revision !== undefined ? { revision } : {}),
        });
        revision = page.revision;
        remaining = page.remaining;
        next = undefined;
        for (const [i, object] of (page.objects as readonly Stored<T>[]).entries()) {
          if (!matches(object)) continue;
          items.push(object);
          if (items.length !== limit) continue;
          if (remaining > 0 || i < page.keys.length - 1) next = page.keys[i];
          break;
        }
        after = page.keys.at(-1);
      } while (remaining > 0 && items.length < limit);
    } catch (error) {
      throw listError(error, token?.after);
    }
    return {
      apiVersion: apiVersionOf(this.#strategy.type),
      kind: `${this.#strategy.type.kind}List`,
      metadata: {
        resourceVersion: String(revision),
        ...(next !== undefined
          ? { continue: encodeContinue({ revision: revision!, after: next.slice(prefix.length) }) }
          : {}),
        ...(next !== undefined && !filtered ? { remainingItemCount: remaining } : {}),
      },
      items,
    };
  }

  /** See RegistryWatch: read until [] first, then whenever `wake` is called. Rejects with StatusError 410 for a revision long gone. */
  async watch(options: RegistryWatchOptions, wake: () => void): Promise<RegistryWatch<T>> {
    const matches = selection(this.#strategy, options);
    const prefix = this.#rangePrefix(options.namespace);
    const store = this.#store;
    const asked = options.resourceVersion;
    const fromNow = asked === undefined || asked === '' || asked === '0';
    let from: StoreWatch;
    let initial: Stored<T>[] = [];
    try {
      if (fromNow || options.sendInitialEvents) {
        if (!fromNow) await this.#notOlderThan(asked);
        const { objects, revision } = await store.list(prefix);
        from = await store.watch(prefix, revision, wake);
        if (options.sendInitialEvents !== false) initial = (objects as readonly Stored<T>[]).filter(matches);
      } else from = await store.watch(prefix, this.#revision(asked), wake);
    } catch (error) {
      throw watchError(error);
    }
    const watch: RegistryWatch<T> = new RegistryWatch(from, wake, {
      type: this.#strategy.type,
      matches,
      translateError: watchError,
      bookmarks: options.allowWatchBookmarks ?? false,
      initial,
      markEnd: options.sendInitialEvents === true && options.allowWatchBookmarks === true,
      closed: (closed) => this.#watches.delete(closed),
    });
    this.#watches.add(watch);
    return watch;
  }

  /** Watches that want bookmarks get one. */
  bookmark(): void {
    for (const watch of this.#watches) watch.remind();
  }

  #rangePrefix(namespace: string | undefined): string {
    return this.#strategy.type.namespaced && namespace ? `${this.#prefix}${namespace}/` : this.#prefix;
  }

  #revision(text: string): number {
    if (/^\d{1,15}$/.test(text)) return Number(text);
    const quoted = JSON.stringify(text);
    const why = `Invalid value: ${quoted}: strconv.ParseUint: parsing ${quoted}: invalid syntax`;
    throw badRequest(`invalid resource version: resourceVersion: ${why}`);
  }

  async #notOlderThan(text: string): Promise<void> {
    const asked = this.#revision(text);
    const current = await this.#store.revision();
    if (asked > current) throw tooLarge(asked, current);
  }
}

/** `/registry/pods/`, `/registry/apps/deployments/`. */
export function keyPrefix(type: ResourceType): string {
  return type.group === '' ? `/registry/${type.resource}/` : `/registry/${type.group}/${type.resource}/`;
}
