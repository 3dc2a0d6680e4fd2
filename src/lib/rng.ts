// Randomness as an injected object: xoshiro128** (Blackman and Vigna), seeded by splitmix32. Same seed, same sequence.
// Not for keys: whoever needs secrets uses node:crypto.

export interface Rng {
  /** A uniform unsigned 32-bit integer. */
  u32(): number;
  /** A uniform integer in [0, n). `n` is at most 2^32. */
  below(n: number): number;
  /** A uniform number in [0, 1). */
  float(): number;
}

export class SeededRng implements Rng {
  /** Four words of state, and the number drawn last. */
  readonly #s = new Uint32Array(5);

  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#s[i] = z ^ (z >>> 16);
    }
  }

  u32(): number {
    this.#draw();
    return this.#s[4]!;
  }

  below(n: number): number {
    this.#draw();
    return Math.floor((this.#s[4]! / 0x1_0000_0000) * n);
  }

  float(): number {
    this.#draw();
    return this.#s[4]! / 0x1_0000_0000;
  }

  /** Leaves the number in the array: as a result, one above 2^31 would be boxed where the call is not inlined, packet by packet. */
  #draw(): void {
    const s = this.#s;
    const r = rotl(Math.imul(s[1]!, 5), 7);
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotl(s[3]!, 11);
    s[4] = Math.imul(r, 9);
  }
}

/** A generator that differs from run to run. */
export function unseededRng(): Rng {
  return new SeededRng(globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!);
}

function rotl(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}
