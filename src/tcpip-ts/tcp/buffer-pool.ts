// Byte blocks for the send and receive buffers of a layer's connections, in power-of-two sizes, from the packet pool's arena. A
// connection holds a block only while it has bytes in it, so an idle connection costs no buffer, and bulk transfers make no garbage.
// When the arena has no room, or has no blocks so large, a block is an array of its own, left to the garbage collector: slower by a view
// a copy, no different else.
import type { SkbPool } from '../skb.ts';

const MIN_SHIFT = 12;

/** Binary logarithm of the block for `size` bytes. */
function shiftOf(size: number): number {
  return Math.max(MIN_SHIFT, 32 - Math.clz32(size - 1));
}

/** `size` bytes of `bytes` from `base` on. */
export class Block {
  bytes: Uint8Array;
  base = 0;
  size = 0;
  /** Its place in the pool's list of what is out. */
  index = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export class BufferPool {
  readonly #skbs: SkbPool;
  readonly #max: number;
  /** Blocks without memory, to be used again; the first #spares of them. The list never shrinks, V8 would allocate it anew. */
  readonly #spare: Block[] = [];
  #spares = 0;
  /** Blocks with connections; the first #outs of them. */
  readonly #out: Block[] = [];
  #outs = 0;
  /** Bytes out with connections. */
  inUse = 0;

  /** `max`: bytes in use from which on `hasRoom` says no. */
  constructor(skbs: SkbPool, max: number) {
    this.#skbs = skbs;
    this.#max = max;
  }

  /** Whether a block of `size` may still be taken for what a peer sends. */
  hasRoom(size: number): boolean {
    return this.inUse + 2 ** shiftOf(size) <= this.#max;
  }

  /** A block of at least `size` bytes (at most 1 GiB), a power of two, with unspecified contents. */
  take(size: number): Block {
    const shift = shiftOf(size);
    const block = this.#spares > 0 ? this.#spare[--this.#spares]! : new Block(this.#skbs.bytes);
    block.base = this.#skbs.blocks.take(shift);
    block.size = 1 << shift;
    if (block.base < 0) {
      block.bytes = new Uint8Array(block.size);
      block.base = 0;
    } else block.bytes = this.#skbs.bytes;
    this.inUse += block.size;
    block.index = this.#outs;
    this.#out[this.#outs++] = block;
    return block;
  }

  give(block: Block): void {
    this.inUse -= block.size;
    const last = this.#out[--this.#outs]!;
    last.index = block.index;
    this.#out[block.index] = last;
    if (block.bytes === this.#skbs.bytes) this.#skbs.blocks.give(block.base, 31 - Math.clz32(block.size));
    else block.bytes = this.#skbs.bytes;
    this.#spare[this.#spares++] = block;
  }

  /** Leaves the arena, which others go on using. What is out keeps its bytes in arrays of its own, for who may still read them. */
  close(): void {
    for (const block of this.#out.slice(0, this.#outs)) {
      if (block.bytes !== this.#skbs.bytes) continue;
      const { base, size } = block;
      block.bytes = this.#skbs.bytes.slice(base, base + size);
      block.base = 0;
      this.#skbs.blocks.give(base, 31 - Math.clz32(size));
    }
  }
}
