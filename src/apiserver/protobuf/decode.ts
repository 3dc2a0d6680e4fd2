// Objects that clients send as application/vnd.kubernetes.protobuf: the magic `k8s\0`, then a runtime.Unknown that names the kind
// and holds the object. Only reading: answers are JSON, which the clients take as well. Format: k8s.io/apimachinery
// pkg/runtime/serializer/protobuf and the protobuf encoding guide. Never reads past the bytes given; throws ProtobufError.
//
// What has no field numbers in field-numbers.ts is refused when it is there, not dropped.
import { schemaOfKind } from '../../api/schema/kinds.ts';
import type { ListSchema, Schema, Struct } from '../../api/schema/schema.ts';
import { FIELD_NUMBERS, OPTIONAL_SCALARS } from './field-numbers.ts';

export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
}

const MAGIC = Buffer.from('k8s\0');
const MAX_DEPTH = 50;

/** An object with apiVersion and kind. */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  }
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array = new Uint8Array();
  for (const field of new Reader(body.subarray(MAGIC.length)).fields()) {
    if (field.number === 2) raw = field.bytes();
    if (field.number !== 1) continue;
    for (const member of new Reader(field.bytes()).fields()) {
      if (member.number === 1) apiVersion = text(member.bytes());
      if (member.number === 2) kind = text(member.bytes());
    }
  }
  const schema = schemaOfKind(kind);
  if (!schema || !FIELD_NUMBERS[kind]) {
    throw new ProtobufError(`no kind "${kind}" in version "${apiVersion}" can be read from protobuf; send JSON`);
  }
  return { apiVersion, kind, ...message(schema, raw, 0) };
}

function message(schema: Struct, bytes: Uint8Array, depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  readInto(out, schema, schema.name, bytes, depth);
  return out;
}

/** `numbered`: the struct whose field numbers count, that of `schema` or one embedded in it. */
function readInto(
  out: Record<string, unknown>,
  schema: Struct,
  numbered: string,
  bytes: Uint8Array,
  depth: number,
): void {
  if (depth > MAX_DEPTH) throw new ProtobufError('exceeded max depth');
  const names = namesOf(numbered);
  for (const field of new Reader(bytes).fields()) {
    const name = names?.get(field.number);
    if (name?.startsWith('...')) {
      readInto(out, schema, name.slice(3), field.bytes(), depth + 1);
      continue;
    }
    const member = name === undefined ? undefined : schema.fields[name];
    if (name === undefined || !member) {
      if (field.wire === 2 && field.bytes().length === 0) continue;
      throw new ProtobufError(`${numbered}: field ${field.number} cannot be read from protobuf; send JSON`);
    }
    if (member.kind === 'list') {
      const list = (out[name] ??= []) as unknown[];
      list.push(value(member.items, field, depth));
    } else if (member.kind === 'map') {
      const [key, entry] = mapEntry(member.values, field.bytes(), depth);
      // Not by assignment: a key may be called __proto__.
      const attributes = { value: entry, enumerable: true, configurable: true, writable: true };
      Object.defineProperty((out[name] ??= {}), key, attributes);
    } else {
      const read = value(member, field, depth);
      const empty = read === '' || ((read === 0 || read === false) && !OPTIONAL_SCALARS.has(name));
      if (!empty && read !== undefined) out[name] = read;
    }
  }
}

function value(schema: Schema, field: Field, depth: number): unknown {
  if (schema.kind === 'struct') return message(schema, field.bytes(), depth + 1);
  if (schema.kind === 'list') return listValue(schema, field, depth);
  if (schema.kind === 'map') throw new ProtobufError('maps of maps do not exist');
  switch (schema.type) {
    case 'string':
      return text(field.bytes());
    case '[]uint8':
      return Buffer.from(field.bytes()).toString('base64');
    case 'int32':
      return Number(BigInt.asIntN(32, field.varint()));
    case 'int64':
      return Number(BigInt.asIntN(64, field.varint()));
    case 'bool':
      return field.varint() !== 0n;
    case 'v1.Time':
      return timestamp(field.bytes());
    case 'intstr.IntOrString':
      return intOrString(field.bytes());
    case 'resource.Quantity':
      return quantity(field.bytes());
    case 'any':
      return rawJson(field);
  }
}

/** A list as the value of a map is a message around it (ExtraValue): the items are its field 1. */
function listValue(schema: ListSchema, field: Field, depth: number): unknown[] {
  const items: unknown[] = [];
  for (const member of new Reader(field.bytes()).fields()) {
    if (member.number === 1) items.push(value(schema.items, member, depth + 1));
  }
  return items;
}

/** JSON inside: metav1.FieldsV1 and runtime.RawExtension hold it as their field 1. */
function rawJson(field: Field): unknown {
  let value: unknown = {};
  for (const member of new Reader(field.bytes()).fields()) {
    try {
      if (member.number === 1) value = JSON.parse(text(member.bytes()));
    } catch {
      throw new ProtobufError(`field ${field.number} cannot be read from protobuf; send JSON`);
    }
  }
  return value;
}

function mapEntry(schema: Schema, bytes: Uint8Array, depth: number): [string, unknown] {
  let key = '';
  let entry: unknown = schema.kind === 'scalar' ? '' : {};
  for (const field of new Reader(bytes).fields()) {
    if (field.number === 1) key = text(field.bytes());
    if (field.number === 2) entry = value(schema, field, depth + 1);
  }
  return [key, entry];
}

/** Absent for the zero time. Fractions of a second count in metav1.MicroTime alone, which writes them. */
function timestamp(bytes: Uint8Array): string | undefined {
  let seconds = 0;
  let nanos = 0;
  for (const field of new Reader(bytes).fields()) {
    if (field.number === 1) seconds = Number(BigInt.asIntN(64, field.varint()));
    if (field.number === 2) nanos = Number(BigInt.asIntN(32, field.varint()));
  }
  if (seconds === 0) return undefined;
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) throw new ProtobufError('time out of range');
  const micros = Math.floor(nanos / 1000);
  const fraction = micros > 0 ? `.${String(micros).padStart(6, '0')}` : '';
  return date.toISOString().replace('.000Z', `${fraction}Z`);
}

function intOrString(bytes: Uint8Array): number | string {
  let isString = false;
  let number = 0;
  let string = '';
  for (const field of new Reader(bytes).fields()) {
    if (field.number === 1) isString = field.varint() !== 0n;
    if (field.number === 2) number = Number(BigInt.asIntN(32, field.varint()));
    if (field.number === 3) string = text(field.bytes());
  }
  return isString ? string : number;
}

function quantity(bytes: Uint8Array): string {
  for (const field of new Reader(bytes).fields()) if (field.number === 1) return text(field.bytes());
  return '0';
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

const NAMES = new Map<string, ReadonlyMap<number, string>>();

function namesOf(struct: string): ReadonlyMap<number, string> | undefined {
  const numbers = Object.hasOwn(FIELD_NUMBERS, struct) ? FIELD_NUMBERS[struct] : undefined;
  if (!numbers) return undefined;
  let names = NAMES.get(struct);
  if (!names) {
    names = new Map(Object.entries(numbers).map(([name, number]) => [number, name]));
    NAMES.set(struct, names);
  }
  return names;
}

interface Field {
  readonly number: number;
  /** 0: varint, 1: 8 bytes, 2: length-delimited, 5: 4 bytes. */
  readonly wire: number;
  varint(): bigint;
  bytes(): Uint8Array;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  *fields(): Generator<Field> {
    while (this.#at < this.#bytes.length) {
      const tag = Number(this.#varint());
      const number = Math.floor(tag / 8);
      const wire = tag % 8;
      const wrong = (): ProtobufError => new ProtobufError(`field ${number} has wire type ${wire}`);
      if (wire === 0) {
        const read = this.#varint();
        const bytes = (): never => {
          throw wrong();
        };
        yield { number, wire, varint: () => read, bytes };
      } else if (wire === 1 || wire === 2 || wire === 5) {
        const length = wire === 2 ? Number(this.#varint()) : wire === 1 ? 8 : 4;
        const slice = this.#take(length);
        const varint = (): never => {
          throw wrong();
        };
        const bytes = (): Uint8Array => {
          if (wire !== 2) throw wrong();
          return slice;
        };
        yield { number, wire, varint, bytes };
      } else throw wrong();
    }
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new ProtobufError('unexpected EOF');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new ProtobufError('integer overflow');
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new ProtobufError('unexpected EOF');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
