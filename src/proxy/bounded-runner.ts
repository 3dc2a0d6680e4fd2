// Runs a function when asked, but not more often than once every so often, and at least every so often, after
// BoundedFrequencyRunner of pkg/util/async. Differences: the first request after a quiet time runs in the same turn of the
// event loop's end (so that a burst of events makes one run, at once), there is no burst allowance beyond that, and after a
// run that took long the next one waits as long, so that syncing never takes more than half of the thread.
import type { Clock, Timer } from '../lib/clock.ts';

/** Syncs closer together than this are one, whatever the configuration: cheaper, and too fast to notice. */
const COALESCE_US = 10_000;

export interface RunnerOptions {
  readonly clock: Clock;
  readonly minPeriodUs: number;
  readonly maxPeriodUs: number;
  readonly run: () => void;
}

export class BoundedRunner {
  readonly #clock: Clock;
  readonly #minPeriodUs: number;
  readonly #maxPeriodUs: number;
  readonly #run: () => void;
  #notBeforeUs = Number.NEGATIVE_INFINITY;
  #soon: Timer | null = null;
  #latest: Timer | null = null;
  #closed = false;

  constructor({ clock, minPeriodUs, maxPeriodUs, run }: RunnerOptions) {
    this.#clock = clock;
    this.#minPeriodUs = Math.max(minPeriodUs, COALESCE_US);
    this.#maxPeriodUs = maxPeriodUs;
    this.#run = run;
  }

  /** Asks for a run. */
  request(): void {
    if (this.#closed || this.#soon) return;
    this.#soon = this.#clock.after(Math.max(0, this.#notBeforeUs - this.#clock.nowUs()), this.#fire);
  }

  /** Runs now, whatever the bounds say. */
  runNow(): void {
    if (!this.#closed) this.#fire();
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#soon?.cancel();
    this.#latest?.cancel();
  }

  readonly #fire = (): void => {
    this.#soon?.cancel();
    this.#soon = null;
    this.#latest?.cancel();
    const startUs = this.#clock.nowUs();
    try {
      this.#run();
    } finally {
      const endUs = this.#clock.nowUs();
      this.#notBeforeUs = Math.max(startUs + this.#minPeriodUs, endUs + (endUs - startUs));
      if (!this.#closed) this.#latest = this.#clock.after(this.#maxPeriodUs, this.#fire);
    }
  };
}
