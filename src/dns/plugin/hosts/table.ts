// The lines of a hosts(5) file, both ways round (CoreDNS plugin/hosts/hostsfile.go). Names are absolute and in lower case; those
// outside the plugin's zones are left out. Lines that make no sense are passed over.
import { fqdn, matchZone } from '../../name.ts';
import { addressBytes, addressText } from '../../reverse.ts';

export class HostTable {
  readonly #addresses = new Map<string, Uint8Array[]>();
  readonly #names = new Map<string, string[]>();

  constructor(text: string, zones: readonly string[], withReverse: boolean) {
    for (const line of text.split('\n')) {
      const [written, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
      const address = addressBytes((written ?? '').replace(/%.*$/, ''));
      if (address === undefined) continue;
      for (const name of names) {
        const absolute = fqdn(name.toLowerCase());
        if (matchZone(zones, absolute) === undefined) continue;
        push(this.#addresses, absolute, address);
        if (withReverse) push(this.#names, addressText(address), absolute);
      }
    }
  }

  addresses(name: string, length: 4 | 16): Uint8Array[] {
    return (this.#addresses.get(name) ?? []).filter((address) => address.length === length);
  }

  /** How many pairs of name and address, both ways. */
  get size(): number {
    const count = (map: Map<string, readonly unknown[]>): number =>
      [...map.values()].reduce((n, list) => n + list.length, 0);
    return count(this.#addresses) + count(this.#names);
  }

  has(name: string): boolean {
    return this.#addresses.has(name);
  }

  /** The names of an address in canonical text. */
  names(address: string): readonly string[] {
    return this.#names.get(address) ?? [];
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
