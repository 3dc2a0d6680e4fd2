// A hashed timing wheel (Varghese and Lauck, scheme 6) over integer ids: arming, re-arming and cancelling cost O(1) and
// allocate nothing. Timers hang in doubly linked lists held in typed arrays, one list a slot; a timer further away than one
// turn stays in its slot for several turns. One timer of the clock wakes the wheel, at the first occupied slot.
import type { Clock, Timer } from './clock.ts';

const SLOTS = 1024;
const NONE = -1;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickUs: number;
  readonly #onExpire: (id: number) => void;
  readonly #heads = new Int32Array(SLOTS).fill(NONE);
  #next: Int32Array;
  #prev: Int32Array;
  /** Slot of an armed timer, NONE otherwise. */
  #slot: Int32Array;
  #dueTick: Float64Array;
  /** Every tick up to this one has been served. */
  #tick: number;
  #armed = 0;
  #wake: Timer | null = null;
  #wakeTick = 0;
  #closed = false;

  /**
   * `tickUs` is the resolution: a timer fires at the first tick at or after its due time. `onExpire(id)` runs with the
   * timer disarmed and may arm it again.
   */
  constructor(clock: Clock, tickUs: number, onExpire: (id: number) => void, capacity = 64) {
    this.#clock = clock;
    this.#tickUs = tickUs;
    this.#onExpire = onExpire;
    this.#next = new Int32Array(capacity);
    this.#prev = new Int32Array(capacity);
    this.#slot = new Int32Array(capacity).fill(NONE);
    this.#dueTick = new Float64Array(capacity);
    this.#tick = Math.floor(clock.nowUs() / tickUs);
  }

  get armed(): number {
    return this.#armed;
  }

  isArmed(id: number): boolean {
    return id < this.#slot.length && this.#slot[id] !== NONE;
  }

  /** Sets `id` (a small non-negative integer chosen by the caller) to fire `delayUs` from now; an armed timer is moved. */
  arm(id: number, delayUs: number): void {
    if (this.#closed) return;
    if (id >= this.#slot.length) this.#grow(id + 1);
    if (this.#slot[id] !== NONE) this.#unlink(id);
    if (this.#armed === 0) this.#tick = Math.floor(this.#clock.nowUs() / this.#tickUs); // nothing to serve in between
    const due = Math.max(this.#tick + 1, Math.ceil((this.#clock.nowUs() + delayUs) / this.#tickUs));
    const slot = due % SLOTS;
    const head = this.#heads[slot]!;
    this.#dueTick[id] = due;
    this.#slot[id] = slot;
    this.#next[id] = head;
    this.#prev[id] = NONE;
    if (head !== NONE) this.#prev[head] = id;
    this.#heads[slot] = id;
    this.#armed++;
    if (!this.#wake || due < this.#wakeTick) this.#wakeAt(due);
  }

  disarm(id: number): void {
    if (this.isArmed(id)) this.#unlink(id);
  }

  /** Drops all timers; the wheel cannot be used afterwards. */
  close(): void {
    this.#closed = true;
    this.#wake?.cancel();
    this.#wake = null;
    this.#heads.fill(NONE);
    this.#slot.fill(NONE);
    this.#armed = 0;
  }

  #unlink(id: number): void {
    const next = this.#next[id]!;
    const prev = this.#prev[id]!;
    if (next !== NONE) this.#prev[next] = prev;
    if (prev !== NONE) this.#next[prev] = next;
    else this.#heads[this.#slot[id]!] = next;
    this.#slot[id] = NONE;
    this.#armed--;
  }

  #wakeAt(tick: number): void {
    this.#wake?.cancel();
    this.#wakeTick = tick;
    this.#wake = this.#clock.after(tick * this.#tickUs - this.#clock.nowUs(), this.#expire);
  }

  readonly #expire = (): void => {
    this.#wake = null;
    const now = Math.floor(this.#clock.nowUs() / this.#tickUs);
    // After a long sleep every slot is visited once, however many ticks passed.
    const from = Math.max(this.#tick + 1, now - SLOTS + 1);
    for (let tick = from; tick <= now && this.#armed > 0; tick++) {
      this.#tick = tick;
      let id = this.#heads[tick % SLOTS]!;
      while (id !== NONE) {
        if (this.#dueTick[id]! <= now) {
          this.#unlink(id);
          this.#onExpire(id);
          if (this.#closed) return;
          id = this.#heads[tick % SLOTS]!; // the callback may have changed the list
        } else {
          id = this.#next[id]!;
        }
      }
    }
    this.#tick = Math.max(this.#tick, now);
    if (this.#armed === 0) return;
    // A callback that armed a timer has set the wake-up by that one alone; others may be due before it.
    const first = this.#firstOccupied();
    if (!this.#wake || first < this.#wakeTick) this.#wakeAt(first);
  };

  #firstOccupied(): number {
    for (let tick = this.#tick + 1; tick <= this.#tick + SLOTS; tick++) {
      if (this.#heads[tick % SLOTS] !== NONE) return tick;
    }
    return this.#tick + SLOTS;
  }

  #grow(atLeast: number): void {
    const capacity = Math.max(atLeast, this.#slot.length * 2);
    const slot = new Int32Array(capacity).fill(NONE);
    slot.set(this.#slot);
    const next = new Int32Array(capacity);
    next.set(this.#next);
    const prev = new Int32Array(capacity);
    prev.set(this.#prev);
    const due = new Float64Array(capacity);
    due.set(this.#dueTick);
    this.#slot = slot;
    this.#next = next;
    this.#prev = prev;
    this.#dueTick = due;
  }
}
