// Which ClusterIPs are taken. After kubernetes/pkg/registry/core/service/ipallocator (bitmap.go) with the static and dynamic
// bands of KEP-3070: addresses given by users may lie anywhere, chosen ones come from above the static band until that is full.
// IPv4 only. Addresses are host-order numbers.
import type { Rng } from '../../lib/rng.ts';

const MIN_BAND = 16;
const MAX_BAND = 256;
const BAND_STEP = 16;

export class AllocationError extends Error {
  override readonly name = 'AllocationError';
}

export class IpAllocator {
  readonly cidr: string;
  readonly #first: number;
  /** Usable addresses: without the network's and the broadcast address. */
  readonly #size: number;
  readonly #band: number;
  readonly #rng: Rng;
  readonly #taken = new Set<number>();

  /** Throws AllocationError for text that is no IPv4 network. */
  constructor(cidr: string, rng: Rng) {
    const match = /^([\d.]+)\/(\d{1,2})$/.exec(cidr);
    const base = match && parseIPv4(match[1]!);
    const bits = Number(match?.[2]);
    if (base === undefined || base === null || bits > 30) throw new AllocationError(`not an IPv4 network: ${cidr}`);
    const count = 2 ** (32 - bits);
    const network = Math.floor(base / count) * count;
    this.cidr = `${formatIPv4(network)}/${bits}`;
    this.#first = network + 1;
    this.#size = count - 2;
    this.#band = Math.min(bandSize(count), this.#size);
    this.#rng = rng;
  }

  get free(): number {
    return this.#size - this.#taken.size;
  }

  contains(address: number): boolean {
    return address >= this.#first && address < this.#first + this.#size;
  }

  /** Takes this address. Throws AllocationError when it is taken or outside. */
  allocate(address: number): void {
    if (!this.contains(address)) {
      throw new AllocationError(
        `the provided IP (${formatIPv4(address)}) is not in the valid range. The range of valid IPs is ${this.cidr}`,
      );
    }
    if (this.#taken.has(address)) throw new AllocationError('provided IP is already allocated');
    this.#taken.add(address);
  }

  /** Takes a free address: from a random one above the band upwards with wrap, then within the band. */
  allocateNext(): number {
    const offset = this.#find(this.#band, this.#size) ?? this.#find(0, this.#band);
    if (offset === undefined) throw new AllocationError('range is full');
    const address = this.#first + offset;
    this.#taken.add(address);
    return address;
  }

  /** Idempotent. */
  release(address: number): void {
    this.#taken.delete(address);
  }

  #find(from: number, to: number): number | undefined {
    const span = to - from;
    if (span <= 0) return undefined;
    const start = this.#rng.below(span);
    for (let i = 0; i < span; i++) {
      const offset = from + ((start + i) % span);
      if (!this.#taken.has(this.#first + offset)) return offset;
    }
    return undefined;
  }
}

/** How many addresses at the beginning are kept for users, of a network of so many: none of less than 16. */
function bandSize(size: number): number {
  if (size < MIN_BAND) return 0;
  return Math.min(Math.max(MIN_BAND, Math.floor(size / BAND_STEP)), MAX_BAND);
}

/** Decimal octets, leading zeros allowed as ParseIPSloppy reads them; undefined for anything else. */
export function parseIPv4(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const octets = text.split('.').map(Number);
  if (octets.some((o) => o > 255)) return undefined;
  return octets.reduce((sum, o) => sum * 256 + o, 0);
}

export function formatIPv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
