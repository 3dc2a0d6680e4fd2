// Prefixes as sorted ranges that do not touch, as nft makes an anonymous interval set of them.
import { formatIPv4, netmask } from '../../../tcpip-ts/wire/address.ts';
import type { Prefix } from './ruleset.ts';

export type Range = readonly [first: number, last: number];

/** Merges what overlaps or touches, as nft's auto-merge for anonymous sets. */
export function rangesOf(prefixes: readonly Prefix[]): readonly Range[] {
  const ranges = prefixes
    .map(([addr, prefixLen]): Range => {
      const first = (addr & netmask(prefixLen)) >>> 0;
      return [first, first + 2 ** (32 - prefixLen) - 1];
    })
    .sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of ranges) {
    const before = merged.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

export function isInRanges(ranges: readonly Range[], addr: number): boolean {
  return ranges.some(([first, last]) => addr >= first && addr <= last);
}

/** `10.0.0.0/8`, `192.0.2.1`, or `1.2.3.4-1.2.3.9` when no prefix says it. */
export function formatRange([first, last]: Range): string {
  const size = last - first + 1;
  const bits = Math.log2(size);
  if (!Number.isInteger(bits) || first % size !== 0) return `${formatIPv4(first)}-${formatIPv4(last)}`;
  return bits === 0 ? formatIPv4(first) : `${formatIPv4(first)}/${32 - bits}`;
}
