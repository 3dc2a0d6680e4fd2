// The shape of API objects as data: field names, types, and how lists merge. From it come the checks on what a client sends
// (decode.ts), strategic merge patches, server-side apply and OpenAPI. A compact form of the structs in k8s.io/api with their
// patchStrategy, patchMergeKey, listType, listMapKey and structType tags. Go type names are kept because error messages show them.

export type Schema = Scalar | ListSchema | MapSchema | Struct;

export interface Scalar {
  readonly kind: 'scalar';
  /** As Go calls it. `any`: whatever JSON there is. */
  readonly type:
    | 'string'
    | 'int32'
    | 'int64'
    | 'bool'
    | 'intstr.IntOrString'
    | 'resource.Quantity'
    | 'v1.Time'
    | '[]uint8'
    | 'any';
  /** What an absent value stands for where it is a key of a list. */
  readonly default?: string;
}

/** `mergeKey` or `set`: how a strategic merge patch merges it; neither: it is replaced whole. */
export interface ListSchema {
  readonly kind: 'list';
  readonly items: Schema;
  readonly mergeKey?: string;
  readonly set?: boolean;
  /** Server-side apply tells items apart by these fields. Absent from lists that are owned whole, and from sets. */
  readonly keys?: readonly string[];
}

export interface MapSchema {
  readonly kind: 'map';
  readonly values: Schema;
  /** Server-side apply owns it whole. */
  readonly atomic?: boolean;
}

export interface Struct {
  readonly kind: 'struct';
  readonly name: string;
  readonly fields: Readonly<Record<string, Schema>>;
  /** Server-side apply owns it whole. */
  readonly atomic?: boolean;
}

const scalar = (type: Scalar['type']): Scalar => ({ kind: 'scalar', type });

export const string = scalar('string');
export const int32 = scalar('int32');
export const int64 = scalar('int64');
export const bool = scalar('bool');
export const intOrString = scalar('intstr.IntOrString');
export const quantity = scalar('resource.Quantity');
export const time = scalar('v1.Time');
/** base64 text. */
export const bytes = scalar('[]uint8');
export const any = scalar('any');

/** `keys`: those of server-side apply where they are others than the merge key; [] where it takes the list whole. */
export function list(items: Schema, merge?: string | 'set', keys?: readonly string[]): ListSchema {
  if (merge === undefined) return { kind: 'list', items };
  if (merge === 'set') return { kind: 'list', items, set: true };
  const own = keys ?? [merge];
  return { kind: 'list', items, mergeKey: merge, ...(own.length > 0 ? { keys: own } : {}) };
}

/** A list of objects with `keys` that a strategic merge patch nevertheless replaces whole. */
export function keyed(items: Schema, keys: readonly string[]): ListSchema {
  return { kind: 'list', items, keys };
}

export function atomic<T extends MapSchema | Struct>(schema: T): T {
  return { ...schema, atomic: true };
}

export function defaulted(schema: Scalar, value: string): Scalar {
  return { ...schema, default: value };
}

export function map(values: Schema): MapSchema {
  return { kind: 'map', values };
}

export function struct(name: string, fields: Readonly<Record<string, Schema>>): Struct {
  return { kind: 'struct', name, fields };
}

/** Go's word for a type in `cannot unmarshal ... of type T`. */
export function goType(schema: Schema): string {
  switch (schema.kind) {
    case 'scalar':
      return schema.type;
    case 'list':
      return `[]${schema.items.kind === 'struct' ? `v1.${schema.items.name}` : goType(schema.items)}`;
    case 'map':
      return `map[string]${goType(schema.values)}`;
    case 'struct':
      return `v1.${schema.name}`;
  }
}
