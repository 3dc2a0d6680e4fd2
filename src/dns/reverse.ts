// Addresses and the reverse tree (RFC 1035 3.5, RFC 3596 2.5), and reading of addresses as strictly as Go's net.ParseIP: four
// decimal parts without leading zeros, or RFC 4291 text without a zone. Emulates CoreDNS plugin/pkg/dnsutil/reverse.go and
// plugin/pkg/cidr. Addresses are wire bytes (4 or 16) or canonical text (RFC 5952).
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { fqdn, isSubdomain } from './name.ts';

/** The 4 or 16 bytes of an address; an IPv4-mapped IPv6 address is its IPv4 address, as Go's To4 has it. Undefined: no address. */
export function addressBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!text.includes('%') && isIPv6(text)) {
    const parsed = ipaddr.IPv6.parse(text);
    return Uint8Array.from(parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toByteArray() : parsed.toByteArray());
  }
  return undefined;
}

/** Text of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray(Array.from(bytes));
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** The address in one spelling, so that it can be a key; undefined when the text is no address. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const bytes = addressBytes(text);
  return bytes === undefined ? undefined : addressText(bytes);
}

const V4_SUFFIX = '.in-addr.arpa.';
const V6_SUFFIX = '.ip6.arpa.';

/** The address a complete reverse name (lower case) stands for, in canonical text; undefined for any other name. */
export function addressOfReverse(name: string): string | undefined {
  if (name.endsWith(V4_SUFFIX)) {
    const text = name.slice(0, -V4_SUFFIX.length).split('.').reverse().join('.');
    return isIPv4(text) ? text : undefined;
  }
  if (name.endsWith(V6_SUFFIX)) {
    const nibbles = name.slice(0, -V6_SUFFIX.length).split('.');
    if (nibbles.length !== 32 || nibbles.some((n) => n.length !== 1 || !/^[0-9a-f]$/.test(n))) return undefined;
    nibbles.reverse();
    return canonicalAddress(nibbles.join('').replace(/(.{4})(?=.)/g, '$1:'));
  }
  return undefined;
}

/** Whether the zone or name (lower case) lies in one of the two reverse trees. */
export function isReverse(name: string): boolean {
  return isSubdomain('in-addr.arpa.', name) || isSubdomain('ip6.arpa.', name);
}

/**
 * The zones a Corefile's zone argument means, absolute and in lower case: the name itself, or for a CIDR the reverse zones that
 * cover it, several where the prefix does not end on an octet (IPv6: nibble) border. Undefined when it is neither.
 */
export function normalizeZone(text: string): string[] | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) {
    const bare = text.replace(/:\d+$/, '');
    return bare === '' ? undefined : [fqdn(bare.toLowerCase())];
  }
  const bits = text.slice(slash + 1);
  const bytes = addressBytes(text.slice(0, slash));
  if (bytes === undefined || !/^\d{1,3}$/.test(bits) || Number(bits) > bytes.length * 8)
    return [fqdn(text.toLowerCase())];
  return bytes.length === 4 ? reverseZones(bytes, Number(bits), 8) : reverseZones(bytes, Number(bits), 4);
}

function reverseZones(bytes: Uint8Array, bits: number, step: 4 | 8): string[] {
  const parts: number[] = [];
  for (const byte of bytes) {
    if (step === 8) parts.push(byte);
    else parts.push(byte >> 4, byte & 15);
  }
  const suffix = step === 8 ? 'in-addr.arpa.' : 'ip6.arpa.';
  const radix = step === 8 ? 10 : 16;
  const whole = Math.floor(bits / step);
  const name = (labels: readonly number[]): string =>
    labels
      .toReversed()
      .map((n) => `${n.toString(radix)}.`)
      .join('') + suffix;
  const rest = bits % step;
  if (rest === 0) return [name(parts.slice(0, whole))];
  const span = 1 << (step - rest);
  const first = parts[whole]! & ~(span - 1);
  return Array.from({ length: span }, (_, i) => name([...parts.slice(0, whole), first + i]));
}
