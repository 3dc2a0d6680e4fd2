// Addresses for a Node's Pods, after the CNI plugin host-local: from the Node's podCIDR, the lowest after the one given last,
// so that an address just freed is the last to be reused. The network address and the gateway (first host) are never given.
import { formatIPv4, parseCIDR } from '../tcpip-ts/wire/address.ts';

export class Ipam {
  readonly gateway: number;
  readonly #first: number;
  readonly #last: number;
  readonly #used = new Set<number>();
  /** Addresses that Pods had before the Node was started again: kept for them. */
  readonly #reserved = new Set<number>();
  #cursor: number;

  /** `podCIDR` such as `10.244.0.0/24`. */
  constructor(podCIDR: string) {
    const parsed = parseCIDR(podCIDR);
    if (!parsed || parsed[1] > 29) throw new Error(`podCIDR ${podCIDR}: expected an IPv4 network of /29 or larger`);
    const [network, prefixLen] = parsed;
    this.gateway = network + 1;
    this.#first = network + 2;
    this.#last = network + 2 ** (32 - prefixLen) - 2; // the last one is the broadcast address
    this.#cursor = this.#first - 1;
  }

  get used(): number {
    return this.#used.size;
  }

  /** Keeps an address for the Pod that had it; one outside the range is ignored. */
  reserve(addr: number): void {
    if (addr >= this.#first && addr <= this.#last) this.#reserved.add(addr);
  }

  /** The address reserved for this Pod, or any free one; throws when the Node has no more (as host-local words it). */
  allocate(reserved?: number): number {
    if (reserved !== undefined && this.#reserved.delete(reserved) && !this.#used.has(reserved)) {
      this.#used.add(reserved);
      return reserved;
    }
    const size = this.#last - this.#first + 1;
    for (let i = 1; i <= size; i++) {
      const addr = this.#first + ((this.#cursor - this.#first + i + size) % size);
      if (this.#used.has(addr) || this.#reserved.has(addr)) continue;
      this.#used.add(addr);
      this.#cursor = addr;
      return addr;
    }
    throw new Error(
      `failed to allocate for range 0: no IP addresses available in range set: ${formatIPv4(this.#first)}-${formatIPv4(this.#last)}`,
    );
  }

  release(addr: number): void {
    this.#used.delete(addr);
    this.#reserved.delete(addr);
  }
}
