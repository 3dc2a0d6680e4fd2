// Where objects are kept: ordered keys, one revision counter for all of them, conditional writes, watches. Modelled on what
// the Kubernetes API server asks of etcd (k8s.io/apiserver/pkg/storage/interfaces.go, etcd's MVCC). Kinds: `memory.ts`; every
// kind passes test/apiserver/storage/conformance.ts.
//
// Objects that come out carry their revision in metadata.resourceVersion and are frozen: they are shared by everybody.
// A commit takes ownership of the objects it is given and freezes them; the caller may go on reading them.
import type { KubeObject, Stored } from '../../api/meta.ts';

export interface Write {
  readonly key: string;
  /** Absent: the key is deleted. */
  readonly object?: KubeObject;
  /** Revision that the key's object must have; 0: the key must not exist. Absent: whatever is there (a delete needs something). */
  readonly expect?: number;
}

export type CommitResult =
  | { readonly ok: true; readonly revision: number; readonly objects: readonly (Stored | undefined)[] }
  /** Nothing was written, because of `key`, which holds `current`. */
  | { readonly ok: false; readonly key: string; readonly current: Stored | undefined };

export interface ListRange {
  /** At most so many. */
  readonly limit?: number;
  /** Only keys after this one. */
  readonly after?: string;
  /** State as of this revision; fails with CompactedError or FutureRevisionError. Absent: now. */
  readonly revision?: number;
}

export interface StoreList {
  /** The revision that this state is of. */
  readonly revision: number;
  /** In key order. */
  readonly objects: readonly Stored[];
  readonly keys: readonly string[];
  /** How many more there are after the limit. */
  readonly remaining: number;
}

export interface StoreEvent {
  readonly revision: number;
  readonly key: string;
  /** Deleted: the last state, with the revision of the deletion as its resourceVersion. */
  readonly type: 'put' | 'delete';
  readonly object: Stored;
  /** The state before; absent when the key was created. */
  readonly previous: Stored | undefined;
}

/**
 * A position in the history of a key prefix. Reading is the caller's pace: a slow reader costs no memory, and when the
 * history it has not read yet is compacted away, `read` throws CompactedError.
 */
export interface StoreWatch {
  /** The next events in revision order, at most `max`; [] when there is none (then `wake` is called once there is one). */
  read(max: number): StoreEvent[];
  /** Everything of this prefix up to this revision has been read. */
  readonly revision: number;
  /** What has not been read yet is compacted away: `read` will throw. */
  readonly lost: boolean;
  /** Idempotent; `wake` is not called any more. */
  close(): void;
}

export interface Store {
  /** The revision of the last commit. An empty store is at revision 1. */
  revision(): Promise<number>;
  get(key: string): Promise<Stored | undefined>;
  list(prefix: string, range?: ListRange): Promise<StoreList>;
  /** All writes or none, at one new revision, which is durable (as far as this kind of store goes) when this resolves. */
  commit(writes: readonly Write[]): Promise<CommitResult>;
  /**
   * Events of keys under `prefix` after `afterRevision`. `wake` is called, from a microtask, once when events can be read, and
   * again only after a `read` has returned []. Rejects with CompactedError or FutureRevisionError.
   */
  watch(prefix: string, afterRevision: number, wake: () => void): Promise<StoreWatch>;
  /** Forgets history up to `revision`: states before it and events up to it are gone. */
  compact(revision: number): Promise<void>;
  /** Idempotent. Watches end silently. */
  close(): Promise<void>;
}

/** History older than this has been given up; list anew. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError';
  readonly asked: number;
  readonly oldest: number;

  constructor(asked: number, oldest: number) {
    super(`revision ${asked} has been compacted, the oldest is ${oldest}`);
    this.asked = asked;
    this.oldest = oldest;
  }
}

/** A revision that has not been reached yet. */
export class FutureRevisionError extends Error {
  override readonly name = 'FutureRevisionError';
  readonly asked: number;
  readonly current: number;

  constructor(asked: number, current: number) {
    super(`revision ${asked} is in the future, the current one is ${current}`);
    this.asked = asked;
    this.current = current;
  }
}

export function revisionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion);
}
