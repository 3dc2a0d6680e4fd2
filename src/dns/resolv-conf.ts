// What the server needs of a resolv.conf(5): where `forward . /etc/resolv.conf` leads, and the search domains for autopath.
import { addressBytes, normalizeZone } from './reverse.ts';

/** The addresses of the `nameserver` lines. */
export function nameserversOf(text: string): string[] {
  return linesOf(text, 'nameserver').flatMap(([address]) =>
    address !== undefined && addressBytes(address) !== undefined ? [address] : [],
  );
}

/** The domains of the last `search` or `domain` line, absolute and in lower case. */
export function searchOf(text: string): string[] {
  const last = linesOf(text, 'search', 'domain').at(-1) ?? [];
  return last.flatMap((domain) => normalizeZone(domain) ?? []);
}

function linesOf(text: string, ...keywords: readonly string[]): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([keyword]) => keywords.includes(keyword!))
    .map((words) => words.slice(1));
}
