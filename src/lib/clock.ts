// Time as an injected object. `now` is monotonic microseconds; wall time is milliseconds since the epoch.
// The real clock stands on Node's timers; the virtual one moves only when a test or a simulation advances it.

export interface Timer {
  /** Idempotent; a cancelled timer never fires. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic microseconds, from an arbitrary start. */
  nowUs(): number;
  /** Milliseconds since the Unix epoch. */
  unixMs(): number;
  /** Calls `fn` once, not before `delayUs` microseconds from now. */
  after(delayUs: number, fn: () => void): Timer;
}

export class RealClock implements Clock {
  /** So that the scale is performance.now()'s, and milliseconds stay small integers. */
  readonly #originUs = hrtimeUs() - performance.now() * 1000;

  nowUs(): number {
    return hrtimeUs() - this.#originUs;
  }

  unixMs(): number {
    return Date.now();
  }

  after(delayUs: number, fn: () => void): Timer {
    const handle = setTimeout(fn, Math.ceil(delayUs / 1000));
    return { cancel: () => clearTimeout(handle) };
  }
}

/** The same clock as performance.now(), whose result V8 boxes at each call; this array does not outlive inlining. */
function hrtimeUs(): number {
  const [s, ns] = process.hrtime();
  return s * 1e6 + ns / 1e3;
}

interface Pending {
  readonly dueUs: number;
  readonly order: number;
  readonly fn: () => void;
}

/** A clock that stands still until told to move. Timers fire in due order, ties in the order they were armed. */
export class VirtualClock implements Clock {
  #nowUs = 0;
  #order = 0;
  readonly #startMs: number;
  readonly #pending = new Set<Pending>();

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  nowUs(): number {
    return this.#nowUs;
  }

  unixMs(): number {
    return this.#startMs + Math.floor(this.#nowUs / 1000);
  }

  after(delayUs: number, fn: () => void): Timer {
    const pending: Pending = { dueUs: this.#nowUs + Math.max(0, delayUs), order: this.#order++, fn };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Moves time forward by `us`, running every timer that falls due, synchronously. */
  advance(us: number): void {
    const untilUs = this.#nowUs + us;
    for (let next = this.#next(untilUs); next; next = this.#next(untilUs)) this.#fire(next);
    this.#nowUs = untilUs;
  }

  /**
   * As `advance`, but lets promises and streams settle (one turn of the event loop) before the first timer and after
   * each, so that code written with `await` runs to its next wait.
   */
  async run(us: number): Promise<void> {
    const untilUs = this.#nowUs + us;
    await settle();
    for (let next = this.#next(untilUs); next; next = this.#next(untilUs)) {
      this.#fire(next);
      await settle();
    }
    this.#nowUs = untilUs;
    await settle();
  }

  /** Runs until `done()` holds; throws when `limitUs` of virtual time pass without it. */
  async until(done: () => boolean, limitUs: number): Promise<void> {
    const untilUs = this.#nowUs + limitUs;
    await settle();
    while (!done()) {
      const next = this.#next(untilUs);
      if (!next) throw new Error(`virtual clock: condition not met within ${limitUs / 1e6} s`);
      this.#fire(next);
      await settle();
    }
  }

  #fire(next: Pending): void {
    this.#pending.delete(next);
    this.#nowUs = Math.max(this.#nowUs, next.dueUs);
    next.fn();
  }

  #next(untilUs: number): Pending | undefined {
    let best: Pending | undefined;
    for (const p of this.#pending) {
      if (p.dueUs > untilUs) continue;
      if (!best || p.dueUs < best.dueUs || (p.dueUs === best.dueUs && p.order < best.order)) best = p;
    }
    return best;
  }
}

/** A few turns of the event loop: long enough for promise chains and stream callbacks that do no real I/O. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
