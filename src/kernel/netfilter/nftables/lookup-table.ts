// What sets and maps are while packets look things up in them: open addressing over one buffer, keys of two words
// (address; protocol << 16 | port), one value. Linear probing, tombstones, power-of-two sizes, at most two thirds full: a
// lookup costs the same at 10 and at 100,000 elements. Only insert() may allocate, when it grows.
//
//   slot, 16 bytes:  first | second and, in its top bits, the state | value (a double)
//
// So a look-up touches one line of the cache; with a column each they were four, and with thousands of elements, all cold, a tenth of
// what a first packet costs.

const EMPTY = 0;
const USED = 1 << 28;
const DELETED = 2 << 28;
const STATE = USED | DELETED;
const MIN_SLOTS = 16;
/** Words of a slot, and doubles. */
const WORDS = 4;
const DOUBLES = 2;

/** get() of what is not there. */
export const NOT_FOUND = -1;

export class LookupTable {
  /** Elements. */
  size = 0;
  #used = 0; // slots that are not EMPTY
  #mask = MIN_SLOTS - 1;
  #words!: Int32Array;
  /** By what find() and insert() give. */
  value!: Float64Array;

  constructor() {
    this.#allocate(MIN_SLOTS);
  }

  /** The element's value, NOT_FOUND without one. Values are not negative. */
  get(first: number, second: number): number {
    const at = this.find(first, second);
    return at < 0 ? NOT_FOUND : this.value[at]!;
  }

  set(first: number, second: number, value: number): void {
    const at = this.insert(first, second); // may put another array in the place of `value`
    this.value[at] = value;
  }

  /** Where the element's value is; a new one's is to be set. Holds until the next insert(). `second` has 28 bits at most. */
  insert(first: number, second: number): number {
    const found = this.find(first, second);
    if (found >= 0) return found;
    if ((this.#used + 1) * 3 > (this.#mask + 1) * 2) this.#rehash();
    let i = hash(first, second) & this.#mask;
    while ((this.#words[i * WORDS + 1]! & STATE) === USED) i = (i + 1) & this.#mask;
    if ((this.#words[i * WORDS + 1]! & STATE) === EMPTY) this.#used++;
    this.#words[i * WORDS] = first;
    this.#words[i * WORDS + 1] = second | USED;
    this.size++;
    return i * DOUBLES + 1;
  }

  delete(first: number, second: number): boolean {
    const at = this.find(first, second);
    if (at < 0) return false;
    this.#words[(at >> 1) * WORDS + 1] = DELETED;
    this.size--;
    return true;
  }

  clear(): void {
    this.#allocate(MIN_SLOTS);
  }

  /** In no order. Deleting the element at hand is fine. */
  forEach(visit: (first: number, second: number, value: number) => void): void {
    for (let i = 0; i <= this.#mask; i++) {
      const word = this.#words[i * WORDS + 1]!;
      if ((word & STATE) === USED) visit(this.#words[i * WORDS]!, word & ~STATE, this.value[i * DOUBLES + 1]!);
    }
  }

  /** Where the element's value is, -1 without the element. */
  find(first: number, second: number): number {
    const words = this.#words;
    const wanted = second | USED;
    let i = hash(first, second) & this.#mask;
    for (;;) {
      const word = words[i * WORDS + 1]!;
      if (word === wanted && words[i * WORDS] === (first | 0)) return i * DOUBLES + 1;
      if (word === EMPTY) return -1;
      i = (i + 1) & this.#mask;
    }
  }

  #rehash(): void {
    let slots = MIN_SLOTS;
    while (slots < (this.size + 1) * 2) slots *= 2;
    const [words, value] = [this.#words, this.value];
    this.#allocate(slots);
    for (let i = 0; i * WORDS < words.length; i++) {
      const word = words[i * WORDS + 1]!;
      if ((word & STATE) === USED) this.set(words[i * WORDS]!, word & ~STATE, value[i * DOUBLES + 1]!);
    }
  }

  #allocate(slots: number): void {
    this.size = 0;
    this.#used = 0;
    this.#mask = slots - 1;
    const buffer = new ArrayBuffer(slots * WORDS * 4);
    this.#words = new Int32Array(buffer);
    this.value = new Float64Array(buffer);
  }
}

function hash(first: number, second: number): number {
  let h = Math.imul(first ^ Math.imul(second, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}
