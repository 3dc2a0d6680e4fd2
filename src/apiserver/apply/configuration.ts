// What may be applied: an object whose every field its kind declares, with the right type, and lists whose items can be told apart.
// Wording of sigs.k8s.io/structured-merge-diff typed/{validate,helpers}.go (v6) and of apimachinery's managedfields, which answers
// such errors with 500 and no reason.
import { apiVersionOf, type KubeObject, type ResourceType } from '../../api/meta.ts';
import { memberSchema } from '../../api/schema/kinds.ts';
import type { ListSchema, Scalar, Schema } from '../../api/schema/schema.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import { isMap } from '../../lib/tree.ts';
import { pathText } from './fields-v1.ts';
import { itemElement } from './typed.ts';

/** Throws StatusError. */
export function checkConfiguration(type: ResourceType, schema: Schema, config: KubeObject): void {
  const expected = apiVersionOf(type);
  if (config.apiVersion !== expected) {
    throw badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${config.apiVersion}, expected: ${expected}`,
    );
  }
  if (config.metadata?.managedFields != null) {
    throw badRequest('metadata.managedFields must be nil');
  }
  const errors: string[] = [];
  check(schema, config, [], errors);
  if (errors.length === 0) return;
  const { namespace = '', name = '' } = config.metadata;
  const what = `${namespace}/${name}; ${expected}, Kind=${config.kind}`;
  const why = errors.length === 1 ? errors[0]! : ['errors:', ...errors.map((error) => `  ${error}`)].join('\n');
  throw new StatusError('', 500, `failed to create typed patch object (${what}): ${why}`);
}

function check(schema: Schema | undefined, value: unknown, path: string[], errors: string[]): void {
  const fail = (message: string): void => {
    errors.push(`${pathText(path)}: ${message}`);
  };
  if (value === null || value === undefined) return;
  switch (schema?.kind) {
    case 'scalar': {
      const wrong = scalarError(schema, value);
      if (wrong) fail(wrong);
      return;
    }
    case 'list':
      if (Array.isArray(value)) checkItems(schema, value, path, errors);
      else fail(`expected list, got ${shown(value)}`);
      return;
    case 'map':
    case 'struct':
      if (!isMap(value)) {
        fail(`expected map, got ${shown(value)}`);
        return;
      }
      for (const [name, member] of Object.entries(value)) {
        const inner = [...path, `f:${name}`];
        const known = memberSchema(schema, name);
        if (known) check(known, member, inner, errors);
        else errors.push(`${pathText(inner)}: field not declared in schema`);
      }
  }
}

function checkItems(schema: ListSchema, list: readonly unknown[], path: string[], errors: string[]): void {
  const seen = new Set<string>();
  for (const [i, item] of list.entries()) {
    let element: string | undefined = `i:${i}`;
    if (schema.set || schema.keys) {
      element = itemElement(schema, item);
      if (element === undefined) {
        const keys = schema.keys!.map((key) => JSON.stringify(key)).join(', ');
        errors.push(
          `${pathText(path)}: element ${i}: associative list with keys has an element that omits ${schema.keys!.length > 1 ? 'all key fields' : 'key field'} ${keys} (and doesn't have default value${schema.keys!.length > 1 ? 's' : ''})`,
        );
        continue;
      }
      if (seen.has(element)) {
        errors.push(`${pathText(path)}: duplicate entries for key ${pathText([element])}`);
      }
      seen.add(element);
    }
    check(schema.items, item, [...path, element], errors);
  }
}

function scalarError({ type }: Scalar, value: unknown): string | undefined {
  switch (type) {
    case 'string':
    case 'v1.Time':
    case '[]uint8':
      return typeof value === 'string' ? undefined : `expected string, got ${shown(value)}`;
    case 'int32':
    case 'int64':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goTypeOf(value)}`;
    case 'bool':
      return typeof value === 'boolean' ? undefined : `expected boolean, got ${shown(value)}`;
    case 'intstr.IntOrString':
    case 'resource.Quantity':
      if (typeof value === 'string' || typeof value === 'number') return undefined;
      return `expected scalar, got ${shown(value)}`;
    default:
      return undefined;
  }
}

function goTypeOf(value: unknown): string {
  if (typeof value === 'boolean') return 'bool';
  if (Array.isArray(value)) return '[]interface {}';
  return typeof value === 'object' ? 'map[string]interface {}' : typeof value;
}

/** As Go prints the wrapped value with %#v. */
function shown(value: unknown): string {
  const text = typeof value === 'object' ? goTypeOf(value) : JSON.stringify(value);
  return `&value.valueUnstructured{Value:${text}}`;
}
