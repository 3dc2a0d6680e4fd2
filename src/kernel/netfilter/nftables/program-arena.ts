// Where the programs of all chains stand: blocks of one array, each within as few lines of the processor's cache as can be, since with
// thousands of Services they are all cold. A verdict holds the block's offset, so a jump asks nothing on its way. Hence a program
// stays in its block as long as it fits; when it has outgrown it, the block it leaves sends on those that still come there.
import { LINE, lineAligned } from '../../core/cache-line.ts';
import { OP_FORWARD } from './compile.ts';

/** Words of the smallest block; all are powers of two. */
const SMALLEST = 8;

export class ProgramArena {
  code = lineAligned(1024);
  /** Offset of each chain's program, by its number; 0 without one. */
  offsets = new Int32Array(64);
  /** What begins at an offset: a chain's number, and a block's words. Only for who changes or traces something. */
  readonly #blocks = new Map<number, { chain: number; readonly size: number }>();
  /** Blocks that chains have left, by chain. */
  readonly #left = new Map<number, number[]>();
  /** Offsets of blocks that are free, by their words. */
  readonly #free = new Map<number, number[]>();
  #end = LINE; // offset 0 is none

  /** Makes room for a chain's program of so many words; between packets only. */
  reserve(chain: number, words: number): void {
    if (chain >= this.offsets.length) this.offsets = resized(this.offsets, chain * 2);
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(words)));
    const before = this.offsets[chain]!;
    if (before !== 0 && size <= this.#blocks.get(before)!.size) return;
    const at = this.#free.get(size)?.pop() ?? this.#append(size);
    this.#blocks.set(at, { chain, size });
    this.offsets[chain] = at;
    if (before === 0) return;
    const left = [...(this.#left.get(chain) ?? []), before];
    this.#left.set(chain, left);
    for (const offset of left) this.code.set([OP_FORWARD, at], offset);
  }

  /** Writes what there is room for. */
  write(chain: number, program: Int32Array): void {
    this.code.set(program, this.offsets[chain]);
  }

  /** The chain is no more, and nothing leads to it. */
  release(chain: number): void {
    const at = this.offsets[chain] ?? 0;
    if (at === 0) return;
    this.offsets[chain] = 0;
    for (const offset of [at, ...(this.#left.get(chain) ?? [])]) this.#give(offset);
    this.#left.delete(chain);
  }

  /** Whose program begins at an offset. */
  chainAt(offset: number): number | undefined {
    return this.#blocks.get(offset)?.chain;
  }

  #give(offset: number): void {
    const { size } = this.#blocks.get(offset)!;
    this.#blocks.delete(offset);
    this.#freeOf(size).push(offset);
  }

  #freeOf(size: number): number[] {
    const free = this.#free.get(size) ?? [];
    this.#free.set(size, free);
    return free;
  }

  #append(size: number): number {
    // A block begins with a line, unless it is shorter than one.
    if (size >= LINE && this.#end % LINE !== 0) {
      this.#freeOf(SMALLEST).push(this.#end);
      this.#end += SMALLEST;
    }
    const at = this.#end;
    this.#end += size;
    if (this.#end > this.code.length) this.code = resized(this.code, this.#end * 2);
    return at;
  }
}

function resized(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = lineAligned(length);
  larger.set(array);
  return larger;
}
