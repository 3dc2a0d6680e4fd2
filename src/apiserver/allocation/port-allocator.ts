// Which NodePorts are taken. After kubernetes/pkg/registry/core/service/portallocator, with the static band of KEP-3668: ports
// given by users may lie anywhere in the range, chosen ones come from above the band until that is full. One number serves all
// protocols.
import type { Rng } from '../../lib/rng.ts';
import { AllocationError } from './ip-allocator.ts';

const MIN_BAND = 16;
const MAX_BAND = 128;
const BAND_STEP = 32;

export class PortAllocator {
  readonly #from: number;
  readonly #to: number;
  readonly #band: number;
  readonly #rng: Rng;
  readonly #taken = new Set<number>();

  /** Both ends belong to the range. */
  constructor([from, to]: readonly [number, number], rng: Rng) {
    if (!(from > 0 && to <= 65_535 && from <= to)) throw new AllocationError(`not a port range: ${from}-${to}`);
    this.#from = from;
    this.#to = to;
    const size = to - from + 1;
    this.#band = size < MIN_BAND ? 0 : Math.min(Math.max(MIN_BAND, Math.floor(size / BAND_STEP)), MAX_BAND);
    this.#rng = rng;
  }

  /** Takes this port. Throws AllocationError when it is taken or outside. */
  allocate(port: number): void {
    if (port < this.#from || port > this.#to) {
      throw new AllocationError(
        `provided port is not in the valid range. The range of valid ports is ${this.#from}-${this.#to}`,
      );
    }
    if (this.#taken.has(port)) throw new AllocationError('provided port is already allocated');
    this.#taken.add(port);
  }

  /** Takes a random free port above the band, then within it. */
  allocateNext(): number {
    const upper = this.#from + this.#band;
    const port = this.#find(upper, this.#to + 1) ?? this.#find(this.#from, upper);
    if (port === undefined) throw new AllocationError('range is full');
    this.#taken.add(port);
    return port;
  }

  /** Idempotent. */
  release(port: number): void {
    this.#taken.delete(port);
  }

  #find(from: number, to: number): number | undefined {
    const span = to - from;
    if (span <= 0) return undefined;
    const start = this.#rng.below(span);
    for (let i = 0; i < span; i++) {
      const port = from + ((start + i) % span);
      if (!this.#taken.has(port)) return port;
    }
    return undefined;
  }
}
