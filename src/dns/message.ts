// The wire form of DNS messages (RFC 1035 4, EDNS RFC 6891): everything that reads or writes message bytes is in this file and
// in message-writer.ts. Stands for miekg/dns as CoreDNS uses it: which messages are accepted, refused or ignored (its
// DefaultMsgAcceptFunc), what survives of a malformed one.
//
// The package dns-packet is wrapped here. It reads and writes the data of records at the edges (text given by a person, text
// shown to one); messages themselves are walked by our own code, because dns-packet reads labels as UTF-8, throws on malformed
// input, does not compress and knows no size limit. Nothing here throws on foreign bytes.
// Leaves out: TSIG, dynamic updates, more than one question. Units: bytes; TTLs in seconds.
import dnsPacket, { type Answer } from 'dns-packet';
import { MAX_MESSAGE_SIZE, OPCODE_NOTIFY, OPCODE_QUERY, RCODE, TYPE } from './constants.ts';
import { type Edns, type EdnsOption, encodeMessage, FLAG_QR, HEADER_SIZE, type Question } from './message-writer.ts';
import { fqdn, isValidName, readName } from './name.ts';
import { type Rdata, type ResourceRecord, shapeOf } from './record.ts';

export interface Query {
  readonly id: number;
  readonly opcode: number;
  readonly flags: number;
  readonly question: Question;
  readonly edns: Edns | undefined;
  /** Of the SOA an IXFR brings along. */
  readonly serial?: number | undefined;
}

export type DecodedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  /** Answer with this code and nothing but the header (and the question, when it could be read). */
  | {
      readonly kind: 'reject';
      readonly rcode: number;
      readonly id: number;
      readonly flags: number;
      readonly question?: Question;
    }
  /** Stay silent: a response, or less than a header. */
  | { readonly kind: 'ignore' };

/** Reads what a client sent, by the rules of miekg/dns acceptfunc.go. The bytes are not kept. */
export function decodeQuery(bytes: Uint8Array): DecodedQuery {
  if (bytes.length < HEADER_SIZE) return { kind: 'ignore' };
  const id = u16(bytes, 0);
  const flags = u16(bytes, 2);
  if ((flags & FLAG_QR) !== 0) return { kind: 'ignore' };
  const opcode = (flags >> 11) & 0xf;
  if (opcode !== OPCODE_QUERY && opcode !== OPCODE_NOTIFY) return { kind: 'reject', rcode: RCODE.NOTIMP, id, flags };
  const answers = u16(bytes, 6);
  const authorities = u16(bytes, 8);
  const additionals = u16(bytes, 10);
  // A NOTIFY may carry one SOA as answer, an IXFR one as authority; OPT and TSIG may follow.
  if (u16(bytes, 4) !== 1 || answers > 1 || authorities > 1 || additionals > 2) {
    return { kind: 'reject', rcode: RCODE.FORMERR, id, flags };
  }
  // Nothing behind the header: the server finds itself without a question.
  if (bytes.length === HEADER_SIZE) return { kind: 'reject', rcode: RCODE.SERVFAIL, id, flags };
  const at = readName(bytes, HEADER_SIZE);
  if (at === undefined) return { kind: 'reject', rcode: RCODE.FORMERR, id, flags };
  // A message may end before the type, or before the class, which are then 0; but not within them.
  const left = Math.min(4, bytes.length - at.end);
  if (left % 2 === 1) return { kind: 'reject', rcode: RCODE.FORMERR, id, flags };
  const type = left >= 2 ? u16(bytes, at.end) : 0;
  const question: Question = { name: at.name, type, class: left === 4 ? u16(bytes, at.end + 2) : 0 };
  let offset = at.end + left;
  let edns: Edns | undefined;
  let serial: number | undefined;
  // Records that are counted and not there are overlooked.
  for (let i = answers + authorities + additionals; i > 0 && offset < bytes.length; i--) {
    const record = readRecord(bytes, offset);
    if (record === undefined || !isReadable(bytes, record))
      return { kind: 'reject', rcode: RCODE.FORMERR, id, flags, question };
    if (record.type === TYPE.OPT && i <= additionals) {
      edns = readEdns(bytes, record);
      if (edns === undefined) return { kind: 'reject', rcode: RCODE.FORMERR, id, flags, question };
    }
    if (record.type === TYPE.SOA && question.type === TYPE.IXFR && i === authorities + additionals)
      serial = serialOf(bytes, record);
    offset = record.end;
  }
  return { kind: 'query', query: { id, opcode, flags, question, edns, serial } };
}

export interface DecodedReply {
  readonly id: number;
  readonly flags: number;
  /** With the upper bits of the OPT record. */
  readonly rcode: number;
  readonly question: Question | undefined;
  readonly answer: readonly ResourceRecord[];
  readonly authority: readonly ResourceRecord[];
  /** Without the OPT record. */
  readonly additional: readonly ResourceRecord[];
  readonly edns: Edns | undefined;
}

/** Reads a whole message, such as an upstream's reply; undefined when it is malformed. */
export function decodeMessage(bytes: Uint8Array): DecodedReply | undefined {
  if (bytes.length < HEADER_SIZE) return undefined;
  const flags = u16(bytes, 2);
  let offset = HEADER_SIZE;
  let question: Question | undefined;
  for (let i = u16(bytes, 4); i > 0; i--) {
    const at = readName(bytes, offset);
    if (at === undefined || at.end + 4 > bytes.length) return undefined;
    question ??= { name: at.name, type: u16(bytes, at.end), class: u16(bytes, at.end + 2) };
    offset = at.end + 4;
  }
  let edns: Edns | undefined;
  let extendedRcode = 0;
  const sections: ResourceRecord[][] = [];
  for (let section = 0; section < 3; section++) {
    const records: ResourceRecord[] = [];
    for (let i = u16(bytes, 6 + 2 * section); i > 0; i--) {
      const raw = readRecord(bytes, offset);
      if (raw === undefined) return undefined;
      offset = raw.end;
      if (raw.type === TYPE.OPT) {
        edns ??= readEdns(bytes, raw);
        extendedRcode = raw.ttl >>> 24;
        continue;
      }
      const rdata = readRdata(bytes, raw);
      if (rdata === undefined) return undefined;
      records.push({ name: raw.name, type: raw.type, class: raw.class, ttl: raw.ttl, rdata });
    }
    sections.push(records);
  }
  const [answer, authority, additional] = sections as [ResourceRecord[], ResourceRecord[], ResourceRecord[]];
  const rcode = (extendedRcode << 4) | (flags & 0xf);
  return { id: u16(bytes, 0), flags, rcode, question, answer, authority, additional, edns };
}

interface RawRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Offset of the data. */
  readonly data: number;
  readonly end: number;
}

function readRecord(bytes: Uint8Array, offset: number): RawRecord | undefined {
  const at = readName(bytes, offset);
  if (at === undefined || at.end + 10 > bytes.length) return undefined;
  const data = at.end + 10;
  const end = data + u16(bytes, at.end + 8);
  if (end > bytes.length) return undefined;
  const ttl = ((u16(bytes, at.end + 4) << 16) | u16(bytes, at.end + 6)) >>> 0;
  return { name: at.name, type: u16(bytes, at.end), class: u16(bytes, at.end + 2), ttl, data, end };
}

function readRdata(bytes: Uint8Array, raw: RawRecord): Rdata | undefined {
  const shape = shapeOf(raw.type);
  if (shape === undefined) {
    if (raw.type === TYPE.A && raw.end - raw.data !== 4) return undefined;
    if (raw.type === TYPE.AAAA && raw.end - raw.data !== 16) return undefined;
    return copy(bytes, raw.data, raw.end);
  }
  let offset = raw.data + shape.before;
  const names: string[] = [];
  for (let i = 0; i < shape.names; i++) {
    const at = readName(bytes, offset);
    if (at === undefined || at.end > raw.end) return undefined;
    names.push(at.name);
    offset = at.end;
  }
  if (offset + shape.after !== raw.end) return undefined;
  return { before: copy(bytes, raw.data, raw.data + shape.before), names, after: copy(bytes, offset, raw.end) };
}

function serialOf(bytes: Uint8Array, raw: RawRecord): number | undefined {
  const rdata = readRdata(bytes, raw);
  if (rdata === undefined || rdata instanceof Uint8Array) return undefined;
  return ((u16(rdata.after, 0) << 16) | u16(rdata.after, 2)) >>> 0;
}

/** Whether the data makes sense, as far as its form is known here; none at all does. */
function isReadable(bytes: Uint8Array, raw: RawRecord): boolean {
  return raw.data === raw.end || raw.type === TYPE.OPT || readRdata(bytes, raw) !== undefined;
}

/** Least lengths of EDNS options that miekg/dns unpacks (edns.go): LLQ, lease, client subnet, expire, extended error. */
const LEAST_OPTION = new Map([
  [1, 18],
  [2, 4],
  [8, 4],
  [15, 2],
]);
const CLIENT_SUBNET = 8;

function isOption(code: number, data: Uint8Array): boolean {
  if (data.length < (LEAST_OPTION.get(code) ?? 0)) return false;
  if (code !== CLIENT_SUBNET) return true;
  const [, family, source, scope] = data as unknown as [number, number, number, number];
  const bits = family === 1 ? 32 : family === 2 ? 128 : 0;
  return data[0] === 0 && family <= 2 && source <= bits && (scope <= bits || family === 0);
}

function readEdns(bytes: Uint8Array, raw: RawRecord): Edns | undefined {
  const options: EdnsOption[] = [];
  let offset = raw.data;
  while (offset < raw.end) {
    if (offset + 4 > raw.end) return undefined;
    const end = offset + 4 + u16(bytes, offset + 2);
    if (end > raw.end) return undefined;
    const option = { code: u16(bytes, offset), data: copy(bytes, offset + 4, end) };
    if (!isOption(option.code, option.data)) return undefined;
    options.push(option);
    offset = end;
  }
  return { udpSize: raw.class, version: (raw.ttl >>> 16) & 0xff, dnssecOk: (raw.ttl & 0x8000) !== 0, options };
}

/** A copy that outlives the receive buffer (`slice` of a Buffer would not copy). */
function copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

function u16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

/** A record from data as dns-packet takes it: `recordFrom({type: 'SRV', name, ttl, data: {...}})`. Throws on a bad name. */
export function recordFrom(answer: Answer & { ttl?: number }): ResourceRecord {
  if (!isValidName(answer.name)) throw new TypeError(`not a domain name: ${answer.name}`);
  const bytes = dnsPacket.encode({ type: 'response', answers: [answer] });
  const record = decodeMessage(bytes)?.answer[0];
  if (record === undefined) throw new TypeError(`not a ${answer.type} record: ${JSON.stringify(answer)}`);
  return { ...record, name: fqdn(answer.name) };
}

/** The data of a record as dns-packet gives it (a string, an object or a Buffer, by its type); undefined when it cannot read it. */
export function recordData(record: ResourceRecord): unknown {
  const parts = {
    id: 0,
    flags: FLAG_QR,
    rcode: 0,
    question: undefined,
    edns: undefined,
    authority: [],
    additional: [],
  };
  const message = encodeMessage({ ...parts, answer: [record] }, MAX_MESSAGE_SIZE);
  if (message === undefined) return undefined;
  try {
    const decoded = dnsPacket.decode(Buffer.from(message)).answers?.[0];
    return decoded !== undefined && 'data' in decoded ? decoded.data : undefined;
  } catch {
    return undefined;
  }
}

/** The data as in a zone file; types without a text form of their own in RFC 3597's. */
export function rdataText(record: ResourceRecord): string {
  const { rdata, type } = record;
  if (!(rdata instanceof Uint8Array)) {
    const numbers = type === TYPE.SOA ? u32List(rdata.after) : u16List(rdata.before);
    const names = rdata.names.join(' ');
    if (type === TYPE.SOA) return `${names} ${numbers}`;
    return numbers === '' ? names : `${numbers} ${names}`;
  }
  const data = recordData(record);
  if (type === TYPE.A || type === TYPE.AAAA) return String(data);
  if (type === TYPE.TXT && Array.isArray(data)) return data.map((part) => JSON.stringify(String(part))).join(' ');
  return `\\# ${rdata.length} ${Buffer.from(rdata).toString('hex')}`;
}

function u16List(bytes: Uint8Array): string {
  return Array.from({ length: bytes.length / 2 }, (_, i) => u16(bytes, 2 * i)).join(' ');
}

function u32List(bytes: Uint8Array): string {
  return Array.from({ length: bytes.length / 4 }, (_, i) =>
    (u16(bytes, 4 * i) * 65536 + u16(bytes, 4 * i + 2)).toString(),
  ).join(' ');
}
