// Byte blocks for the send and receive buffers of a layer's connections, in power-of-two sizes, kept on free lists up to a
// bound. A connection holds a block only while it has bytes in it, so an idle connection costs no buffer, and bulk transfers
// make no garbage.

const MIN_SHIFT = 12;
const MAX_SHIFT = 24;
/** Bytes kept on the free lists; blocks given back beyond that go to the garbage collector. */
const KEEP_BYTES = 32 << 20;

export class BufferPool {
  /** By size. The lists never shrink (V8 would free and allocate their backing stores): #count says how many blocks are in each. */
  readonly #free: Uint8Array[][] = [];
  readonly #count = new Int32Array(MAX_SHIFT + 1);
  #kept = 0;
  /** Bytes out with connections. */
  inUse = 0;

  constructor() {
    for (let shift = 0; shift <= MAX_SHIFT; shift++) this.#free.push([]);
  }

  /** A block of at least `size` bytes (at most 16 MiB), a power of two, with unspecified contents. */
  take(size: number): Uint8Array {
    const shift = Math.max(MIN_SHIFT, 32 - Math.clz32(size - 1));
    this.inUse += 1 << shift;
    if (this.#count[shift] === 0) return new Uint8Array(1 << shift);
    this.#kept -= 1 << shift;
    return this.#free[shift]![--this.#count[shift]!]!;
  }

  give(block: Uint8Array): void {
    this.inUse -= block.length;
    if (this.#kept + block.length > KEEP_BYTES) return;
    this.#kept += block.length;
    const shift = 31 - Math.clz32(block.length);
    this.#free[shift]![this.#count[shift]!++] = block;
  }
}
