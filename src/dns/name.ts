// Domain names in presentation form: absolute, with a trailing dot, letters in the case they came in. A byte that is no plain
// character of a label stands as an escape, `\.` or `\DDD`, as in zone files (RFC 1035 5.1; the set of miekg/dns), so a name is
// always ASCII and two names are equal when their strings are. Comparisons ignore case by lowering first (RFC 4343).

export const MAX_LABEL = 63;
/** Bytes of a name on the wire, length bytes and root included (RFC 1035 2.3.4). */
export const MAX_NAME = 255;

const ESCAPED_BY_CHAR = new Set(Array.from('.();@"\\ ', (c) => c.charCodeAt(0)));
/** The text of each byte inside a label. */
const BYTE_TEXT = Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x20 || (ESCAPED_BY_CHAR.has(byte) && byte > 0x20)) return `\\${String.fromCharCode(byte)}`;
  if (byte < 0x21 || byte > 0x7e) return `\\${String(byte).padStart(3, '0')}`;
  return String.fromCharCode(byte);
});
const PLAIN = Uint8Array.from(BYTE_TEXT, (text) => (text.length === 1 ? 1 : 0));

/** A name of 255 bytes has at most 127 labels, the root among them. */
const MAX_POINTERS = 126;

export interface NameAt {
  readonly name: string;
  /** Offset of the byte after the name, where it stood (not where its pointers led). */
  readonly end: number;
}

/**
 * Reads the name at `offset`, following compression pointers, at most as many as a name has labels (so it always ends; miekg/dns
 * msg.go UnpackDomainName). Undefined when it runs out of the message, is longer than 255 bytes, has more pointers, or a label
 * type other than 00 and 11.
 */
export function readName(bytes: Uint8Array, offset: number): NameAt | undefined {
  let text = '';
  let end = -1;
  let length = 1;
  let pointers = 0;
  let at = offset;
  for (;;) {
    if (at >= bytes.length) return undefined;
    const len = bytes[at]!;
    if (len === 0) return { name: text === '' ? '.' : text, end: end < 0 ? at + 1 : end };
    if (len >= 0xc0) {
      if (at + 1 >= bytes.length) return undefined;
      const target = ((len & 0x3f) << 8) | bytes[at + 1]!;
      if (++pointers > MAX_POINTERS) return undefined;
      if (end < 0) end = at + 2;
      at = target;
      continue;
    }
    if (len > MAX_LABEL) return undefined;
    length += len + 1;
    if (length > MAX_NAME || at + 1 + len > bytes.length) return undefined;
    text += `${labelText(bytes, at + 1, len)}.`;
    at += len + 1;
  }
}

function labelText(bytes: Uint8Array, start: number, len: number): string {
  let text = '';
  for (let i = start; i < start + len; i++) text += BYTE_TEXT[bytes[i]!]!;
  return text;
}

/**
 * The labels of a name as bytes, or undefined when it is no valid name: an empty label, one over 63 bytes, more than 255 in all,
 * a character outside ASCII, an unfinished escape. A missing trailing dot is taken as there.
 */
export function labelsOf(name: string): Uint8Array[] | undefined {
  if (name === '.') return [];
  const labels: Uint8Array[] = [];
  let label: number[] = [];
  let total = 1;
  const text = isAbsolute(name) ? name : `${name}.`;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (label.length === 0 || label.length > MAX_LABEL) return undefined;
      total += label.length + 1;
      labels.push(Uint8Array.from(label));
      label = [];
      continue;
    }
    if (code === 0x5c) {
      const digits = text.slice(i + 1, i + 4);
      if (/^\d{3}$/.test(digits)) {
        code = Number(digits);
        i += 3;
      } else {
        code = text.charCodeAt(++i);
      }
    }
    if (!(code <= 0xff)) return undefined;
    label.push(code);
  }
  return label.length === 0 && total <= MAX_NAME ? labels : undefined;
}

export function isValidName(name: string): boolean {
  return labelsOf(name) !== undefined;
}

/** Whether the byte needs no escape inside a label. */
export function isPlainByte(byte: number): boolean {
  return PLAIN[byte] === 1;
}

function isAbsolute(name: string): boolean {
  return name.endsWith('.') && isSeparator(name, name.length - 1);
}

/** Whether the dot at `i` ends a label, that is, is not escaped. */
function isSeparator(name: string, i: number): boolean {
  let backslashes = 0;
  while (name.charCodeAt(i - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 0;
}

/** With its trailing dot. */
export function fqdn(name: string): string {
  return isAbsolute(name) ? name : `${name}.`;
}

/** Whether `name` is `zone` or lies below it. Both absolute and in lower case. */
export function isSubdomain(zone: string, name: string): boolean {
  if (zone === '.') return true;
  if (!name.endsWith(zone)) return false;
  const cut = name.length - zone.length;
  return cut === 0 || (name.charCodeAt(cut - 1) === 0x2e && isSeparator(name, cut - 1));
}

/** The longest of `zones` that holds `name`; undefined when none does. All absolute and in lower case. */
export function matchZone(zones: readonly string[], name: string): string | undefined {
  let best: string | undefined;
  for (const zone of zones) {
    if (isSubdomain(zone, name) && (best === undefined || zone.length > best.length)) best = zone;
  }
  return best;
}

/** The name that `labels`, without a dot at the end, has below `zone`. */
export function below(labels: string, zone: string): string {
  return zone === '.' ? `${labels}.` : `${labels}.${zone}`;
}

/** The part of `name` left of `zone`, without the dot between; '' at the apex. `name` must lie in the zone. */
export function trimZone(name: string, zone: string): string {
  if (zone === '.') return name === '.' ? '' : name.slice(0, -1);
  return name.length === zone.length ? '' : name.slice(0, name.length - zone.length - 1);
}
