// What the application wrote and the peer has not acknowledged: a byte ring over one block of the pool. Offsets count from the
// oldest byte, the one at sndUna. Grows by doubling up to what the connection allows; empty, it holds no block.
//
//    0           sent, unacknowledged         not sent              length        capacity
//    ├──────────────────────────────────────┼──────────────────────┼ ─ ─ ─ ─ ─ ─ ─ ┤
import { copyBytes } from '../copy.ts';
import type { Block, BufferPool } from './buffer-pool.ts';

const FIRST_BLOCK = 16_384;

export class SendBuffer {
  readonly #pool: BufferPool;
  #block: Block | null = null;
  /** Index of the oldest byte in the block. */
  #head = 0;
  length = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Appends bytes[from, to). The caller keeps to its limit; cost is the copy, and now and then a doubling. */
  append(bytes: Uint8Array, from: number, to: number): void {
    const n = to - from;
    if (n === 0) return;
    if (!this.#block || this.length + n > this.#block.size) this.#grow(this.length + n);
    const block = this.#block!;
    const at = (this.#head + this.length) & (block.size - 1);
    const first = Math.min(n, block.size - at);
    copyBytes(block.bytes, block.base + at, bytes, from, first);
    if (first < n) copyBytes(block.bytes, block.base, bytes, from + first, n - first);
    this.length += n;
  }

  /** Copies n bytes from `offset` on to dst[at, ...). */
  copyTo(dst: Uint8Array, at: number, offset: number, n: number): void {
    const block = this.#block!;
    const start = (this.#head + offset) & (block.size - 1);
    const first = Math.min(n, block.size - start);
    copyBytes(dst, at, block.bytes, block.base + start, first);
    if (first < n) copyBytes(dst, at + first, block.bytes, block.base, n - first);
  }

  /** Forgets the oldest n bytes. */
  consume(n: number): void {
    this.length -= n;
    if (this.length === 0) this.clear();
    else this.#head = (this.#head + n) & (this.#block!.size - 1);
  }

  clear(): void {
    this.length = 0;
    this.#head = 0;
    if (this.#block) this.#pool.give(this.#block);
    this.#block = null;
  }

  #grow(need: number): void {
    const bigger = this.#pool.take(Math.max(need, FIRST_BLOCK));
    if (this.#block) {
      this.copyTo(bigger.bytes, bigger.base, 0, this.length);
      this.#pool.give(this.#block);
    }
    this.#block = bigger;
    this.#head = 0;
  }
}
