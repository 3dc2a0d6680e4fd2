// OpenAPI v3 of a group and version, made from api/schema: what `kubectl apply` and `kubectl create -f` look up before they send
// (may the server check the fields?) and what `kubectl explain` prints. After k8s.io/kube-openapi; without descriptions.

import { createHash } from 'node:crypto';
import type { ResourceType } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import type { ListSchema, Schema, Struct } from '../../api/schema/schema.ts';
import { stableJson } from '../../lib/tree.ts';

type Json = Record<string, unknown>;

const META_STRUCTS = new Set([
  'ObjectMeta',
  'OwnerReference',
  'LabelSelector',
  'LabelSelectorRequirement',
  'Condition',
]);
const PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation', 'pretty'];

/** `/openapi/v3`: where the document of each group and version is. */
export function openApiIndex(resources: readonly ResourceType[]): unknown {
  const paths: Json = {};
  for (const path of new Set(resources.map(rootOf))) {
    const document = openApiDocument(path, resources);
    const hash = createHash('sha256').update(stableJson(document)).digest('hex').slice(0, 32).toUpperCase();
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
  }
  return { paths };
}

/** `path`: `api/v1` or `apis/apps/v1`. undefined when nothing is served there. */
export function openApiDocument(path: string, resources: readonly ResourceType[]): unknown {
  const types = resources.filter((type) => rootOf(type) === path);
  if (types.length === 0) return undefined;
  const schemas: Json = {};
  const paths: Json = {};
  for (const type of types) {
    const schema = schemaOf(type);
    if (!schema) continue;
    const name = addStruct(schema, type, schemas);
    (schemas[name] as Json)['x-kubernetes-group-version-kind'] = [gvkOf(type)];
    const base = `/${path}${type.namespaced ? '/namespaces/{namespace}' : ''}/${type.resource}`;
    paths[base] = { get: operation(type, name, 'list'), post: operation(type, name, 'post') };
    paths[`${base}/{name}`] = {
      get: operation(type, name, 'get'),
      put: operation(type, name, 'put'),
      patch: operation(type, name, 'patch'),
      delete: operation(type, name, 'delete'),
    };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'unversioned' },
    paths,
    components: { schemas },
  };
}

function rootOf({ group, version }: ResourceType): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

function gvkOf({ group, version, kind }: ResourceType): Json {
  return { group, version, kind };
}

function operation(type: ResourceType, schema: string, action: string): Json {
  return {
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvkOf(type),
    parameters: PARAMETERS.map((name) => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } })),
    responses: {
      200: { description: 'OK', content: { 'application/json': { schema: reference(schema) } } },
    },
  };
}

/** Adds the struct and what it refers to; returns its name in the document. */
function addStruct(struct: Struct, type: ResourceType, into: Json): string {
  const name = META_STRUCTS.has(struct.name)
    ? `io.k8s.apimachinery.pkg.apis.meta.v1.${struct.name}`
    : `io.k8s.api.${type.group === '' ? 'core' : type.group.split('.')[0]}.${type.version}.${struct.name}`;
  if (into[name]) return name;
  const properties: Json = {};
  into[name] = { type: 'object', properties };
  for (const [field, schema] of Object.entries(struct.fields)) properties[field] = convert(schema, type, into);
  return name;
}

function convert(schema: Schema, type: ResourceType, into: Json): Json {
  switch (schema.kind) {
    case 'struct':
      return reference(addStruct(schema, type, into));
    case 'list':
      return { type: 'array', items: convert(schema.items, type, into), ...mergeHints(schema) };
    case 'map':
      return { type: 'object', additionalProperties: convert(schema.values, type, into) };
    case 'scalar':
      return SCALARS[schema.type];
  }
}

function mergeHints({ mergeKey, set }: ListSchema): Json {
  if (mergeKey !== undefined) {
    return { 'x-kubernetes-patch-strategy': 'merge', 'x-kubernetes-patch-merge-key': mergeKey };
  }
  return set ? { 'x-kubernetes-patch-strategy': 'merge' } : {};
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

const SCALARS = {
  string: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  bool: { type: 'boolean' },
  'intstr.IntOrString': { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  'resource.Quantity': { oneOf: [{ type: 'string' }, { type: 'number' }] },
  'v1.Time': { type: 'string', format: 'date-time' },
  '[]uint8': { type: 'string', format: 'byte' },
  any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
} as const satisfies Record<string, Json>;
