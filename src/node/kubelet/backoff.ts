// The kubelet's back-off for containers that fail and images that cannot be had (pkg/kubelet: 10 s doubling to 5 min,
// forgotten after 10 minutes of running well). Milliseconds.

const INITIAL_MS = 10_000;
const MAX_MS = 300_000;
const RESET_AFTER_MS = 600_000;

export class Backoff {
  #nextMs = 0;

  /** How long to wait before the next try. The first try after the first failure is at once. `ranMs`: how long it ran. */
  failed(ranMs: number): number {
    if (ranMs >= RESET_AFTER_MS) this.#nextMs = 0;
    const wait = this.#nextMs;
    this.#nextMs = wait === 0 ? INITIAL_MS : Math.min(MAX_MS, wait * 2);
    return wait;
  }

  /** As failed, for what is never retried at once: images. */
  refused(): number {
    if (this.#nextMs === 0) this.#nextMs = INITIAL_MS;
    return this.failed(0);
  }
}
