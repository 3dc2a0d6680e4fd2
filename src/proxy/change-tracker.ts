// Changes that happened since the last sync, one entry an object: (previous, current), where previous is the state before
// all of them. An object that is back where it was drops out. After ServiceChangeTracker and EndpointsChangeTracker of
// pkg/proxy, v1.31.

export interface Change<V> {
  readonly previous: V | undefined;
  readonly current: V | undefined;
}

export class ChangeTracker<V> {
  readonly #pending = new Map<string, Change<V>>();
  readonly #equal: (a: V | undefined, b: V | undefined) => boolean;

  constructor(equal: (a: V | undefined, b: V | undefined) => boolean) {
    this.#equal = equal;
  }

  /** Records a change of one object; `previous` is what it was just before. Returns whether a sync has anything to do. */
  update(key: string, previous: V | undefined, current: V | undefined): boolean {
    const before = this.#pending.has(key) ? this.#pending.get(key)!.previous : previous;
    if (this.#equal(before, current)) this.#pending.delete(key);
    else this.#pending.set(key, { previous: before, current });
    return this.#pending.size > 0;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** All changes, in the order their objects first changed; none are left. */
  drain(): [key: string, change: Change<V>][] {
    const changes = [...this.#pending];
    this.#pending.clear();
    return changes;
  }
}
