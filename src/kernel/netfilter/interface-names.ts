// What rules say of interfaces, by name or by how a name begins, as a bit for each ifindex: a packet's comparison is one look, however
// long the names are. Made again whenever devices come or go.
import type { Devices } from '../core/device.ts';

interface Pattern {
  readonly text: string;
  matches: Uint8Array;
}

export class InterfaceNames {
  readonly #devices: Devices;
  /** What stands at the end of a name that is a beginning: `+` in iptables, `*` in nft. */
  readonly #wildcard: string;
  readonly #patterns: Pattern[] = [];
  /** Of the devices that #patterns knows. */
  #generation = -1;

  constructor(devices: Devices, wildcard: '+' | '*') {
    this.#devices = devices;
    this.#wildcard = wildcard;
  }

  /** A number for the name, from 0 on. It is kept for good. */
  numberOf(text: string): number {
    const i = this.#patterns.findIndex((p) => p.text === text);
    if (i >= 0) return i;
    this.#generation = -1;
    return this.#patterns.push({ text, matches: new Uint8Array(0) }) - 1;
  }

  /** ifindex 0: no device, which no name is of. */
  matches(number: number, ifindex: number): boolean {
    if (this.#generation !== this.#devices.generation) this.#resolve();
    return this.#patterns[number]!.matches[ifindex] === 1;
  }

  #resolve(): void {
    this.#generation = this.#devices.generation;
    const devices = this.#devices.list();
    const size = devices.reduce((max, d) => Math.max(max, d.ifindex), 0) + 1;
    for (const pattern of this.#patterns) {
      const beginning = pattern.text.endsWith(this.#wildcard) ? pattern.text.slice(0, -1) : null;
      pattern.matches = new Uint8Array(size);
      for (const { name, ifindex } of devices)
        if (beginning === null ? name === pattern.text : name.startsWith(beginning)) pattern.matches[ifindex] = 1;
    }
  }
}
