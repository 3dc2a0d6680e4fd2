// The set behind all hash types: entries of up to four 32-bit words in open addressing with linear probing, at most half full,
// deletion by shifting back. Lookups allocate nothing; growing happens on the control plane.
const MIN_SIZE = 16;

export class EntryTable {
  readonly #width: number;
  #words: Uint32Array;
  #used: Uint8Array;
  #mask: number;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#words = new Uint32Array(MIN_SIZE * width);
    this.#used = new Uint8Array(MIN_SIZE);
    this.#mask = MIN_SIZE - 1;
  }

  get size(): number {
    return this.#count;
  }

  /** Words beyond the width must be 0. Signed or unsigned. */
  has(a: number, b = 0, c = 0, d = 0): boolean {
    return this.#find(a | 0, b | 0, c | 0, d | 0) >= 0;
  }

  /** Whether it was new. */
  add(a: number, b = 0, c = 0, d = 0): boolean {
    if (this.has(a, b, c, d)) return false;
    if ((this.#count + 1) * 2 > this.#used.length) this.#grow();
    this.#insert(a | 0, b | 0, c | 0, d | 0);
    this.#count++;
    return true;
  }

  /** Whether it was there. */
  delete(a: number, b = 0, c = 0, d = 0): boolean {
    let hole = this.#find(a | 0, b | 0, c | 0, d | 0);
    if (hole < 0) return false;
    const mask = this.#mask;
    for (let j = (hole + 1) & mask; this.#used[j] === 1; j = (j + 1) & mask) {
      const home = this.#hashAt(j) & mask;
      if (((j - home) & mask) < ((j - hole) & mask)) continue;
      this.#words.copyWithin(hole * this.#width, j * this.#width, (j + 1) * this.#width);
      hole = j;
    }
    this.#used[hole] = 0;
    this.#count--;
    return true;
  }

  clear(): void {
    this.#used.fill(0);
    this.#count = 0;
  }

  /** The entries' words, in no particular order. */
  *entries(): Generator<[number, number, number, number]> {
    const w = this.#width;
    for (let i = 0; i <= this.#mask; i++) {
      if (this.#used[i] === 0) continue;
      const o = i * w;
      const words = this.#words;
      yield [words[o]!, w > 1 ? words[o + 1]! : 0, w > 2 ? words[o + 2]! : 0, w > 3 ? words[o + 3]! : 0];
    }
  }

  #find(a: number, b: number, c: number, d: number): number {
    const w = this.#width;
    const words = this.#words;
    for (let i = hash(a, b, c, d) & this.#mask; this.#used[i] === 1; i = (i + 1) & this.#mask) {
      const o = i * w;
      if (
        (words[o]! | 0) === a &&
        (w < 2 || (words[o + 1]! | 0) === b) &&
        (w < 3 || (words[o + 2]! | 0) === c) &&
        (w < 4 || (words[o + 3]! | 0) === d)
      ) {
        return i;
      }
    }
    return -1;
  }

  #insert(a: number, b: number, c: number, d: number): void {
    const w = this.#width;
    let i = hash(a, b, c, d) & this.#mask;
    while (this.#used[i] === 1) i = (i + 1) & this.#mask;
    this.#used[i] = 1;
    const o = i * w;
    this.#words[o] = a;
    if (w > 1) this.#words[o + 1] = b;
    if (w > 2) this.#words[o + 2] = c;
    if (w > 3) this.#words[o + 3] = d;
  }

  #hashAt(i: number): number {
    const w = this.#width;
    const o = i * w;
    const words = this.#words;
    return hash(
      words[o]! | 0,
      w > 1 ? words[o + 1]! | 0 : 0,
      w > 2 ? words[o + 2]! | 0 : 0,
      w > 3 ? words[o + 3]! | 0 : 0,
    );
  }

  #grow(): void {
    const old = [...this.entries()];
    const size = this.#used.length * 2;
    this.#words = new Uint32Array(size * this.#width);
    this.#used = new Uint8Array(size);
    this.#mask = size - 1;
    for (const [a, b, c, d] of old) this.#insert(a | 0, b | 0, c | 0, d | 0);
  }
}

function hash(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d) ^ Math.imul(d, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
