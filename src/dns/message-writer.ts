// Writes DNS messages: name compression (RFC 1035 4.1.4), label validation, and cutting to the size the client can take with
// the TC bit (miekg/dns Msg.Truncate, which CoreDNS calls for every reply). Everything that reads them is in message.ts.
// Deviation: CoreDNS compresses only replies that would not fit otherwise; we always do, so messages are shorter, never different.
//
// Compression: a name is written label by label until what is left of it has been written before, then a pointer ends it. What
// has been written: the question's name, compared as a string at no cost in memory (nearly every name in a reply is a suffix of
// it), and all other names in a Map from suffix to offset. Case counts, so the query's spelling is echoed exactly.
// Units: bytes.
import { MAX_MESSAGE_SIZE, TYPE } from './constants.ts';
import { isPlainByte, labelsOf, MAX_LABEL, MAX_NAME } from './name.ts';
import { type ResourceRecord, shapeOf } from './record.ts';

export const HEADER_SIZE = 12;
export const FLAG_QR = 0x8000;
export const FLAG_AA = 0x0400;
export const FLAG_TC = 0x0200;
export const FLAG_RD = 0x0100;
export const FLAG_RA = 0x0080;
export const FLAG_AD = 0x0020;
export const FLAG_CD = 0x0010;

export interface EdnsOption {
  readonly code: number;
  readonly data: Uint8Array;
}

/** The OPT pseudo record of a message. */
export interface Edns {
  readonly udpSize: number;
  readonly version: number;
  /** The DO bit. */
  readonly dnssecOk: boolean;
  readonly options: readonly EdnsOption[];
}

export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface MessageParts {
  readonly id: number;
  /** The header's flags and opcode; the low bits of the rcode and TC are added here. */
  readonly flags: number;
  readonly rcode: number;
  readonly question: Question | undefined;
  readonly answer: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
  readonly additional: readonly ResourceRecord[];
  readonly edns: Edns | undefined;
  /** Written in place of every record's own TTL when set (replies from the cache). */
  readonly ttl?: number | undefined;
}

const POINTER_LIMIT = 0x4000;

/** Room for a message at its limit and one record over it. */
const scratch = new Uint8Array(2 * MAX_MESSAGE_SIZE + 1024);
const suffixes = new Map<string, number>();
let at = 0;
/** The question's name when it can be compared as a string (no escapes), else ''. */
let qname = '';

/**
 * The message in at most `limit` bytes, with TC set when records had to be left out (from the end of the additional section
 * forwards). Undefined when a name in it is no valid domain name. The bytes are the caller's.
 */
export function encodeMessage(parts: MessageParts, limit: number): Uint8Array | undefined {
  const { question, edns } = parts;
  at = HEADER_SIZE;
  qname = '';
  if (suffixes.size > 0) suffixes.clear();
  if (question !== undefined) {
    if (!writeName(question.name, true)) return undefined;
    if (!question.name.includes('\\')) qname = question.name;
    put16(question.type);
    put16(question.class);
  }
  const room = limit - (edns === undefined ? 0 : sizeOfEdns(edns));
  let truncated = false;
  const counts = [0, 0, 0];
  const sections = [parts.answer, parts.authority, parts.additional];
  for (let section = 0; section < 3 && !truncated; section++) {
    for (const record of sections[section]!) {
      const start = at;
      if (!putRecord(record, parts.ttl ?? record.ttl)) return undefined;
      if (at > room) {
        at = start;
        truncated = true;
        break;
      }
      counts[section]!++;
    }
  }
  if (edns !== undefined) putEdns(edns, parts.rcode);
  const end = at;
  at = 0;
  put16(parts.id);
  put16(parts.flags | (truncated ? FLAG_TC : 0) | (parts.rcode & 0xf));
  put16(question === undefined ? 0 : 1);
  put16(counts[0]!);
  put16(counts[1]!);
  put16(counts[2]! + (edns === undefined ? 0 : 1));
  // From Buffer's pool: three times as fast as an ArrayBuffer of its own.
  const message = Buffer.allocUnsafe(end);
  message.set(scratch.subarray(0, end));
  return message;
}

function putRecord(record: ResourceRecord, ttl: number): boolean {
  if (!writeName(record.name, true)) return false;
  put16(record.type);
  put16(record.class);
  put16(ttl >>> 16);
  put16(ttl & 0xffff);
  const lengthAt = at;
  at += 2;
  const { rdata } = record;
  if (rdata instanceof Uint8Array) {
    putBytes(rdata);
  } else {
    const compress = shapeOf(record.type)?.compress ?? false;
    putBytes(rdata.before);
    for (const name of rdata.names) if (!writeName(name, compress)) return false;
    putBytes(rdata.after);
  }
  const length = at - lengthAt - 2;
  scratch[lengthAt] = length >> 8;
  scratch[lengthAt + 1] = length;
  return true;
}

function putBytes(bytes: Uint8Array): void {
  // Short runs, which nearly all are, cost less byte by byte than through set().
  if (bytes.length > 32) scratch.set(bytes, at);
  else for (let i = 0; i < bytes.length; i++) scratch[at + i] = bytes[i]!;
  at += bytes.length;
}

function put16(value: number): void {
  scratch[at++] = value >> 8;
  scratch[at++] = value;
}

/** False when the name is invalid; bytes may then have been written. */
function writeName(name: string, compress: boolean): boolean {
  if (compress && name === qname && qname !== '') {
    put16(0xc000 | HEADER_SIZE);
    return true;
  }
  if (name === '.') {
    scratch[at++] = 0;
    return true;
  }
  const length = name.length;
  if (length > 0 && name.includes('\\')) return writeEscapedName(name);
  if (length === 0 || length >= MAX_NAME || name.charCodeAt(length - 1) !== 0x2e) return false;
  let start = 0;
  while (start < length) {
    const suffix = start === 0 ? name : name.slice(start);
    const seen = offsetOf(suffix);
    if (seen > 0) {
      if (compress) {
        put16(0xc000 | seen);
        return true;
      }
    } else if (at < POINTER_LIMIT) {
      suffixes.set(suffix, at);
    }
    const lengthAt = at++;
    let code = 0;
    while ((code = name.charCodeAt(start++)) !== 0x2e) {
      if (code > 0x7e || !isPlainByte(code)) return false;
      scratch[at++] = code;
    }
    const label = at - lengthAt - 1;
    if (label === 0 || label > MAX_LABEL) return false;
    scratch[lengthAt] = label;
  }
  scratch[at++] = 0;
  return true;
}

/** Where this suffix of a name stands in the message; 0: nowhere. */
function offsetOf(suffix: string): number {
  const cut = qname.length - suffix.length;
  if (cut >= 0 && qname.endsWith(suffix) && (cut === 0 || qname.charCodeAt(cut - 1) === 0x2e)) return HEADER_SIZE + cut;
  return suffixes.get(suffix) ?? 0;
}

/** Names with escapes are rare: written whole. */
function writeEscapedName(name: string): boolean {
  const labels = labelsOf(name);
  if (labels === undefined) return false;
  for (const label of labels) {
    scratch[at++] = label.length;
    putBytes(label);
  }
  scratch[at++] = 0;
  return true;
}

function sizeOfEdns(edns: Edns): number {
  let size = 11;
  for (const option of edns.options) size += 4 + option.data.length;
  return size;
}

function putEdns(edns: Edns, rcode: number): void {
  scratch[at++] = 0;
  put16(TYPE.OPT);
  put16(edns.udpSize);
  scratch[at++] = rcode >> 4;
  scratch[at++] = edns.version;
  put16(edns.dnssecOk ? 0x8000 : 0);
  put16(sizeOfEdns(edns) - 11);
  for (const option of edns.options) {
    put16(option.code);
    put16(option.data.length);
    putBytes(option.data);
  }
}
