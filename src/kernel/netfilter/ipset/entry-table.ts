// The set behind all hash types: entries of up to four 32-bit words in open addressing with linear probing, at most two thirds
// full, deletion by shifting back. Lookups allocate nothing; growing happens on the control plane. Places are as small as can be,
// so that the processor's cache holds many: two words or four, and that one is taken is a bit of its second word.
const MIN_SIZE = 16;
/** What a second word, a protocol and port or a prefix length, leaves free. */
const USED = 1 << 31;

export class EntryTable {
  readonly #width: number;
  /** Words of a place: a power of two. */
  readonly #stride: number;
  #words: Int32Array;
  #mask: number;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#stride = width <= 2 ? 2 : 4;
    this.#words = new Int32Array(MIN_SIZE * this.#stride);
    this.#mask = MIN_SIZE - 1;
  }

  get size(): number {
    return this.#count;
  }

  /** Words beyond the width must be 0. Signed or unsigned; the second has 31 bits at most. */
  has(a: number, b = 0, c = 0, d = 0): boolean {
    return this.#find(a | 0, b | 0, c | 0, d | 0) >= 0;
  }

  /** Whether it was new. */
  add(a: number, b = 0, c = 0, d = 0): boolean {
    if (this.has(a, b, c, d)) return false;
    if ((this.#count + 1) * 3 > (this.#mask + 1) * 2) this.#grow();
    this.#insert(a | 0, b | 0, c | 0, d | 0);
    this.#count++;
    return true;
  }

  /** Whether it was there. */
  delete(a: number, b = 0, c = 0, d = 0): boolean {
    let hole = this.#find(a | 0, b | 0, c | 0, d | 0);
    if (hole < 0) return false;
    const mask = this.#mask;
    const stride = this.#stride;
    for (let j = (hole + 1) & mask; this.#isUsed(j); j = (j + 1) & mask) {
      const home = this.#hashAt(j) & mask;
      if (((j - home) & mask) < ((j - hole) & mask)) continue;
      this.#words.copyWithin(hole * stride, j * stride, (j + 1) * stride);
      hole = j;
    }
    this.#words[hole * stride + 1] = 0;
    this.#count--;
    return true;
  }

  clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  /** The entries' words, in no particular order. */
  *entries(): Generator<[number, number, number, number]> {
    for (let i = 0; i <= this.#mask; i++) {
      if (!this.#isUsed(i)) continue;
      yield [this.#word(i, 0) >>> 0, this.#word(i, 1) >>> 0, this.#word(i, 2) >>> 0, this.#word(i, 3) >>> 0];
    }
  }

  #find(a: number, b: number, c: number, d: number): number {
    const w = this.#width;
    const words = this.#words;
    const stride = this.#stride;
    for (let i = hash(a, b, c, d) & this.#mask; ; i = (i + 1) & this.#mask) {
      const o = i * stride;
      const second = words[o + 1]!;
      if (second === 0) return -1;
      if (words[o] === a && second === (b | USED) && (w < 3 || words[o + 2] === c) && (w < 4 || words[o + 3] === d)) {
        return i;
      }
    }
  }

  #insert(a: number, b: number, c: number, d: number): void {
    const w = this.#width;
    let i = hash(a, b, c, d) & this.#mask;
    while (this.#isUsed(i)) i = (i + 1) & this.#mask;
    const o = i * this.#stride;
    this.#words[o] = a;
    this.#words[o + 1] = b | USED;
    if (w > 2) this.#words[o + 2] = c;
    if (w > 3) this.#words[o + 3] = d;
  }

  #isUsed(i: number): boolean {
    return this.#words[i * this.#stride + 1] !== 0;
  }

  /** 0 beyond the width. */
  #word(i: number, n: number): number {
    if (n >= this.#width) return 0;
    const word = this.#words[i * this.#stride + n]!;
    return n === 1 ? word & ~USED : word;
  }

  #hashAt(i: number): number {
    return hash(this.#word(i, 0), this.#word(i, 1), this.#word(i, 2), this.#word(i, 3));
  }

  #grow(): void {
    const old = [...this.entries()];
    const size = (this.#mask + 1) * 2;
    this.#words = new Int32Array(size * this.#stride);
    this.#mask = size - 1;
    for (const [a, b, c, d] of old) this.#insert(a | 0, b | 0, c | 0, d | 0);
  }
}

function hash(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d) ^ Math.imul(d, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
