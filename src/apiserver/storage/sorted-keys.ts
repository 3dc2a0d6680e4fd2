// An ordered set of strings, as a list of sorted blocks: insertion and removal move at most one block, a range is read in
// order. 100,000 keys make 400 blocks; an insertion among them costs about a microsecond.
const MAX_BLOCK = 512;

export class SortedKeys {
  readonly #blocks: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns false when the key was there already. */
  add(key: string): boolean {
    if (this.#blocks.length === 0) {
      this.#blocks.push([key]);
      this.#size = 1;
      return true;
    }
    const b = this.#blockOf(key);
    const block = this.#blocks[b]!;
    const at = lowerBound(block, key);
    if (block[at] === key) return false;
    block.splice(at, 0, key);
    this.#size++;
    if (block.length > MAX_BLOCK) this.#blocks.splice(b + 1, 0, block.splice(MAX_BLOCK >> 1));
    return true;
  }

  /** Returns false when the key was not there. */
  delete(key: string): boolean {
    if (this.#blocks.length === 0) return false;
    const b = this.#blockOf(key);
    const block = this.#blocks[b]!;
    const at = lowerBound(block, key);
    if (block[at] !== key) return false;
    block.splice(at, 1);
    this.#size--;
    if (block.length === 0) this.#blocks.splice(b, 1);
    return true;
  }

  /** Keys that begin with `prefix` and are greater than `after`, in order. The set must not change meanwhile. */
  *range(prefix: string, after: string = ''): Generator<string> {
    const from = after >= prefix ? after : prefix;
    for (let b = this.#blockOf(from); b < this.#blocks.length; b++) {
      const block = this.#blocks[b]!;
      for (let at = lowerBound(block, from); at < block.length; at++) {
        const key = block[at]!;
        if (key === after) continue;
        if (!key.startsWith(prefix)) return;
        yield key;
      }
    }
  }

  /** The last block whose first key is not greater than `key`, or the first one. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#blocks[middle]![0]! <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Index of the first element that is not less than `key`. */
function lowerBound(block: readonly string[], key: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (block[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
