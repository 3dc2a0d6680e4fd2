// The common frame of a controller: a queue of keys and a function that brings one key to its desired state. A failure comes
// back with backoff; having worked from a state that is no longer true is an ordinary case and is only tried again.
//
// Pacing: most rounds cost microseconds and follow each change at once. A round over hundreds of Pods costs milliseconds, and
// there may be a change a Pod; so after a round that took long the same key rests for a multiple of that time, and the changes
// of the meantime are one round. On a virtual clock rounds take no time, and nothing rests.
import { isStatus } from '../api/status-error.ts';
import { WorkQueue } from '../client/workqueue.ts';
import type { Clock } from '../lib/clock.ts';
import type { Controller, ControllerContext } from './context.ts';

const SHORT_US = 1000;
const REST_FACTOR = 3;
const MAX_REST_US = 50_000;
const PRUNE_AT = 1024;

export class ControlLoop implements Controller {
  readonly queue: WorkQueue;
  readonly #clock: Clock;
  readonly #sync: (key: string) => Promise<void>;
  readonly #workers: number;
  /** Keys that rest, and until when. */
  readonly #restsUntilUs = new Map<string, number>();
  #running = false;

  constructor(ctx: ControllerContext, name: string, sync: (key: string) => Promise<void>, workers: number = 1) {
    this.#clock = ctx.clock;
    this.#sync = sync;
    this.#workers = workers;
    this.queue = new WorkQueue({
      clock: ctx.clock,
      onError: (error, key) => {
        if (!isStale(error)) ctx.onError?.(error, `${name} ${key}`);
      },
    });
  }

  run(): void {
    if (this.#running) return;
    this.#running = true;
    void this.queue.run((key) => this.#round(key), this.#workers);
  }

  close(): void {
    this.queue.close();
  }

  async #round(key: string): Promise<void> {
    const startUs = this.#clock.nowUs();
    const restsUntilUs = this.#restsUntilUs.get(key);
    if (restsUntilUs !== undefined && restsUntilUs > startUs) {
      this.queue.addAfter(key, restsUntilUs - startUs);
      return;
    }
    this.#restsUntilUs.delete(key);
    await this.#sync(key);
    const nowUs = this.#clock.nowUs();
    const tookUs = nowUs - startUs;
    if (tookUs < SHORT_US) return;
    if (this.#restsUntilUs.size >= PRUNE_AT) this.#prune(nowUs);
    this.#restsUntilUs.set(key, nowUs + Math.min(tookUs * REST_FACTOR, MAX_REST_US));
  }

  #prune(nowUs: number): void {
    for (const [key, untilUs] of this.#restsUntilUs) if (untilUs <= nowUs) this.#restsUntilUs.delete(key);
  }
}

/** `namespace/name` taken apart. */
export function splitKey(key: string): [namespace: string, name: string] {
  const at = key.indexOf('/');
  return at < 0 ? ['', key] : [key.slice(0, at), key.slice(at + 1)];
}

/** The request was refused because the watch was behind: the object has changed, was made, or is gone (a PUT may then mean
 * to make it anew). */
export function isStale(error: unknown): boolean {
  if (isStatus(error, 'Conflict') || isStatus(error, 'AlreadyExists') || isStatus(error, 'NotFound')) return true;
  return isStatus(error, 'BadRequest') && /^resourceVersion should not be set/.test((error as Error).message);
}

/** Waits for `work`, taking the given Status reasons for success: the object is gone, or already there. */
export async function tolerate(
  work: Promise<unknown>,
  ...reasons: ('NotFound' | 'AlreadyExists' | 'Conflict')[]
): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!reasons.some((r) => isStatus(error, r))) throw error;
  }
}

/** A request refused because its namespace is being deleted: it will never succeed. */
export function isNamespaceTerminating(error: unknown): boolean {
  return isStatus(error, 'Forbidden') && /because it is being terminated/.test((error as Error).message);
}
