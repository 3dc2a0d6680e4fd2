// The store in memory: a Map of frozen objects, their keys in order, and the last events as one shared history.
//
// History is a sliding window: at most `history` events, and not more than `historyBytes` of objects (then the oldest tenth goes at
// once). A watch holds no queue: it is a position in the history, or, while it has read everything that concerns it, no
// position at all (so an idle watch never expires). States of past revisions are rebuilt by undoing the events since. Revisions start at 1.
import type { KubeObject, Stored } from '../../api/meta.ts';
import { freeze } from '../../lib/tree.ts';
import { SortedKeys } from './sorted-keys.ts';
import {
  type CommitResult,
  CompactedError,
  FutureRevisionError,
  type ListRange,
  revisionOf,
  type Store,
  type StoreEvent,
  type StoreList,
  type StoreWatch,
  type Write,
} from './store.ts';

export interface MemoryStoreOptions {
  /** How many events are kept for watches and for lists of the past, at most. */
  history?: number;
  /** And how heavy their objects may be together, about in bytes. */
  historyBytes?: number;
  /** State to begin with, as it was at a revision; what was before is compacted. */
  initial?: { readonly revision: number; readonly objects: Iterable<readonly [key: string, object: Stored]> };
}

const DEFAULT_HISTORY = 50_000;
const DEFAULT_HISTORY_BYTES = 256 * 1024 * 1024;
/** Of a member or an item, beside its text. */
const NODE_BYTES = 16;

export class MemoryStore implements Store {
  readonly #objects = new Map<string, Stored>();
  readonly #keys = new SortedKeys();
  readonly #history: number;
  readonly #historyBytes: number;
  /** By prefix: a commit asks once for each prefix, not for each watch. */
  readonly #watches = new Map<string, Set<MemoryWatch>>();
  /** Events after #oldest, in order; several may share a revision. */
  readonly #log: StoreEvent[] = [];
  /** The weight of each event in #log, and of all. */
  readonly #weights: number[] = [];
  #weight = 0;
  /** How many events were dropped from the front of #log since the start: the serial number of #log[0]. */
  #dropped = 0;
  #revision = 1;
  /** The oldest revision whose state can be told. */
  #oldest = 1;

  constructor(options: MemoryStoreOptions = {}) {
    this.#history = options.history ?? DEFAULT_HISTORY;
    this.#historyBytes = options.historyBytes ?? DEFAULT_HISTORY_BYTES;
    if (options.initial) {
      this.#revision = options.initial.revision;
      this.#oldest = this.#revision;
      for (const [key, object] of options.initial.objects) {
        this.#objects.set(key, freeze(object));
        this.#keys.add(key);
      }
    }
  }

  async revision(): Promise<number> {
    return this.#revision;
  }

  async get(key: string): Promise<Stored | undefined> {
    return this.#objects.get(key);
  }

  async list(prefix: string, range: ListRange = {}): Promise<StoreList> {
    const revision = range.revision ?? this.#revision;
    this.#checkRevision(revision);
    const limit = range.limit && range.limit > 0 ? range.limit : Number.POSITIVE_INFINITY;
    const keys: string[] = [];
    const objects: Stored[] = [];
    let remaining = 0;
    for (const [key, object] of this.#state(prefix, range.after, revision)) {
      if (objects.length < limit) {
        keys.push(key);
        objects.push(object);
      } else remaining++;
    }
    return { revision, objects, keys, remaining };
  }

  async commit(writes: readonly Write[]): Promise<CommitResult> {
    for (const { key, object, expect } of writes) {
      const current = this.#objects.get(key);
      const missing = object === undefined && current === undefined;
      if (missing || (expect !== undefined && (current ? revisionOf(current) : 0) !== expect)) {
        return { ok: false, key, current };
      }
    }
    const revision = ++this.#revision;
    const objects: (Stored | undefined)[] = [];
    for (const { key, object } of writes) {
      const previous = this.#objects.get(key);
      if (object === undefined) {
        if (!previous) continue; // an earlier write of this commit deleted it
        this.#objects.delete(key);
        this.#keys.delete(key);
        const last = { ...previous, metadata: { ...previous.metadata, resourceVersion: String(revision) } };
        this.#append({ revision, key, type: 'delete', object: freeze(last), previous });
        objects.push(undefined);
      } else {
        const stored = stamp(object, revision);
        this.#objects.set(key, stored);
        if (!previous) this.#keys.add(key);
        this.#append({ revision, key, type: 'put', object: stored, previous });
        objects.push(stored);
      }
    }
    this.#trim();
    return { ok: true, revision, objects };
  }

  async watch(prefix: string, afterRevision: number, wake: () => void): Promise<StoreWatch> {
    this.#checkRevision(afterRevision);
    const watch = new MemoryWatch(this, prefix, afterRevision, wake);
    let group = this.#watches.get(prefix);
    if (!group) this.#watches.set(prefix, (group = new Set()));
    group.add(watch);
    const start = this.#after(afterRevision);
    for (let i = start; i < this.#log.length; i++) {
      if (this.#log[i]!.key.startsWith(prefix)) {
        watch.reach(this.#dropped + i);
        break;
      }
    }
    return watch;
  }

  async compact(revision: number): Promise<void> {
    if (revision > this.#revision) throw new FutureRevisionError(revision, this.#revision);
    if (revision <= this.#oldest) return;
    this.#drop(this.#after(revision));
    this.#oldest = revision;
  }

  async close(): Promise<void> {
    for (const group of [...this.#watches.values()]) for (const watch of [...group]) watch.close();
  }

  /**
   * For MemoryWatch: events under `prefix` from serial number `from` on, and the serial number after the last one looked at.
   * `revision` is what has been read so far, for the error.
   */
  readFrom(prefix: string, from: number, max: number, revision: number): { events: StoreEvent[]; next: number } {
    if (from < this.#dropped) throw new CompactedError(revision, this.#oldest);
    const events: StoreEvent[] = [];
    let at = from - this.#dropped;
    while (at < this.#log.length && events.length < max) {
      const event = this.#log[at++]!;
      if (event.key.startsWith(prefix)) events.push(event);
    }
    return { events, next: this.#dropped + at };
  }

  /** For MemoryWatch: one past the serial number of the last event. */
  get endSerial(): number {
    return this.#dropped + this.#log.length;
  }

  /** For MemoryWatch: the serial number of the oldest event there still is. */
  get firstSerial(): number {
    return this.#dropped;
  }

  get currentRevision(): number {
    return this.#revision;
  }

  forget(watch: MemoryWatch): void {
    const group = this.#watches.get(watch.prefix);
    if (group?.delete(watch) && group.size === 0) this.#watches.delete(watch.prefix);
  }

  #append(event: StoreEvent): void {
    const serial = this.endSerial;
    this.#log.push(event);
    const weight = weightOf(event.object);
    this.#weights.push(weight);
    this.#weight += weight;
    for (const [prefix, group] of this.#watches) {
      if (event.key.startsWith(prefix)) for (const watch of group) watch.reach(serial);
    }
  }

  #trim(): void {
    if (this.#log.length <= this.#history && this.#weight <= this.#historyBytes) return;
    let end = Math.max(0, this.#log.length - Math.ceil(this.#history * 0.9));
    let left = this.#weight;
    for (let i = 0; i < end; i++) left -= this.#weights[i]!;
    // The last commit stays, however heavy.
    while (left > this.#historyBytes * 0.9 && end < this.#log.length - 1) left -= this.#weights[end++]!;
    if (end === 0) return;
    // Never cut a commit in two.
    while (end < this.#log.length && this.#log[end]!.revision === this.#log[end - 1]!.revision) end++;
    this.#oldest = this.#log[end - 1]!.revision;
    this.#drop(end);
  }

  #drop(count: number): void {
    this.#log.splice(0, count);
    for (const weight of this.#weights.splice(0, count)) this.#weight -= weight;
    this.#dropped += count;
  }

  #checkRevision(revision: number): void {
    if (revision > this.#revision) throw new FutureRevisionError(revision, this.#revision);
    if (revision < this.#oldest) throw new CompactedError(revision, this.#oldest);
  }

  /** Index in #log of the first event after `revision`. */
  #after(revision: number): number {
    let low = 0;
    let high = this.#log.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#log[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #state(prefix: string, after: string | undefined, revision: number): [string, Stored][] {
    const past = new Map<string, Stored | undefined>();
    for (let i = this.#after(revision); i < this.#log.length; i++) {
      const { key, previous } = this.#log[i]!;
      if (key.startsWith(prefix) && !past.has(key)) past.set(key, previous);
    }
    const state: [string, Stored][] = [];
    for (const key of this.#keys.range(prefix, after)) {
      const object = past.has(key) ? past.get(key) : this.#objects.get(key);
      if (object) state.push([key, object]);
    }
    let gone = false;
    for (const [key, previous] of past) {
      if (!previous || this.#objects.has(key) || (after !== undefined && key <= after)) continue;
      state.push([key, previous]);
      gone = true;
    }
    return gone ? state.sort(([a], [b]) => (a < b ? -1 : 1)) : state;
  }
}

class MemoryWatch implements StoreWatch {
  readonly prefix: string;
  readonly #store: MemoryStore;
  readonly #wake: () => void;
  /** Serial number of the next event to look at; -1 when nothing is unread. */
  #position = -1;
  #revision: number;
  /** A wake-up is under way, or has happened and `read` has not returned [] since. */
  #awake = false;
  #closed = false;

  constructor(store: MemoryStore, prefix: string, revision: number, wake: () => void) {
    this.#store = store;
    this.prefix = prefix;
    this.#revision = revision;
    this.#wake = wake;
  }

  get revision(): number {
    return this.#position < 0 ? this.#store.currentRevision : this.#revision;
  }

  get lost(): boolean {
    return this.#position >= 0 && this.#position < this.#store.firstSerial;
  }

  reach(serial: number): void {
    if (this.#position < 0) this.#position = serial;
    if (this.#awake) return;
    this.#awake = true;
    queueMicrotask(() => {
      if (!this.#closed) this.#wake();
    });
  }

  read(max: number): StoreEvent[] {
    if (this.#closed || this.#position < 0) {
      this.#awake = false;
      return [];
    }
    const { events, next } = this.#store.readFrom(this.prefix, this.#position, max, this.#revision);
    this.#position = next >= this.#store.endSerial ? -1 : next;
    const last = events.at(-1);
    if (last) this.#revision = last.revision;
    else this.#awake = false;
    return events;
  }

  close(): void {
    this.#closed = true;
    this.#store.forget(this);
  }
}

/** About how many bytes a tree takes: its texts and a little for every node. */
function weightOf(value: unknown): number {
  if (typeof value === 'string') return value.length + NODE_BYTES;
  if (value === null || typeof value !== 'object') return NODE_BYTES;
  let weight = NODE_BYTES;
  if (Array.isArray(value)) for (const item of value) weight += weightOf(item);
  else for (const key in value) weight += NODE_BYTES + weightOf((value as Record<string, unknown>)[key]);
  return weight;
}

/** Sets the revision and freezes; an object that is frozen already (stored elsewhere) is copied at the top. */
function stamp(object: KubeObject, revision: number): Stored {
  const resourceVersion = String(revision);
  if (Object.isFrozen(object) || Object.isFrozen(object.metadata)) {
    return freeze({ ...object, metadata: { ...object.metadata, resourceVersion } }) as Stored;
  }
  object.metadata.resourceVersion = resourceVersion;
  return freeze(object) as Stored;
}
