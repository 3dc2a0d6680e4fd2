// The shape of API objects as data: field names, types, and how lists merge. From it come the checks on what a client sends
// (decode.ts), strategic merge patches, and later OpenAPI. A compact form of the structs in k8s.io/api with their patchStrategy and
// patchMergeKey tags. Go type names are kept because error messages show them.

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
}

/** `mergeKey` or `set`: how a strategic merge patch merges it; neither: it is replaced whole. */
export interface ListSchema {
  readonly kind: 'list';
  readonly items: Schema;
  readonly mergeKey?: string;
  readonly set?: boolean;
}

export interface MapSchema {
  readonly kind: 'map';
  readonly values: Schema;
}

export interface Struct {
  readonly kind: 'struct';
  readonly name: string;
  readonly fields: Readonly<Record<string, Schema>>;
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

export function list(items: Schema, merge?: string | 'set'): ListSchema {
  if (merge === undefined) return { kind: 'list', items };
  return merge === 'set' ? { kind: 'list', items, set: true } : { kind: 'list', items, mergeKey: merge };
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
