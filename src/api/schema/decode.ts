// Reads what a client sent against a schema: wrong types are refused with the words of Go's encoding/json (clients print them),
// nulls are taken for absent as Go does, unknown fields are kept, dropped or reported. The result shares nothing with the input.
// After k8s.io/apimachinery pkg/runtime/serializer/json (strict decoding).
import { clone, isMap } from '../../lib/tree.ts';
import { goType, type Scalar, type Schema, type Struct } from './schema.ts';

/** The input does not have the shape of its kind. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

export interface Decoded {
  readonly value: Record<string, unknown>;
  /** Paths of fields that the schema does not know: `spec.containers[0].foo`. */
  readonly unknown: readonly string[];
}

const MAX_DEPTH = 100;

/** `keepUnknown`: fields the schema does not know stay in the value; otherwise they are left out. Throws DecodeError. */
export function decode(schema: Struct, input: unknown, keepUnknown: boolean): Decoded {
  const unknown: string[] = [];
  const value = new Decoder(keepUnknown, unknown).struct(schema, input, '', '', undefined, 0);
  return { value, unknown };
}

class Decoder {
  readonly #keepUnknown: boolean;
  readonly #unknown: string[];

  constructor(keepUnknown: boolean, unknown: string[]) {
    this.#keepUnknown = keepUnknown;
    this.#unknown = unknown;
  }

  /** `path` has indexes, for unknown fields; `field` has none, as in Go's messages; `owner` is the struct that holds the value. */
  struct(
    schema: Struct,
    input: unknown,
    path: string,
    field: string,
    owner: string | undefined,
    depth: number,
  ): Record<string, unknown> {
    if (!isMap(input)) throw mismatch(input, field, owner, schema);
    if (depth > MAX_DEPTH) throw new DecodeError('exceeded max depth');
    const out: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(input)) {
      if (member === null || member === undefined || name === '__proto__') continue;
      const inner = Object.hasOwn(schema.fields, name) ? schema.fields[name]! : undefined;
      const innerPath = path === '' ? name : `${path}.${name}`;
      if (!inner) {
        this.#unknown.push(innerPath);
        if (this.#keepUnknown) out[name] = clone(member);
        continue;
      }
      out[name] = this.#value(
        inner,
        member,
        innerPath,
        field === '' ? name : `${field}.${name}`,
        schema.name,
        depth + 1,
      );
    }
    return out;
  }

  #value(schema: Schema, input: unknown, path: string, field: string, owner: string, depth: number): unknown {
    switch (schema.kind) {
      case 'scalar':
        return scalar(schema, input, field, owner);
      case 'struct':
        return this.struct(schema, input, path, field, owner, depth);
      case 'list':
        if (!Array.isArray(input)) throw mismatch(input, field, owner, schema);
        return input.map((item, i) => {
          if (item === null && schema.items.kind === 'struct') return {};
          return this.#value(schema.items, item, `${path}[${i}]`, field, owner, depth + 1);
        });
      case 'map': {
        if (!isMap(input)) throw mismatch(input, field, owner, schema);
        const out: Record<string, unknown> = {};
        for (const [key, member] of Object.entries(input)) {
          if (key === '__proto__') continue;
          // A null value in a map of strings is the empty string, as Go reads it.
          if (member === null && schema.values.kind === 'scalar') {
            out[key] = schema.values.type === 'any' ? null : '';
          } else out[key] = this.#value(schema.values, member, `${path}.${key}`, field, owner, depth + 1);
        }
        return out;
      }
    }
  }
}

function scalar(schema: Scalar, input: unknown, field: string, owner: string): unknown {
  switch (schema.type) {
    case 'any':
      return clone(input);
    case 'string':
    case '[]uint8':
      if (typeof input === 'string') return input;
      break;
    case 'bool':
      if (typeof input === 'boolean') return input;
      break;
    case 'int32':
      if (isInteger(input) && input >= -0x8000_0000 && input <= 0x7fff_ffff) return input;
      break;
    case 'int64':
      if (isInteger(input)) return input;
      break;
    case 'v1.Time':
      if (typeof input !== 'string') break;
      if (input !== '' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(input)) {
        throw new DecodeError(
          `parsing time ${JSON.stringify(JSON.stringify(input))} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(input)} as "2006"`,
        );
      }
      return input;
    case 'intstr.IntOrString':
      if (typeof input === 'string' || (isInteger(input) && Math.abs(input) <= 0x7fff_ffff)) return input;
      break;
    case 'resource.Quantity': {
      const text = typeof input === 'number' ? String(input) : input;
      if (typeof text !== 'string') break;
      if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/.test(text)) {
        throw new DecodeError(
          "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
      }
      return text;
    }
  }
  throw mismatch(input, field, owner, schema);
}

function mismatch(input: unknown, field: string, owner: string | undefined, schema: Schema): DecodeError {
  const where = owner === undefined ? 'Go value' : `Go struct field ${owner}.${field}`;
  return new DecodeError(`json: cannot unmarshal ${jsonType(input, schema)} into ${where} of type ${goType(schema)}`);
}

function jsonType(input: unknown, schema: Schema): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'array';
  if (typeof input === 'boolean') return 'bool';
  if (typeof input !== 'number') return typeof input;
  const wantsNumber = schema.kind === 'scalar' && (schema.type === 'int32' || schema.type === 'int64');
  return wantsNumber ? `number ${input}` : 'number';
}

function isInteger(input: unknown): input is number {
  return typeof input === 'number' && Number.isSafeInteger(input);
}
