// Memory for the send and receive buffers of TCP, next to the packets in one arena: a copy between a buffer and a packet is then
// `copyWithin` over one array, which makes no view and so no garbage (copy.ts). A buddy system: blocks of 4 KiB to 16 MiB, in
// powers of two; a free block is joined with its other half as soon as that is free as well.
//
//   4 KiB units   0   1   2   3   4   5   6   7        a block of order n is 2^n units and starts at a multiple of that;
//                 └─1─┘   └───┘   └───── 2 ────┘       its other half is the block whose number differs in bit n alone

const UNIT_SHIFT = 12;
/** Largest block: 16 MiB. */
const ORDERS = 13;
const NONE = -1;

export class BlockArena {
  /** Where the first unit lies in the arena. */
  readonly #base: number;
  readonly #units: number;
  /** First free block of each order. */
  readonly #heads = new Int32Array(ORDERS).fill(NONE);
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  /** Order of the free block that starts at a unit, else NONE. */
  readonly #freeOrder: Int8Array;

  /** Rules over `bytes` (a multiple of 16 MiB) from `base` on. */
  constructor(base: number, bytes: number) {
    this.#base = base;
    this.#units = bytes >> UNIT_SHIFT;
    this.#next = new Int32Array(this.#units);
    this.#prev = new Int32Array(this.#units);
    this.#freeOrder = new Int8Array(this.#units).fill(NONE);
    const largest = 1 << (ORDERS - 1);
    for (let unit = this.#units - largest; unit >= 0; unit -= largest) this.#push(unit, ORDERS - 1);
  }

  /** Offset in the arena of `2 ** shift` bytes, shift being 12 or more; -1 when there is no such room. Contents unspecified. */
  take(shift: number): number {
    const wanted = shift - UNIT_SHIFT;
    let order = wanted;
    while (order < ORDERS && this.#heads[order] === NONE) order++;
    if (order >= ORDERS) return -1;
    const unit = this.#heads[order]!;
    this.#unlink(unit, order);
    while (order > wanted) this.#push(unit + (1 << --order), order);
    return this.#base + unit * 2 ** UNIT_SHIFT;
  }

  /** Gives back what `take(shift)` gave. */
  give(offset: number, shift: number): void {
    let unit = (offset - this.#base) / 2 ** UNIT_SHIFT;
    let order = shift - UNIT_SHIFT;
    for (; order < ORDERS - 1; order++) {
      const half = unit ^ (1 << order);
      if (this.#freeOrder[half] !== order) break;
      this.#unlink(half, order);
      unit = Math.min(unit, half);
    }
    this.#push(unit, order);
  }

  #push(unit: number, order: number): void {
    const head = this.#heads[order]!;
    this.#next[unit] = head;
    this.#prev[unit] = NONE;
    if (head !== NONE) this.#prev[head] = unit;
    this.#heads[order] = unit;
    this.#freeOrder[unit] = order;
  }

  #unlink(unit: number, order: number): void {
    const next = this.#next[unit]!;
    const prev = this.#prev[unit]!;
    if (prev === NONE) this.#heads[order] = next;
    else this.#next[prev] = next;
    if (next !== NONE) this.#prev[next] = prev;
    this.#freeOrder[unit] = NONE;
  }
}
