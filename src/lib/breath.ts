// The breath: one bounded turn of the data plane, after Snabb's breathe() and Linux NAPI. Every source of packets is a
// Pollable. A breath polls each source up to its budget, lets what they produced be flushed (one batched write), and goes
// round again while there is work; when the rounds are spent it yields to the event loop and goes on after it.

/** A source of packets: the set of TAPs, the backlog of in-memory links. */
export interface Pollable {
  /** Takes in and processes at most `budget` packets; returns how many. Must not throw. */
  poll(budget: number): number;
  /** Writes out what the round queued. */
  flush(): void;
}

const BUDGET_PER_ROUND = 256; // as many as fit one batched read; NAPI's weight is 64 a device, and a breath serves them all
const ROUNDS_PER_BREATH = 8;

export class Breath {
  readonly #pollables: Pollable[] = [];
  readonly #defer: (fn: () => void) => void;
  #scheduled = false;
  #running = false;

  /** `defer` runs a function soon, outside the current call: setImmediate, or a zero timer of a virtual clock. */
  constructor(defer: (fn: () => void) => void = setImmediate) {
    this.#defer = defer;
  }

  add(pollable: Pollable): void {
    this.#pollables.push(pollable);
  }

  /** As add, but polled before all others: for the kernel, which reads the time of the turn. */
  addFirst(pollable: Pollable): void {
    this.#pollables.unshift(pollable);
  }

  remove(pollable: Pollable): void {
    const i = this.#pollables.indexOf(pollable);
    if (i >= 0) this.#pollables.splice(i, 1);
  }

  /** Asks for a breath soon. Cheap when one is already scheduled or running. */
  wake(): void {
    if (this.#scheduled || this.#running) return;
    this.#scheduled = true;
    this.#defer(this.#wakened);
  }

  /** Breathes now. Re-entrant calls return at once: the running breath picks the work up. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    let busy = 1;
    for (let round = 0; busy > 0 && round < ROUNDS_PER_BREATH; round++) {
      busy = 0;
      for (let i = 0; i < this.#pollables.length; i++) busy += this.#pollables[i]!.poll(BUDGET_PER_ROUND);
      for (let i = 0; i < this.#pollables.length; i++) this.#pollables[i]!.flush();
    }
    this.#running = false;
    if (busy > 0) this.wake();
  }

  readonly #wakened = (): void => {
    this.#scheduled = false;
    this.run();
  };
}
