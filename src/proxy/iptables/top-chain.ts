// A top-level chain of the iptables mode (KUBE-SERVICES and its kin): the rules of all service ports, in the order of their keys.
// A service port's rules are put in place by binary search, so that a sync does not sort, nor ask ten thousand maps.

import { jsonOf } from '../../tcpip-ts/wire/ip-address.ts';
import type { Rule } from '../either-family.ts';

export class TopChain {
  readonly #keys: string[] = [];
  /** By the same index. */
  readonly #rules: (readonly Rule[])[] = [];

  /** What a service port has in the chain now; undefined: nothing. */
  set(key: string, rules: readonly Rule[] | undefined): void {
    const at = this.#find(key);
    const isThere = this.#keys[at] === key;
    if (rules && isThere) {
      // Equal rules stay the same objects: a chain of the same objects is what the kernel knows already.
      if (jsonOf(this.#rules[at]) !== jsonOf(rules)) this.#rules[at] = rules;
    } else if (rules) {
      this.#keys.splice(at, 0, key);
      this.#rules.splice(at, 0, rules);
    } else if (isThere) {
      this.#keys.splice(at, 1);
      this.#rules.splice(at, 1);
    }
  }

  /** All of them, a new array. O(rules). */
  rules(): Rule[] {
    const all: Rule[] = [];
    for (const rules of this.#rules) for (let i = 0; i < rules.length; i++) all.push(rules[i]!); // flat() takes ten times as long
    return all;
  }

  /** The first index whose key is not before `key`. */
  #find(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    // Keys mostly come in order when there are many of them.
    if (high > 0 && this.#keys[high - 1]! < key) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
