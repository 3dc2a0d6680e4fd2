// Objects seen through their schema, as server-side apply sees them: which fields an object has, and how two objects differ. After
// sigs.k8s.io/structured-merge-diff typed/{tofieldset,compare,helpers}.go (v6). A field that the schema does not know, and one whose
// content it does not describe, is taken whole.
import { memberSchema } from '../../api/schema/kinds.ts';
import type { ListSchema, Schema } from '../../api/schema/schema.ts';
import { equal, isMap } from '../../lib/tree.ts';
import { type FieldsV1, insert } from './fields-v1.ts';

export type Tree = Readonly<Record<string, unknown>>;

export interface Comparison {
  readonly added: FieldsV1;
  readonly modified: FieldsV1;
  readonly removed: FieldsV1;
}

/** Of the whole object's members only those count that `owned` lets through: a status does not belong to who writes the spec. */
export type Owned = (path: readonly string[]) => boolean;

/**
 * Structs that Go holds by value: they are there, empty, in an object that does not name them, so that nobody ever adds them.
 * The others are pointers.
 */
const BY_VALUE = /^(ObjectMeta|PodTemplateSpec|JobTemplateSpec|(Deployment|\w+Update)Strategy|LoadBalancerStatus)$/;
const BY_VALUE_FIELDS: ReadonlySet<string> = new Set(['spec', 'status', 'metadata', 'resources', 'state', 'lastState']);

/** Whether ownership stops here: nothing below is told apart. */
export function isLeaf(schema: Schema | undefined): boolean {
  switch (schema?.kind) {
    case 'struct':
    case 'map':
      return schema.atomic ?? false;
    case 'list':
      return !schema.set && !schema.keys;
    default:
      return true;
  }
}

/** undefined: the item does not have the keys of its list. */
export function itemElement(schema: ListSchema, item: unknown): string | undefined {
  if (schema.set) return `v:${JSON.stringify(item)}`;
  if (!isMap(item)) return undefined;
  const keys: Record<string, unknown> = {};
  for (const name of [...schema.keys!].sort()) {
    const member = memberSchema(schema.items, name);
    const value = item[name] ?? (member?.kind === 'scalar' ? member.default : undefined);
    if (value !== undefined) keys[name] = value;
  }
  return Object.keys(keys).length === 0 ? undefined : `k:${JSON.stringify(keys)}`;
}

/** Items by their path elements; only the first of those that look alike. */
export function itemsOf(schema: ListSchema, list: unknown): Map<string, unknown> {
  const items = new Map<string, unknown>();
  for (const item of Array.isArray(list) ? list : []) {
    const element = itemElement(schema, item);
    if (element !== undefined && !items.has(element)) items.set(element, item);
  }
  return items;
}

/** Every field that the object has. */
export function fieldSetOf(schema: Schema, object: Tree, owned: Owned): FieldsV1 {
  const set: FieldsV1 = {};
  const visit = (at: Schema | undefined, value: unknown, path: string[]): void => {
    if (path.length > 0 && !owned(path)) return;
    if (isLeaf(at)) insert(set, path);
    else if (at!.kind === 'list') {
      const list = at as ListSchema;
      for (const [element, item] of itemsOf(list, value)) {
        const inner = [...path, element];
        visit(list.items, item, inner);
        insert(set, inner);
      }
    } else if (isMap(value)) {
      for (const [name, member] of Object.entries(value)) {
        const inner = [...path, `f:${name}`];
        const known = memberSchema(at, name);
        visit(known, member, inner);
        const bare = member === null || (isMap(member) && Object.keys(member).length === 0);
        if ((bare || at!.kind === 'map' || !known) && owned(inner)) insert(set, inner);
      }
    }
  };
  visit(schema, object, []);
  return set;
}

/** From `before` to `after`. */
export function compare(schema: Schema, before: Tree, after: Tree, owned: Owned): Comparison {
  const comparison: Comparison = { added: {}, modified: {}, removed: {} };
  compareValues(schema, before, after, [], owned, comparison);
  return comparison;
}

function compareValues(
  schema: Schema | undefined,
  before: unknown,
  after: unknown,
  path: string[],
  owned: Owned,
  out: Comparison,
): void {
  if (before === after || (path.length > 0 && !owned(path))) return;
  if (isLeaf(schema) || (isVoid(before) && isVoid(after))) {
    if (before === undefined) insert(out.added, path);
    else if (after === undefined) insert(out.removed, path);
    else if (!equal(before, after)) insert(out.modified, path);
    return;
  }
  if (schema!.kind === 'list') {
    const list = schema as ListSchema;
    const [old, now] = [itemsOf(list, before), itemsOf(list, after)];
    for (const [element, item] of now) {
      compareValues(list.items, old.get(element), item, [...path, element], owned, out);
    }
    for (const [element, item] of old) {
      if (!now.has(element)) compareValues(list.items, item, undefined, [...path, element], owned, out);
    }
  } else {
    const [old, now] = [isMap(before) ? before : {}, isMap(after) ? after : {}];
    const visit = (name: string): void => {
      const inner = memberSchema(schema, name);
      const empty = byValue(name, inner) ? {} : undefined;
      // Inside a struct that is new as a whole, so are its members.
      const was = old[name] ?? (before === undefined ? undefined : empty);
      const is = now[name] ?? (after === undefined ? undefined : empty);
      compareValues(inner, was, is, [...path, `f:${name}`], owned, out);
    };
    for (const name of Object.keys(now)) visit(name);
    for (const name of Object.keys(old)) if (!Object.hasOwn(now, name)) visit(name);
  }
  if (path.length === 0) return;
  if (before === undefined) insert(out.added, path);
  else if (after === undefined) insert(out.removed, path);
}

function byValue(name: string, schema: Schema | undefined): boolean {
  return schema?.kind === 'struct' && !schema.atomic && (BY_VALUE.test(schema.name) || BY_VALUE_FIELDS.has(name));
}

function isVoid(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && (Array.isArray(value) ? value.length : Object.keys(value).length) === 0;
}
