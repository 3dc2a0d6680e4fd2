// Addresses of either family where rules and objects are dealt with, not packets: an IPv4 address is a host-order number, an
// IPv6 address a bigint, so the type tells the family. Text is canonical (RFC 5952 for IPv6).
// Leaves out: zones (`%eth0`), which no Kubernetes object has.
import { isIPv6 } from 'node:net';
import { formatIPv4, netmask, parseIPv4 } from './address.ts';

export type IpAddress = number | bigint;
export type IpFamily = 4 | 6;

/** Network address and prefix length. */
export type IpPrefix = readonly [addr: IpAddress, prefixLen: number];

export function familyOf(addr: IpAddress): IpFamily {
  return typeof addr === 'bigint' ? 6 : 4;
}

/** Bits of an address. */
export function widthOf(family: IpFamily): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Undefined when it is neither. */
export function parseIpAddress(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIPv6(text) : parseIPv4(text);
}

/** As parseIpAddress, for text of one family only. */
export function parseIpOf(family: IpFamily, text: string): IpAddress | undefined {
  return text.includes(':') === (family === 6) ? parseIpAddress(text) : undefined;
}

/** Undefined when it is none, or has a zone (`%eth0`). */
export function parseIPv6(text: string): bigint | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const dotted = /^(.*:)(\d+\.[\d.]+)$/.exec(text);
  let groups = text;
  if (dotted) {
    const low = parseIPv4(dotted[2]!)!;
    groups = `${dotted[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`;
  }
  const [head = '', tail] = groups.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const first = words(head);
  const last = tail === undefined ? [] : words(tail);
  const zeros = new Array<string>(8 - first.length - last.length).fill('0');
  return [...first, ...zeros, ...last].reduce((value, word) => (value << 16n) | BigInt(`0x${word}`), 0n);
}

export function formatIpAddress(addr: IpAddress): string {
  return typeof addr === 'bigint' ? formatIPv6(addr) : formatIPv4(addr);
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function formatHostPort(addr: IpAddress, port: number | string): string {
  return typeof addr === 'bigint' ? `[${formatIPv6(addr)}]:${port}` : `${formatIPv4(addr)}:${port}`;
}

/** `10.0.0.0/8`, `fd00::/64`. */
export function formatIpPrefix([addr, prefixLen]: IpPrefix): string {
  return `${formatIpAddress(addr)}/${prefixLen}`;
}

/** The first of the longest runs of zero groups, of two at least, becomes `::`. */
function formatIPv6(addr: bigint): string {
  const words: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) words.push(((addr >> shift) & 0xffffn).toString(16));
  let [start, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && words[end] === '0') end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  if (start < 0) return words.join(':');
  return `${words.slice(0, start).join(':')}::${words.slice(start + length).join(':')}`;
}

/** `ADDRESS/LENGTH`, or an address alone; host bits are cut off. Undefined when malformed. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const [addrText, lenText, ...rest] = text.split('/');
  const addr = parseIpAddress(addrText!);
  if (addr === undefined || rest.length > 0) return undefined;
  const width = widthOf(familyOf(addr));
  const prefixLen = Number(lenText ?? width);
  if (lenText !== undefined && (!/^\d{1,3}$/.test(lenText) || prefixLen > width)) return undefined;
  return [networkOf(addr, prefixLen), prefixLen];
}

/** Those that are prefixes. */
export function parseIpPrefixes(texts: readonly string[]): IpPrefix[] {
  return texts.map(parseIpPrefix).filter((prefix) => prefix !== undefined);
}

/** The address with its host bits cut off. */
export function networkOf<A extends IpAddress>(addr: A, prefixLen: number): A;
export function networkOf(addr: IpAddress, prefixLen: number): IpAddress {
  if (typeof addr === 'number') return (addr & netmask(prefixLen)) >>> 0;
  const shift = BigInt(128 - prefixLen);
  return (addr >> shift) << shift;
}

/** False for an address of the other family, and for none. */
export function isInPrefix([network, prefixLen]: IpPrefix, addr: IpAddress | undefined): boolean {
  return addr !== undefined && typeof addr === typeof network && networkOf(addr, prefixLen) === network;
}

/** 127.0.0.0/8, ::1. */
export function isLoopback(addr: IpAddress): boolean {
  return typeof addr === 'bigint' ? addr === 1n : addr >>> 24 === 127;
}

/** 169.254.0.0/16, fe80::/10. */
export function isLinkLocal(addr: IpAddress): boolean {
  return typeof addr === 'bigint' ? addr >> 118n === 0x3fan : addr >>> 16 === 0xa9fe;
}

/** As text, with bigints, which JSON has not. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v));
}
