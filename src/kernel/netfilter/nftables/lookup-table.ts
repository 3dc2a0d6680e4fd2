// What sets and maps are while packets look things up in them: open addressing over typed arrays, keys of two words
// (address; protocol << 16 | port), one value. Linear probing, tombstones, power-of-two sizes, at most two thirds full: a
// lookup costs the same at 10 and at 100,000 elements. Only insert() may allocate, when it grows.

const EMPTY = 0;
const USED = 1;
const DELETED = 2;
const MIN_SLOTS = 16;

/** get() of what is not there. */
export const NOT_FOUND = -1;

export class LookupTable {
  /** Elements. */
  size = 0;
  #used = 0; // slots that are not EMPTY
  #mask = MIN_SLOTS - 1;
  #state = new Uint8Array(MIN_SLOTS);
  #first = new Int32Array(MIN_SLOTS);
  #second = new Int32Array(MIN_SLOTS);
  /** By slot. */
  value = new Float64Array(MIN_SLOTS);

  /** The element's value, NOT_FOUND without one. Values are not negative. */
  get(first: number, second: number): number {
    const slot = this.find(first, second);
    return slot < 0 ? NOT_FOUND : this.value[slot]!;
  }

  set(first: number, second: number, value: number): void {
    const slot = this.insert(first, second); // may put another array in the place of `value`
    this.value[slot] = value;
  }

  /** The element's slot; a new one's value is to be set. Slots hold until the next insert(). */
  insert(first: number, second: number): number {
    const slot = this.find(first, second);
    if (slot >= 0) return slot;
    if ((this.#used + 1) * 3 > (this.#mask + 1) * 2) this.#rehash();
    let at = hash(first, second) & this.#mask;
    while (this.#state[at] === USED) at = (at + 1) & this.#mask;
    if (this.#state[at] === EMPTY) this.#used++;
    this.#state[at] = USED;
    this.#first[at] = first;
    this.#second[at] = second;
    this.size++;
    return at;
  }

  delete(first: number, second: number): boolean {
    const slot = this.find(first, second);
    if (slot < 0) return false;
    this.#state[slot] = DELETED;
    this.size--;
    return true;
  }

  clear(): void {
    this.#allocate(MIN_SLOTS);
  }

  /** In no order. Deleting the element at hand is fine. */
  forEach(visit: (first: number, second: number, value: number) => void): void {
    for (let i = 0; i <= this.#mask; i++) {
      if (this.#state[i] === USED) visit(this.#first[i]!, this.#second[i]!, this.value[i]!);
    }
  }

  /** The element's slot, -1 without one. */
  find(first: number, second: number): number {
    let at = hash(first, second) & this.#mask;
    for (;;) {
      const state = this.#state[at]!;
      if (state === EMPTY) return -1;
      if (state === USED && this.#first[at] === (first | 0) && this.#second[at] === second) return at;
      at = (at + 1) & this.#mask;
    }
  }

  #rehash(): void {
    const { size } = this;
    const [state, first, second, value] = [this.#state, this.#first, this.#second, this.value];
    let slots = MIN_SLOTS;
    while (slots < (size + 1) * 3) slots *= 2;
    this.#allocate(slots);
    for (let i = 0; i < state.length; i++) if (state[i] === USED) this.set(first[i]!, second[i]!, value[i]!);
  }

  #allocate(slots: number): void {
    this.size = 0;
    this.#used = 0;
    this.#mask = slots - 1;
    this.#state = new Uint8Array(slots);
    this.#first = new Int32Array(slots);
    this.#second = new Int32Array(slots);
    this.value = new Float64Array(slots);
  }
}

function hash(first: number, second: number): number {
  let h = Math.imul(first ^ Math.imul(second, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}
