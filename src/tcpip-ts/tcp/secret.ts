// A keyed hash of a connection's addresses, ports and a salt: HalfSipHash-2-4 (Aumasson), SipHash's sibling on 32-bit words,
// which JavaScript computes in about 50 ns. It is the F() of RFC 6528 for initial sequence numbers, gives each connection its
// timestamp offset (RFC 7323, 5.4), the hash of the demux table and SYN cookies.
// Deviation: the key is 64 bits of the injected random source, so that a simulation repeats itself; who needs the numbers
// unguessable gives the stack a source that is.
import type { Rng } from '../../lib/rng.ts';

export const SALT_ISN = 1;
export const SALT_TIMESTAMP = 2;
export const SALT_DEMUX = 3;
export const SALT_COOKIE = 4;
export const SALT_COOKIE_DATA = 5;

export class Secret {
  readonly #k0: number;
  readonly #k1: number;

  constructor(k0: number, k1: number) {
    this.#k0 = k0 | 0;
    this.#k1 = k1 | 0;
  }

  static of(rng: Rng): Secret {
    return new Secret(rng.u32(), rng.u32());
  }

  /** An int32 over five 32-bit words. */
  hash(a: number, b: number, c: number, d: number, e: number): number {
    return this.words([a, b, c, d, e]);
  }

  /** The same over any words; the message is their little-endian bytes. */
  words(message: readonly number[]): number {
    let v0 = this.#k0;
    let v1 = this.#k1;
    let v2 = 0x6c796765 ^ this.#k0;
    let v3 = 0x74656462 ^ this.#k1;
    const n = message.length;
    // Two rounds a word, then the length word, then four rounds to finish.
    for (let i = 0; i <= n + 1; i++) {
      const m = i < n ? message[i]! | 0 : i === n ? (n << 2) << 24 : 0;
      if (i <= n) v3 ^= m;
      else v2 ^= 0xff;
      for (let r = i <= n ? 2 : 4; r > 0; r--) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      if (i <= n) v0 ^= m;
    }
    return v1 ^ v3;
  }
}
