// A queue of keys for control loops, after k8s.io/client-go/util/workqueue: a key waits at most once, is never worked on
// twice at the same time, and one added while it is being worked on is queued again afterwards. Failures come back with
// exponential backoff per key (5 ms doubling to 1000 s, as ItemExponentialFailureRateLimiter).
// Leaves out: the overall token bucket, metrics, fairness between priorities. Delays in microseconds.
import type { Clock, Timer } from '../lib/clock.ts';

export interface WorkQueueOptions {
  clock: Clock;
  baseDelayUs?: number;
  maxDelayUs?: number;
  /** Called with what a handler threw, before the key is queued again. */
  onError?: (error: unknown, key: string) => void;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #baseDelayUs: number;
  readonly #maxDelayUs: number;
  readonly #onError: (error: unknown, key: string) => void;
  /** Insertion order is queue order. */
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  /** Added while being worked on. */
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #delayed = new Map<string, { dueUs: number; timer: Timer }>();
  #idleWorkers: (() => void)[] = [];
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#baseDelayUs = options.baseDelayUs ?? 5_000;
    this.#maxDelayUs = options.maxDelayUs ?? 1_000_000_000;
    this.#onError = options.onError ?? (() => {});
  }

  add(key: string): void {
    if (this.#closed) return;
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#waiting.add(key);
    this.#idleWorkers.shift()?.();
  }

  /** Adds the key after a delay; of several delays for one key the shortest counts. */
  addAfter(key: string, delayUs: number): void {
    if (this.#closed) return;
    if (delayUs <= 0) {
      this.add(key);
      return;
    }
    const dueUs = this.#clock.nowUs() + delayUs;
    const pending = this.#delayed.get(key);
    if (pending && pending.dueUs <= dueUs) return;
    pending?.timer.cancel();
    const timer = this.#clock.after(delayUs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { dueUs, timer });
  }

  /** Adds the key after its backoff, which doubles with every call until `forget`. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, Math.min(this.#baseDelayUs * 2 ** Math.min(failures, 40), this.#maxDelayUs));
  }

  /** The key has succeeded: its backoff starts anew. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  requeues(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Keys that wait now, without delayed ones. */
  get length(): number {
    return this.#waiting.size;
  }

  /** Nothing waits and nothing is being worked on (delayed keys may be pending). */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#working.size === 0;
  }

  /**
   * Works on keys, `workers` at a time, until `close`; resolves when the last handler has returned. A handler that
   * returns means success (`forget`); one that throws is retried with backoff.
   */
  async run(handler: (key: string) => Promise<void> | void, workers: number = 1): Promise<void> {
    await Promise.all(Array.from({ length: workers }, () => this.#work(handler)));
  }

  /** Idempotent. What is being worked on finishes, the rest is dropped. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    this.#waiting.clear();
    this.#again.clear();
    const idle = this.#idleWorkers;
    this.#idleWorkers = [];
    for (const wake of idle) wake();
  }

  async #work(handler: (key: string) => Promise<void> | void): Promise<void> {
    while (!this.#closed) {
      const next = this.#waiting.values().next();
      if (next.done) {
        await new Promise<void>((resolve) => this.#idleWorkers.push(resolve));
        continue;
      }
      const key = next.value;
      this.#waiting.delete(key);
      this.#working.add(key);
      try {
        await handler(key);
        this.forget(key);
      } catch (error) {
        this.#onError(error, key);
        this.addRateLimited(key);
      } finally {
        this.#working.delete(key);
        if (this.#again.delete(key)) this.add(key);
      }
    }
  }
}
