// Finds what a segment belongs to by its four-tuple: an open-addressing table in typed arrays, linear probing, deletion by
// shifting back (no tombstones), at most half full. Values are `kind` and `slot` of whatever owns the tuple, so that
// connections, half-open requests and time-wait entries share one lookup.
// The hash is keyed (a remote chooses its port and address), by a multiply-xor mix rather than Secret: 3 ns against 50.

export const KIND_CONNECTION = 1;
export const KIND_REQUEST = 2;
export const KIND_TIME_WAIT = 3;

/** 0: nobody. Otherwise the low two bits are the kind, the rest the slot. */
export type Owner = number;

export function owner(kind: number, slot: number): Owner {
  return (slot << 2) | kind;
}

export class Demux {
  #mask: number;
  #laddr: Int32Array;
  #raddr: Int32Array;
  /** Local port in the high half, remote in the low. */
  #ports: Int32Array;
  #owner: Int32Array;
  #size = 0;
  readonly #seed: number;

  constructor(seed: number, capacity = 64) {
    this.#seed = seed | 0;
    this.#mask = capacity - 1;
    this.#laddr = new Int32Array(capacity);
    this.#raddr = new Int32Array(capacity);
    this.#ports = new Int32Array(capacity);
    this.#owner = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  lookup(laddr: number, lport: number, raddr: number, rport: number): Owner {
    const i = this.#find(laddr | 0, raddr | 0, (lport << 16) | rport);
    return this.#owner[i]!;
  }

  /** Sets or replaces the owner of a tuple. */
  set(laddr: number, lport: number, raddr: number, rport: number, value: Owner): void {
    if (this.#size * 2 > this.#mask) this.#grow();
    const ports = (lport << 16) | rport;
    const i = this.#find(laddr | 0, raddr | 0, ports);
    if (this.#owner[i] === 0) this.#size++;
    this.#laddr[i] = laddr;
    this.#raddr[i] = raddr;
    this.#ports[i] = ports;
    this.#owner[i] = value;
  }

  /** Does nothing for a tuple that is not there. */
  delete(laddr: number, lport: number, raddr: number, rport: number): void {
    let hole = this.#find(laddr | 0, raddr | 0, (lport << 16) | rport);
    if (this.#owner[hole] === 0) return;
    this.#size--;
    const mask = this.#mask;
    for (let i = (hole + 1) & mask; this.#owner[i] !== 0; i = (i + 1) & mask) {
      const home = this.#hash(this.#laddr[i]!, this.#raddr[i]!, this.#ports[i]!) & mask;
      // An entry may fill the hole unless its home lies after the hole, on its way to where it is.
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      this.#laddr[hole] = this.#laddr[i]!;
      this.#raddr[hole] = this.#raddr[i]!;
      this.#ports[hole] = this.#ports[i]!;
      this.#owner[hole] = this.#owner[i]!;
      hole = i;
    }
    this.#owner[hole] = 0;
  }

  /** Index of the tuple, or of the empty place where it belongs. */
  #find(laddr: number, raddr: number, ports: number): number {
    const mask = this.#mask;
    let i = this.#hash(laddr, raddr, ports) & mask;
    while (this.#owner[i] !== 0) {
      if (this.#ports[i] === ports && this.#raddr[i] === raddr && this.#laddr[i] === laddr) return i;
      i = (i + 1) & mask;
    }
    return i;
  }

  #hash(laddr: number, raddr: number, ports: number): number {
    let h = this.#seed ^ laddr;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) ^ raddr;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) ^ ports;
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
    return h ^ (h >>> 15);
  }

  #grow(): void {
    const laddr = this.#laddr;
    const raddr = this.#raddr;
    const ports = this.#ports;
    const owners = this.#owner;
    const capacity = owners.length * 2;
    this.#mask = capacity - 1;
    this.#laddr = new Int32Array(capacity);
    this.#raddr = new Int32Array(capacity);
    this.#ports = new Int32Array(capacity);
    this.#owner = new Int32Array(capacity);
    for (let i = 0; i < owners.length; i++) {
      if (owners[i] === 0) continue;
      const j = this.#find(laddr[i]!, raddr[i]!, ports[i]!);
      this.#laddr[j] = laddr[i]!;
      this.#raddr[j] = raddr[i]!;
      this.#ports[j] = ports[i]!;
      this.#owner[j] = owners[i]!;
    }
  }
}
