// Prefixes as sorted ranges that do not touch, as nft makes an anonymous interval set of them.
import {
  familyOf,
  formatIpAddress,
  formatIpPrefix,
  type IpAddress,
  networkOf,
  widthOf,
} from '../../../tcpip-ts/wire/ip-address.ts';
import type { Prefix } from './ruleset.ts';

export type Range<A = number> = readonly [first: A, last: A];

/** Merges what overlaps or touches, as nft's auto-merge for anonymous sets. */
export function rangesOf<A extends IpAddress>(prefixes: readonly Prefix<A>[]): readonly Range<A>[] {
  const ranges = prefixes
    .map(([addr, prefixLen]): Range<A> => {
      const first = networkOf(addr, prefixLen);
      return [first, lastOf(first, prefixLen)];
    })
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  const merged: [A, A][] = [];
  for (const [first, last] of ranges) {
    const before = merged.at(-1);
    if (!before || first > plusOne(before[1])) merged.push([first, last]);
    else if (last > before[1]) before[1] = last;
  }
  return merged;
}

export function isInRanges<A extends IpAddress>(ranges: readonly Range<A>[], addr: A): boolean {
  return ranges.some(([first, last]) => addr >= first && addr <= last);
}

/** `10.0.0.0/8`, `192.0.2.1`, or `1.2.3.4-1.2.3.9` when no prefix says it. */
export function formatRange([first, last]: Range<IpAddress>): string {
  const width = widthOf(familyOf(first));
  for (let prefixLen = width as number; prefixLen >= 0; prefixLen--) {
    if (networkOf(first, prefixLen) !== first) break;
    if (lastOf(first, prefixLen) !== last) continue;
    return prefixLen === width ? formatIpAddress(first) : formatIpPrefix([first, prefixLen]);
  }
  return `${formatIpAddress(first)}-${formatIpAddress(last)}`;
}

function lastOf<A extends IpAddress>(network: A, prefixLen: number): A;
function lastOf(network: IpAddress, prefixLen: number): IpAddress {
  if (typeof network === 'number') return network + 2 ** (32 - prefixLen) - 1;
  return network + (1n << BigInt(128 - prefixLen)) - 1n;
}

function plusOne(addr: IpAddress): IpAddress {
  return typeof addr === 'number' ? addr + 1 : addr + 1n;
}
