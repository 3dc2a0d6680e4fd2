// Addresses at the edges: dotted text to and from host-order numbers, MACs to and from 48-bit numbers.
// The packet path uses the numbers only.

/**
 * An IP address as applications meet it: from `ipv4()`, compared with ===, shown by `formatIPv4`. That it is a 32-bit number is the
 * packet path's business and not to be built upon: IPv6 addresses will be of another kind.
 */
export type IpAddress = number;

/** `a.b.c.d` as an unsigned host-order number, or undefined when it is not that (no octal, no shorthand). */
export function parseIPv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** As parseIPv4, for text known to be an address; throws TypeError otherwise. */
export function ipv4(text: string): number {
  const value = parseIPv4(text);
  if (value === undefined) throw new TypeError(`not an IPv4 address: ${text}`);
  return value;
}

export function formatIPv4(addr: number): string {
  return `${addr >>> 24}.${(addr >>> 16) & 255}.${(addr >>> 8) & 255}.${addr & 255}`;
}

/** The netmask of a prefix length, unsigned. */
export function netmask(prefixLen: number): number {
  return prefixLen === 0 ? 0 : (0xffffffff << (32 - prefixLen)) >>> 0;
}

/** `a.b.c.d/n` (or a bare address: /32) as [network address, prefix length]; undefined when malformed. */
export function parseCIDR(text: string): [number, number] | undefined {
  const [addrText, lenText = '32', ...rest] = text.split('/');
  const addr = parseIPv4(addrText!);
  const prefixLen = Number(lenText);
  if (addr === undefined || rest.length > 0 || !/^\d{1,2}$/.test(lenText) || prefixLen > 32) return undefined;
  return [(addr & netmask(prefixLen)) >>> 0, prefixLen];
}

/** A MAC as a number below 2^48. */
export type Mac = number;

export function parseMac(text: string): Mac {
  return Number(`0x${text.replaceAll(':', '')}`);
}

export function formatMac(mac: Mac): string {
  return mac.toString(16).padStart(12, '0').match(/../g)!.join(':');
}
