// The data of resource records from the words of a zone file's line (RFC 1035 5.1, and the RFCs of the types named below), and
// single records as people write them in a Corefile: `NAME [TTL] [CLASS] TYPE DATA`. zone-file.ts reads whole files.
// Types without a form here may be written in the one for unknown types, `\# LENGTH HEX` (RFC 3597). TTLs in seconds.
import { isIPv4 } from 'node:net';
import { CLASS_IN, TYPE, typeNumber } from './constants.ts';
import { fqdn, isValidName, labelsOf } from './name.ts';
import { addressRecord, nameRecord, type Rdata, type ResourceRecord, soaRecord, srvRecord } from './record.ts';
import { addressBytes } from './reverse.ts';

const DEFAULT_TTL = 3600;

/** Throws an Error that says what is wrong with the line. */
export function parseRecord(line: string): ResourceRecord {
  const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const wrong = (what: string): Error => new Error(`dns: ${what} in record: ${JSON.stringify(line)}`);
  const name = words.length === 0 ? undefined : absoluteName(words.shift()!, '.');
  if (name === undefined) throw wrong('bad owner name');
  let ttl = DEFAULT_TTL;
  let type: number | undefined;
  while (words.length > 0 && type === undefined) {
    const word = words.shift()!;
    if (/^\d+$/.test(word)) ttl = Number(word);
    else if (word.toUpperCase() !== 'IN') type = typeNumber(word) ?? 0;
  }
  if (!type) throw wrong('unknown type');
  const record = recordOf(name, ttl, type, words, '.');
  if (record === undefined) throw wrong('bad data');
  return record;
}

/** The name a word stands for below `origin`: `@` is the origin itself, a dot at the end says that nothing is to be added. */
export function absoluteName(word: string, origin: string): string | undefined {
  if (word === '@') return origin;
  const name = fqdn(word) === word || origin === '.' ? fqdn(word) : `${word}.${origin}`;
  return name === '.' || isValidName(name) ? name : undefined;
}

/** The record with this data, names in it below `origin`; undefined: the words are no data of that type. */
export function recordOf(
  name: string,
  ttl: number,
  type: number,
  words: readonly string[],
  origin: string,
): ResourceRecord | undefined {
  const record = (rdata: Rdata | undefined): ResourceRecord | undefined =>
    rdata && { name, type, class: CLASS_IN, ttl, rdata };
  if (words[0] === '\\#') return record(unknownData(words.slice(1)));
  const at = (i: number): string | undefined => (words[i] === undefined ? undefined : absoluteName(words[i], origin));
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA: {
      const address = addressBytes(words[0] ?? '');
      const fits = isIPv4(words[0] ?? '') === (type === TYPE.A) && words.length === 1;
      return fits && address?.length === (type === TYPE.A ? 4 : 16) ? addressRecord(name, ttl, address) : undefined;
    }
    case TYPE.CNAME:
    case TYPE.DNAME:
    case TYPE.NS:
    case TYPE.PTR: {
      const target = at(0);
      return target === undefined || words.length > 1 ? undefined : nameRecord(name, type, ttl, target);
    }
    case TYPE.MX: {
      const before = fields('2', words);
      const target = at(1);
      if (before === undefined || target === undefined || words.length > 2) return undefined;
      return record({ before, names: [target], after: new Uint8Array(0) });
    }
    case TYPE.SRV: {
      const before = fields('222', words);
      const target = at(3);
      if (before === undefined || target === undefined || words.length > 4) return undefined;
      const srv = srvRecord(name, ttl, 0, 0, target);
      return { ...srv, rdata: { before, names: [target], after: new Uint8Array(0) } };
    }
    case TYPE.SOA: {
      const [mname, rname] = [at(0), at(1)];
      const numbers = words.slice(2).map((word, i) => (i === 0 ? natural(word, 32) : duration(word)));
      const [serial, refreshS, retryS, expireS, minimumS] = numbers;
      if (mname === undefined || rname === undefined || numbers.length !== 5 || numbers.includes(undefined))
        return undefined;
      const timers = { serial: serial!, refreshS: refreshS!, retryS: retryS!, expireS: expireS!, minimumS: minimumS! };
      return soaRecord(name, ttl, mname, rname, timers);
    }
    case TYPE.TXT:
    case TYPE.SPF:
      return words.length === 0 ? undefined : record(strings(words));
    case TYPE.HINFO:
      return words.length === 2 ? record(strings(words)) : undefined;
    case TYPE.CAA:
      return record(caaData(words));
    case TYPE.DS:
    case TYPE.TLSA:
    case TYPE.SSHFP: {
      const shape = type === TYPE.DS ? '211' : type === TYPE.TLSA ? '111' : '11';
      return record(join(fields(shape, words), hex(words.slice(shape.length))));
    }
    case TYPE.DNSKEY:
      return record(join(fields('211', words), base64(words.slice(3))));
    case TYPE.RRSIG:
      return record(signature(words, at(7)));
    case TYPE.NSEC:
      return record(join(wireName(at(0)), typeBitmap(words.slice(1))));
    default:
      return undefined;
  }
}

/** `1h30m`, `2w`, or plain seconds; undefined when it is neither. */
export function duration(word: string): number | undefined {
  if (/^\d+$/.test(word)) return natural(word, 32);
  if (!/^(\d+[smhdw])+$/i.test(word)) return undefined;
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
  let total = 0;
  for (const [, number, unit] of word.matchAll(/(\d+)([a-z])/gi)) total += Number(number) * units[unit!.toLowerCase()]!;
  return total <= 0xffffffff ? total : undefined;
}

function natural(word: string | undefined, bits: number): number | undefined {
  if (word === undefined || !/^\d{1,10}$/.test(word)) return undefined;
  const value = Number(word);
  return value < 2 ** bits ? value : undefined;
}

/** Numbers of as many bytes as the digits of `shape` say, one a word. */
function fields(shape: string, words: readonly string[]): Uint8Array | undefined {
  const bytes: number[] = [];
  for (let i = 0; i < shape.length; i++) {
    const width = Number(shape[i]);
    const value = natural(words[i], 8 * width);
    if (value === undefined) return undefined;
    for (let shift = width - 1; shift >= 0; shift--) bytes.push(Math.floor(value / 256 ** shift) & 255);
  }
  return Uint8Array.from(bytes);
}

/** The bytes of one character string as written, quotes and escapes resolved. */
function characters(word: string): Buffer {
  const quoted = /^"(.*)"$/s.exec(word);
  const text = quoted?.[1] ?? word;
  const resolved = text.replace(/\\(\d{3}|.)/gs, (_, what: string) =>
    what.length === 3 ? String.fromCharCode(Number(what) & 255) : what,
  );
  return Buffer.from(resolved, 'latin1');
}

function strings(words: readonly string[]): Uint8Array | undefined {
  const parts = words.map(characters);
  if (parts.some((part) => part.length > 255)) return undefined;
  return new Uint8Array(Buffer.concat(parts.flatMap((part) => [Buffer.of(part.length), part])));
}

function caaData(words: readonly string[]): Uint8Array | undefined {
  const flags = fields('1', words);
  const tag = words[1];
  if (tag === undefined || words.length !== 3 || !/^[a-z0-9]+$/i.test(tag)) return undefined;
  return join(flags, join(strings([tag]), new Uint8Array(characters(words[2]!))));
}

function hex(words: readonly string[]): Uint8Array | undefined {
  const text = words.join('');
  return /^([0-9a-f]{2})*$/i.test(text) ? new Uint8Array(Buffer.from(text, 'hex')) : undefined;
}

function base64(words: readonly string[]): Uint8Array | undefined {
  const text = words.join('');
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text !== '' ? new Uint8Array(Buffer.from(text, 'base64')) : undefined;
}

function unknownData([length, ...rest]: readonly string[]): Uint8Array | undefined {
  const bytes = hex(rest);
  return bytes !== undefined && natural(length, 16) === bytes.length ? bytes : undefined;
}

/** RFC 4034 3.2: type covered, algorithm, labels, TTL, expiration, inception, tag, signer, signature. */
function signature(words: readonly string[], signer: string | undefined): Uint8Array | undefined {
  const covered = typeNumber(words[0] ?? '');
  const times = [words[4], words[5]].map((word) => epoch(word ?? ''));
  if (covered === undefined || times.includes(undefined)) return undefined;
  const numbers = [String(covered), words[1]!, words[2]!, words[3]!, ...times.map(String), words[6]!];
  return join(fields('2114442', numbers), join(wireName(signer), base64(words.slice(8))));
}

/** YYYYMMDDHHmmSS or seconds. */
function epoch(word: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(word);
  if (match === null) return natural(word, 32);
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, ...number[]];
  return Math.floor(Date.UTC(year, month! - 1, day, hour, minute, second) / 1000) >>> 0;
}

function wireName(name: string | undefined): Uint8Array | undefined {
  const labels = name === undefined ? undefined : labelsOf(name);
  if (labels === undefined) return undefined;
  return new Uint8Array(Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)]));
}

/** RFC 4034 4.1.2. */
function typeBitmap(words: readonly string[]): Uint8Array | undefined {
  const windows = new Map<number, Uint8Array>();
  for (const word of words) {
    const type = typeNumber(word);
    if (type === undefined) return undefined;
    const bits = windows.get(type >> 8) ?? new Uint8Array(32);
    bits[(type & 255) >> 3]! |= 0x80 >> (type & 7);
    windows.set(type >> 8, bits);
  }
  const parts: Buffer[] = [];
  for (const [window, bits] of [...windows].sort(([a], [b]) => a - b)) {
    const length = bits.findLastIndex((byte) => byte !== 0) + 1;
    parts.push(Buffer.of(window, length), Buffer.from(bits.subarray(0, length)));
  }
  return new Uint8Array(Buffer.concat(parts));
}

function join(a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  return a && b && new Uint8Array(Buffer.concat([a, b]));
}
