// Resource records in memory. The data of a record is its wire form without compression (RFC 3597 3), so records can be made once
// and written into any number of messages; only the types whose data holds names that a message may or must spell out anew
// (RFC 1035 3.3, RFC 2782) keep those names apart. Records are shared between answers: never change one.
import { CLASS_IN, TYPE } from './constants.ts';

/** Data that ends in names: bytes, then names, then bytes (SOA: two names, then five numbers; SRV: six bytes, one name). */
export interface NamedRdata {
  readonly before: Uint8Array;
  readonly names: readonly string[];
  readonly after: Uint8Array;
}

export type Rdata = Uint8Array | NamedRdata;

export interface ResourceRecord {
  /** Owner, absolute. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
  readonly rdata: Rdata;
}

const NO_BYTES = new Uint8Array(0);

/** How the data of a type is divided: bytes before the names, how many names, bytes after them. */
export interface RdataShape {
  readonly before: number;
  readonly names: number;
  readonly after: number;
  /** Whether a sender may compress the names (RFC 3597 4). */
  readonly compress: boolean;
}

const SHAPES = new Map<number, RdataShape>([
  [TYPE.NS, { before: 0, names: 1, after: 0, compress: true }],
  [TYPE.CNAME, { before: 0, names: 1, after: 0, compress: true }],
  [TYPE.DNAME, { before: 0, names: 1, after: 0, compress: false }],
  [TYPE.PTR, { before: 0, names: 1, after: 0, compress: true }],
  [TYPE.SOA, { before: 0, names: 2, after: 20, compress: true }],
  [TYPE.MX, { before: 2, names: 1, after: 0, compress: true }],
  [TYPE.SRV, { before: 6, names: 1, after: 0, compress: false }],
]);

export function shapeOf(type: number): RdataShape | undefined {
  return SHAPES.get(type);
}

/** An A or AAAA record, by the length of the address. */
export function addressRecord(name: string, ttl: number, address: Uint8Array): ResourceRecord {
  return { name, type: address.length === 4 ? TYPE.A : TYPE.AAAA, class: CLASS_IN, ttl, rdata: address };
}

/** A record whose data is one name: CNAME, NS, PTR. */
export function nameRecord(name: string, type: number, ttl: number, target: string): ResourceRecord {
  return { name, type, class: CLASS_IN, ttl, rdata: { before: NO_BYTES, names: [target], after: NO_BYTES } };
}

export function srvRecord(name: string, ttl: number, weight: number, port: number, target: string): ResourceRecord {
  const before = new Uint8Array(6);
  const view = new DataView(before.buffer);
  view.setUint16(2, weight);
  view.setUint16(4, port);
  return { name, type: TYPE.SRV, class: CLASS_IN, ttl, rdata: { before, names: [target], after: NO_BYTES } };
}

export interface SoaTimers {
  readonly serial: number;
  readonly refreshS: number;
  readonly retryS: number;
  readonly expireS: number;
  readonly minimumS: number;
}

export function soaRecord(name: string, ttl: number, mname: string, rname: string, timers: SoaTimers): ResourceRecord {
  const after = new Uint8Array(20);
  const view = new DataView(after.buffer);
  view.setUint32(0, timers.serial);
  view.setUint32(4, timers.refreshS);
  view.setUint32(8, timers.retryS);
  view.setUint32(12, timers.expireS);
  view.setUint32(16, timers.minimumS);
  return { name, type: TYPE.SOA, class: CLASS_IN, ttl, rdata: { before: NO_BYTES, names: [mname, rname], after } };
}

/** Of a SOA record; 0 for any other. */
export function soaSerial({ rdata }: ResourceRecord): number {
  return rdata instanceof Uint8Array ? 0 : new DataView(rdata.after.buffer, rdata.after.byteOffset).getUint32(0);
}

/** One character string of at most 255 ASCII characters. */
export function txtRecord(name: string, ttl: number, text: string): ResourceRecord {
  const rdata = new Uint8Array(text.length + 1);
  rdata[0] = text.length;
  for (let i = 0; i < text.length; i++) rdata[i + 1] = text.charCodeAt(i);
  return { name, type: TYPE.TXT, class: CLASS_IN, ttl, rdata };
}
