// OpenAPI v3 schemas from api/schema, as k8s.io/kube-openapi makes them from Go types: names of Go packages, references through
// `allOf`, and the extensions that say how lists and maps are merged (by strategic merge patch and by server-side apply).
import { apiVersionOf, type ResourceType } from '../../api/meta.ts';
import { DOCS, ENUMS, REQUIRED } from '../../api/schema/docs.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { POD_TEMPLATE } from '../../api/schema/pod.ts';
import type { ListSchema, Scalar, Schema, Struct } from '../../api/schema/schema.ts';

export type Json = Record<string, unknown>;

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const META_STRUCTS = new Set([
  'ObjectMeta',
  'OwnerReference',
  'ManagedFieldsEntry',
  'LabelSelector',
  'LabelSelectorRequirement',
  'Condition',
]);

const NAMED_SCALARS: Readonly<Partial<Record<Scalar['type'], readonly [string, Json]>>> = {
  'intstr.IntOrString': [
    'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
    { description: 'A number or a text.', format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  ],
  'resource.Quantity': [
    'io.k8s.apimachinery.pkg.api.resource.Quantity',
    { description: 'A number with a unit, such as 100m or 1Gi.', oneOf: [{ type: 'string' }, { type: 'number' }] },
  ],
  'v1.Time': [`${META}.Time`, { description: 'RFC 3339.', type: 'string', format: 'date-time' }],
};

const SCALARS: Readonly<Record<string, Json>> = {
  string: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  bool: { type: 'boolean' },
  '[]uint8': { type: 'string', format: 'byte' },
  any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
};

/** The package of each struct: that of the first kind it is part of, the core group's first. */
export class Packages {
  readonly #packages = new Map<Struct, string>();

  constructor(types: readonly ResourceType[]) {
    // Every workload has one, but the kind of it is not served.
    this.#visit(POD_TEMPLATE, 'io.k8s.api.core.v1');
    for (const type of types) {
      const schema = schemaOf(type);
      if (schema) this.#visit(schema, `io.k8s.api.${type.group.split('.')[0] || 'core'}.${type.version}`);
    }
  }

  nameOf(struct: Struct): string {
    return `${META_STRUCTS.has(struct.name) ? META : this.#packages.get(struct)}.${struct.name}`;
  }

  #visit(schema: Schema, home: string): void {
    if (schema.kind === 'list') this.#visit(schema.items, home);
    else if (schema.kind === 'map') this.#visit(schema.values, home);
    else if (schema.kind === 'struct' && !this.#packages.has(schema)) {
      this.#packages.set(schema, home);
      for (const field of Object.values(schema.fields)) this.#visit(field, home);
    }
  }
}

/** The schemas of a document, filled with what the kinds refer to. */
export class Components {
  readonly schemas: Json = {};
  readonly #packages: Packages;

  constructor(packages: Packages) {
    this.#packages = packages;
  }

  /** Adds a kind and its list; returns their names. */
  addKind(type: ResourceType, schema: Struct): { object: string; list: string } {
    const { group, version, kind } = type;
    const object = this.#add(schema);
    (this.schemas[object] as Json)['x-kubernetes-group-version-kind'] = [{ group, version, kind }];
    const list = `${object}List`;
    this.schemas[list] = {
      description: `A list of objects of kind ${kind}.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { description: DOCS['Pod']!['apiVersion'], type: 'string' },
        items: { description: 'The objects.', type: 'array', items: { default: {}, allOf: [reference(object)] } },
        kind: { description: DOCS['Pod']!['kind'], type: 'string' },
        metadata: { default: {}, allOf: [reference(this.#listMeta())] },
      },
      'x-kubernetes-group-version-kind': [{ group, version, kind: `${kind}List` }],
    };
    return { object, list };
  }

  #add(struct: Struct): string {
    const name = this.#packages.nameOf(struct);
    if (this.schemas[name]) return name;
    const docs = DOCS[struct.name] ?? {};
    const properties: Json = {};
    const required = REQUIRED[struct.name] ?? [];
    this.schemas[name] = {
      ...(docs[''] ? { description: docs[''] } : {}),
      type: 'object',
      ...(required.length > 0 ? { required } : {}),
      properties,
      ...(struct.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    };
    for (const [field, schema] of Object.entries(struct.fields).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const values = ENUMS[`${struct.name}.${field}`];
      properties[field] = {
        ...(docs[field] ? { description: docs[field] } : {}),
        ...this.#convert(schema),
        ...(values ? { enum: values } : {}),
      };
    }
    return name;
  }

  #convert(schema: Schema): Json {
    switch (schema.kind) {
      case 'struct':
        return { default: {}, allOf: [reference(this.#add(schema))] };
      case 'list':
        return { type: 'array', items: this.#convert(schema.items), ...listExtensions(schema) };
      case 'map': {
        const atomic = schema.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {};
        return { type: 'object', additionalProperties: this.#convert(schema.values), ...atomic };
      }
      case 'scalar': {
        const named = NAMED_SCALARS[schema.type];
        if (!named) return { ...SCALARS[schema.type], ...(schema.default ? { default: schema.default } : {}) };
        this.schemas[named[0]] ??= named[1];
        return { allOf: [reference(named[0])] };
      }
    }
  }

  #listMeta(): string {
    const name = `${META}.ListMeta`;
    this.schemas[name] ??= {
      description: 'Metadata of a list.',
      type: 'object',
      properties: {
        continue: { description: 'Where a list goes on that was cut by its limit.', type: 'string' },
        remainingItemCount: { description: 'How many more there are.', type: 'integer', format: 'int64' },
        resourceVersion: { description: 'The version that the whole list is of.', type: 'string' },
        selfLink: { type: 'string' },
      },
    };
    return name;
  }
}

export function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

export function gvk(type: ResourceType): Json {
  const { group, version, kind } = type;
  return { group, version, kind };
}

/** `api/v1`, `apis/apps/v1`. */
export function rootOf(type: ResourceType): string {
  return `${type.group === '' ? 'api' : 'apis'}/${apiVersionOf(type)}`;
}

function listExtensions({ mergeKey, set, keys }: ListSchema): Json {
  return {
    ...(keys ? { 'x-kubernetes-list-map-keys': keys } : {}),
    'x-kubernetes-list-type': keys ? 'map' : set ? 'set' : 'atomic',
    ...(mergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': mergeKey }),
    ...(mergeKey !== undefined || set ? { 'x-kubernetes-patch-strategy': 'merge' } : {}),
  };
}
