// One resource record from its line in a zone file (RFC 1035 5.1), as people write them in a Corefile: `NAME [TTL] [CLASS] TYPE DATA`.
// Knows A, AAAA, CNAME, NS, PTR, MX, SRV, SOA and TXT; leaves out $ORIGIN, parentheses and comments. TTLs in seconds.
import { CLASS_IN, TYPE, typeNumber } from './constants.ts';
import { fqdn, isValidName } from './name.ts';
import { addressRecord, nameRecord, type ResourceRecord, soaRecord, srvRecord } from './record.ts';
import { addressBytes } from './reverse.ts';

const DEFAULT_TTL = 3600;

/** Throws an Error that says what is wrong with the line. */
export function parseRecord(line: string): ResourceRecord {
  const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const wrong = (what: string): Error => new Error(`dns: ${what} in record: ${JSON.stringify(line)}`);
  const name = nameOf(words.shift());
  if (name === undefined) throw wrong('bad owner name');
  let ttl = DEFAULT_TTL;
  let type: number | undefined;
  while (words.length > 0 && type === undefined) {
    const word = words.shift()!;
    if (/^\d+$/.test(word)) ttl = Number(word);
    else if (word.toUpperCase() !== 'IN') type = typeNumber(word) ?? 0;
  }
  const record = dataOf(name, ttl, type, words);
  if (record === undefined) throw wrong(type ? 'bad data' : 'unknown type');
  return record;
}

function dataOf(
  name: string,
  ttl: number,
  type: number | undefined,
  words: readonly string[],
): ResourceRecord | undefined {
  const numbers = words.map(Number);
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA: {
      const address = addressBytes(words[0] ?? '');
      return address?.length === (type === TYPE.A ? 4 : 16) ? addressRecord(name, ttl, address) : undefined;
    }
    case TYPE.CNAME:
    case TYPE.NS:
    case TYPE.PTR: {
      const target = nameOf(words[0]);
      return target === undefined ? undefined : nameRecord(name, type, ttl, target);
    }
    case TYPE.MX: {
      const target = nameOf(words[1]);
      if (target === undefined || !isU16(numbers[0])) return undefined;
      const before = Uint8Array.of(numbers[0] >> 8, numbers[0] & 255);
      return { name, type, class: CLASS_IN, ttl, rdata: { before, names: [target], after: new Uint8Array(0) } };
    }
    case TYPE.SRV: {
      const target = nameOf(words[3]);
      const [priority, weight, port] = numbers;
      if (target === undefined || !isU16(priority) || !isU16(weight) || !isU16(port)) return undefined;
      const record = srvRecord(name, ttl, weight, port, target);
      if (record.rdata instanceof Uint8Array) return undefined;
      record.rdata.before[0] = priority >> 8;
      record.rdata.before[1] = priority;
      return record;
    }
    case TYPE.SOA: {
      const [mname, rname] = [nameOf(words[0]), nameOf(words[1])];
      const [serial, refreshS, retryS, expireS, minimumS] = numbers.slice(2) as (number | undefined)[];
      if (mname === undefined || rname === undefined || minimumS === undefined) return undefined;
      if (numbers.slice(2, 7).some((n) => !Number.isInteger(n) || n < 0)) return undefined;
      const timers = { serial: serial!, refreshS: refreshS!, retryS: retryS!, expireS: expireS!, minimumS };
      return soaRecord(name, ttl, mname, rname, timers);
    }
    case TYPE.TXT: {
      const parts = words.map((word) => Buffer.from(word.replace(/^"(.*)"$/s, '$1').replace(/\\(.)/g, '$1')));
      if (parts.length === 0 || parts.some((part) => part.length > 255)) return undefined;
      const rdata = new Uint8Array(Buffer.concat(parts.flatMap((part) => [Buffer.of(part.length), part])));
      return { name, type, class: CLASS_IN, ttl, rdata };
    }
    default:
      return undefined;
  }
}

function nameOf(word: string | undefined): string | undefined {
  const name = word === undefined ? '' : fqdn(word);
  return name !== '' && (name === '.' || isValidName(name)) ? name : undefined;
}

function isU16(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}
