// How everything but the API server itself reaches the API: the same interface whether the server is in this thread, behind
// a message port or, later, behind HTTPS. Methods reject with StatusError. Objects given out must not be mutated.
import type { TokenRequest, TokenRequestSpec } from '../api/authentication-v1.ts';
import type { KubeObject, List, ResourceType, Stored } from '../api/meta.ts';

export interface ListOptions {
  /** All namespaces when absent. */
  namespace?: string;
  /** As `kubectl -l`: `app=web,tier in (a,b),!x`. */
  labelSelector?: string;
  /** As `--field-selector`: `metadata.name=x`, `spec.nodeName=n`, `status.phase!=Failed`. */
  fieldSelector?: string;
}

export interface WatchOptions extends ListOptions {
  /** Events after this revision; '0' or absent: first an ADDED for each object there is. */
  resourceVersion?: string;
  allowWatchBookmarks?: boolean;
}

export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Stored<T> }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject };

export interface Watch {
  /** Idempotent; no event is delivered after it. */
  close(): void;
}

export interface DeleteOptions {
  /** 0: at once, without waiting for the kubelet. */
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: { uid?: string; resourceVersion?: string };
}

export type PatchType = 'json' | 'merge' | 'strategic';
/**
 * `binding` (Pods): update with `spec.nodeName` set puts an unassigned Pod on that Node; nothing else of it is read.
 * `scale` (workloads): takes and returns an autoscaling/v1 Scale. `finalize` (Namespaces): the only way to change spec.finalizers.
 */
export type Subresource = 'status' | 'scale' | 'binding' | 'finalize' | 'ephemeralcontainers' | 'approval';

export interface ApiClient {
  get<T extends KubeObject>(type: ResourceType<T>, namespace: string | undefined, name: string): Promise<Stored<T>>;
  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<List<T>>;
  create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<Stored<T>>;
  /** Replaces; metadata.resourceVersion, when present, must match (409 Conflict otherwise). */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: Subresource): Promise<Stored<T>>;
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    patchType: PatchType,
    patch: unknown,
    subresource?: Subresource,
  ): Promise<Stored<T>>;
  delete<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    options?: DeleteOptions,
  ): Promise<void>;
  /** serviceaccounts/NAME/token. */
  createToken(namespace: string, name: string, spec: TokenRequestSpec): Promise<TokenRequest>;
  /** Calls `onEvent` in revision order. `onEnd` is called at most once, when the server ended the watch (410 Gone: list again). */
  watch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    onEnd: (error?: Error) => void,
  ): Watch;
}
