// The common frame of a controller: a queue of keys and a function that brings one key to its desired state. A failure comes
// back with backoff; a conflict with another writer is an ordinary case and is only tried again.
import { isStatus } from '../api/status-error.ts';
import { WorkQueue } from '../client/workqueue.ts';
import type { Controller, ControllerContext } from './context.ts';

export class ControlLoop implements Controller {
  readonly queue: WorkQueue;
  readonly #sync: (key: string) => Promise<void>;
  readonly #workers: number;
  #running = false;

  constructor(ctx: ControllerContext, name: string, sync: (key: string) => Promise<void>, workers: number = 1) {
    this.#sync = sync;
    this.#workers = workers;
    this.queue = new WorkQueue({
      clock: ctx.clock,
      onError: (error, key) => {
        if (!isStatus(error, 'Conflict')) ctx.onError?.(error, `${name} ${key}`);
      },
    });
  }

  run(): void {
    if (this.#running) return;
    this.#running = true;
    void this.queue.run(this.#sync, this.#workers);
  }

  close(): void {
    this.queue.close();
  }
}

/** `namespace/name` taken apart. */
export function splitKey(key: string): [namespace: string, name: string] {
  const at = key.indexOf('/');
  return at < 0 ? ['', key] : [key.slice(0, at), key.slice(at + 1)];
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
