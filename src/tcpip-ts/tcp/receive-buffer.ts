// What the peer sent and the application has not read: a byte ring, with the ranges beyond a gap (RFC 9293, 3.10.7.4) written
// straight to where they belong and remembered as [start, end) sequence numbers, sorted and disjoint. `nxt` is RCV.NXT.
// The ranges are also the source of SACK blocks (RFC 2018): the last few that grew are kept, newest first.
//
//    read position            nxt        gap      range      gap  range
//    ├──── length, readable ───┤·········├───────┤···········├─────┤ ─ ─ ─ right edge of the window
//
// Bounded: bytes by the window that the connection offered (the caller trims to it), ranges by OOO_RANGES_MAX.
import { copyBytes } from '../copy.ts';
import type { Block, BufferPool } from './buffer-pool.ts';
import { type Seq, seqDiff, seqGeq, seqGt, seqLeq, seqLt, seqMax, seqMin } from './seq.ts';
import { OOO_RANGES_MAX } from './tunables.ts';

const FIRST_BLOCK = 16_384;
const RECENT = 4;

export class ReceiveBuffer {
  readonly #pool: BufferPool;
  #block: Block | null = null;
  /** Index in the block of the next byte to read. */
  #head = 0;
  /** Bytes that can be read. */
  length = 0;
  nxt: Seq = 0;
  ranges = 0;
  #start: Int32Array | null = null;
  #end: Int32Array | null = null;
  /** A sequence number inside each of the ranges that grew last. */
  #recent: Int32Array | null = null;
  #recents = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /**
   * Takes the payload b[from, from + n) that starts at `seq`, which must lie at or after nxt and inside the window. Returns
   * how far nxt moved (0: it was put beyond a gap), or -1 when there is no memory or no room for another range.
   */
  write(seq: Seq, b: Uint8Array, from: number, n: number): number {
    const offset = this.length + seqDiff(seq, this.nxt);
    if (!this.#ensure(offset + n)) return -1;
    if (seq === this.nxt) {
      this.#store(offset, b, from, n);
      const was = this.nxt;
      this.nxt = (this.nxt + n) | 0;
      if (this.ranges > 0) this.#absorb();
      const moved = seqDiff(this.nxt, was);
      this.length += moved;
      return moved;
    }
    if (!this.#addRange(seq, (seq + n) | 0)) return -1;
    this.#store(offset, b, from, n);
    return 0;
  }

  /** The first part of [seq, end) that is held beyond a gap, as two words in `out`; false when there is none. */
  overlap(seq: Seq, end: Seq, out: Int32Array): boolean {
    for (let i = 0; i < this.ranges; i++) {
      if (seqLeq(this.#end![i]!, seq) || seqGeq(this.#start![i]!, end)) continue;
      out[0] = seqMax(this.#start![i]!, seq);
      out[1] = seqMin(this.#end![i]!, end);
      return true;
    }
    return false;
  }

  /** Moves up to n bytes to dst[at, ...) and forgets them; returns how many. */
  read(dst: Uint8Array, at: number, n: number): number {
    n = Math.min(n, this.length);
    if (n === 0) return 0;
    const block = this.#block!;
    const first = Math.min(n, block.size - this.#head);
    copyBytes(dst, at, block.bytes, block.base + this.#head, first);
    if (first < n) copyBytes(dst, at + first, block.bytes, block.base, n - first);
    this.length -= n;
    if (this.length === 0 && this.ranges === 0) this.#release();
    else this.#head = (this.#head + n) & (block.size - 1);
    return n;
  }

  /** Writes up to `max` SACK blocks (start, end as words) into `out`, newest first; returns how many. */
  sackBlocks(out: Int32Array, max: number): number {
    let n = 0;
    for (let r = 0; r < this.#recents && n < max; r++) {
      const i = this.#rangeOf(this.#recent![r]!);
      if (i < 0) continue;
      out[2 * n] = this.#start![i]!;
      out[2 * n + 1] = this.#end![i]!;
      n++;
    }
    return n;
  }

  clear(): void {
    this.length = 0;
    this.ranges = 0;
    this.#recents = 0;
    this.#release();
  }

  #release(): void {
    this.#head = 0;
    if (this.#block) this.#pool.give(this.#block);
    this.#block = null;
  }

  #store(offset: number, b: Uint8Array, from: number, n: number): void {
    const block = this.#block!;
    const at = (this.#head + offset) & (block.size - 1);
    const first = Math.min(n, block.size - at);
    copyBytes(block.bytes, block.base + at, b, from, first);
    if (first < n) copyBytes(block.bytes, block.base, b, from + first, n - first);
  }

  /** Makes the block reach `need` bytes from the reading position; false when the layer is short of memory. */
  #ensure(need: number): boolean {
    const old = this.#block;
    if (old && need <= old.size) return true;
    const size = Math.max(need, FIRST_BLOCK);
    if (!this.#pool.hasRoom(size)) return false;
    const bigger = this.#pool.take(size);
    if (old) {
      // All of it: the ranges beyond a gap may lie anywhere.
      const first = old.size - this.#head;
      copyBytes(bigger.bytes, bigger.base, old.bytes, old.base + this.#head, first);
      if (this.#head > 0) copyBytes(bigger.bytes, bigger.base + first, old.bytes, old.base, this.#head);
      this.#pool.give(old);
    }
    this.#block = bigger;
    this.#head = 0;
    return true;
  }

  /** Inserts or merges; the touched range becomes the newest. False when the table is full. */
  #addRange(start: Seq, end: Seq): boolean {
    if (!this.#start) {
      this.#start = new Int32Array(8);
      this.#end = new Int32Array(8);
      this.#recent = new Int32Array(RECENT);
    }
    let s = this.#start;
    let e = this.#end!;
    // [from, to) are the ranges that touch the new one.
    let from = this.ranges;
    while (from > 0 && seqGeq(e[from - 1]!, start)) from--;
    let to = from;
    while (to < this.ranges && seqLeq(s[to]!, end)) to++;
    if (from === to) {
      if (this.ranges === OOO_RANGES_MAX) return false;
      if (this.ranges === s.length) {
        s = this.#start = doubled(s);
        e = this.#end = doubled(e);
      }
      s.copyWithin(from + 1, from, this.ranges);
      e.copyWithin(from + 1, from, this.ranges);
      s[from] = start;
      e[from] = end;
      this.ranges++;
    } else {
      if (seqLt(start, s[from]!)) s[from] = start;
      const last = seqMax(e[to - 1]!, end);
      e[from] = last;
      s.copyWithin(from + 1, to, this.ranges);
      e.copyWithin(from + 1, to, this.ranges);
      this.ranges -= to - from - 1;
    }
    this.#touch(s[from]!, e[from]!);
    return true;
  }

  #touch(start: Seq, end: Seq): void {
    const recent = this.#recent!;
    let kept = 0;
    let carry = start;
    for (let r = 0; r < this.#recents; r++) {
      const seq = recent[r]!;
      if (seqGeq(seq, start) && seqLt(seq, end)) continue;
      recent[kept++] = carry;
      carry = seq;
    }
    if (kept < RECENT) recent[kept++] = carry;
    this.#recents = kept;
  }

  #rangeOf(seq: Seq): number {
    for (let i = 0; i < this.ranges; i++) {
      if (seqLeq(this.#start![i]!, seq) && seqGt(this.#end![i]!, seq)) return i;
    }
    return -1;
  }

  /** Moves nxt over the ranges that it has reached. */
  #absorb(): void {
    const s = this.#start!;
    const e = this.#end!;
    let done = 0;
    while (done < this.ranges && seqLeq(s[done]!, this.nxt)) this.nxt = seqMax(this.nxt, e[done++]!);
    if (done === 0) return;
    s.copyWithin(0, done, this.ranges);
    e.copyWithin(0, done, this.ranges);
    this.ranges -= done;
    if (this.ranges === 0) this.#recents = 0;
  }
}

function doubled(a: Int32Array): Int32Array {
  const b = new Int32Array(Math.min(a.length * 2, OOO_RANGES_MAX));
  b.set(a);
  return b;
}
