// Where the programs of all chains stand: one after the other in one array, found by the chain's number. An array for each would cost
// a packet three lines of the processor's cache a chain, with thousands of Services all of them cold; here it is one or two.
// A program that is written anew goes to the end; when half of the array is what nobody runs any more, it is packed.

export class ProgramArena {
  code = new Int32Array(1024);
  /** [offset, length] by chain. */
  places = new Int32Array(64);
  #end = 0;
  #live = 0;

  /** Puts a chain's program in the place of the one it had; between packets only. */
  set(chain: number, program: Int32Array): void {
    if (chain * 2 >= this.places.length) {
      const places = new Int32Array(Math.max(this.places.length, chain) * 4);
      places.set(this.places);
      this.places = places;
    }
    this.#live += program.length - this.places[chain * 2 + 1]!;
    this.places[chain * 2 + 1] = 0;
    if (this.#end + program.length > this.code.length) this.#pack(this.#live);
    this.code.set(program, this.#end);
    this.places[chain * 2] = this.#end;
    this.places[chain * 2 + 1] = program.length;
    this.#end += program.length;
  }

  /** Moves everything together, into an array that has room for as much again as is needed. */
  #pack(needed: number): void {
    const code = new Int32Array(Math.max(1024, needed * 2));
    let end = 0;
    for (let at = 0; at < this.places.length; at += 2) {
      const [offset, length] = [this.places[at]!, this.places[at + 1]!];
      code.set(this.code.subarray(offset, offset + length), end);
      this.places[at] = end;
      end += length;
    }
    this.code = code;
    this.#end = end;
  }
}
