// Sets of fields in the form the API shows them: FieldsV1 of metadata.managedFields, a tree whose edges are path elements (`f:spec`,
// `k:{"name":"web"}`, `v:"a"`). A node without edges is a member of the set; one with edges is a member when it also has the edge `.`.
// The operations of structured-merge-diff's fieldpath.Set work on the trees themselves, so nothing is decoded or encoded.
// They share subtrees with their arguments and change none of them, `insert` excepted.
import { memberSchema } from '../../api/schema/kinds.ts';
import type { Schema } from '../../api/schema/schema.ts';

/** At the root `{}` is the empty set. */
export interface FieldsV1 {
  [element: string]: FieldsV1;
}

const SELF = '.';
const MEMBER: FieldsV1 = Object.freeze({});

export function isEmpty(set: FieldsV1): boolean {
  for (const _ in set) return false;
  return true;
}

/** Adds a path to a set that the caller has made with `insert` alone. */
export function insert(set: FieldsV1, path: readonly string[]): void {
  let at = set;
  for (const [i, element] of path.entries()) {
    const next = at[element];
    const last = i === path.length - 1;
    if (!next) {
      const made: FieldsV1 = {};
      at[element] = made;
      at = made;
    } else {
      const member = isEmpty(next);
      if (last ? !member : member) next[SELF] = MEMBER;
      at = next;
    }
  }
}

/** Whether `element`, an edge of the root, is a member. */
export function hasMember(set: FieldsV1, element: string): boolean {
  const node = set[element];
  return node !== undefined && isMember(node);
}

/** The members below `element`, seen from there. */
export function below(set: FieldsV1, element: string): FieldsV1 {
  const node = set[element];
  if (node === undefined || !(SELF in node)) return node ?? MEMBER;
  const { [SELF]: _, ...children } = node;
  return children;
}

export function union(a: FieldsV1, b: FieldsV1): FieldsV1 {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  const out: FieldsV1 = { ...a };
  for (const [element, node] of edges(b)) {
    const had = a[element];
    out[element] = had ? unionOf(had, node) : node;
  }
  return out;
}

function unionOf(a: FieldsV1, b: FieldsV1): FieldsV1 {
  if (isEmpty(a) && isEmpty(b)) return a;
  const joined = union(a, b);
  return isMember(a) || isMember(b) ? { [SELF]: MEMBER, ...joined } : joined;
}

/** Members of `a` that are not members of `b`; what stands below a member of `b` stays. */
export function difference(a: FieldsV1, b: FieldsV1): FieldsV1 {
  if (isEmpty(b) && !(SELF in a)) return a;
  const out: FieldsV1 = {};
  for (const [element, node] of edges(a)) {
    const other = b[element];
    if (!other) {
      out[element] = node;
      continue;
    }
    const left = made(isMember(node) && !isMember(other), difference(node, other));
    if (left) out[element] = left;
  }
  return out;
}

export function intersection(a: FieldsV1, b: FieldsV1): FieldsV1 {
  const out: FieldsV1 = {};
  for (const [element, node] of edges(a)) {
    const other = b[element];
    if (!other) continue;
    const left = made(isMember(node) && isMember(other), intersection(node, other));
    if (left) out[element] = left;
  }
  return out;
}

/** With every named field of a struct on the way to a member: `a.b.c` also has `a`, and `a.b` unless that is a map's key. */
export function withNamedFields(set: FieldsV1, schema: Schema | undefined): FieldsV1 {
  const out: FieldsV1 = {};
  for (const [element, node] of edges(set)) {
    const inner = schemaBelow(schema, element);
    const named = schema?.kind === 'struct' && inner !== undefined;
    out[element] = made(named || isMember(node), withNamedFields(node, inner))!;
  }
  return out;
}

/** The members, each as its path; parents before what is below them, in the order of structured-merge-diff. */
export function paths(set: FieldsV1): string[][] {
  const out: string[][] = [];
  collect(set, [], out);
  return out;
}

function collect(set: FieldsV1, prefix: readonly string[], out: string[][]): void {
  const sorted = edges(set).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [element, node] of sorted) if (isMember(node)) out.push([...prefix, element]);
  for (const [element, node] of sorted) collect(node, [...prefix, element], out);
}

/** Without members that have members below them. */
export function leaves(set: FieldsV1): FieldsV1 {
  const out: FieldsV1 = {};
  for (const [element, node] of edges(set)) out[element] = isEmpty(node) ? node : leaves(node);
  return out;
}

/** `.spec.containers[name="web"].image`: how messages name a path. */
export function pathText(path: readonly string[]): string {
  return path.map(elementText).join('');
}

function elementText(element: string): string {
  const rest = element.slice(2);
  if (element.startsWith('f:')) return `.${rest}`;
  if (element.startsWith('v:')) return `[=${rest}]`;
  if (element.startsWith('i:')) return `[${rest}]`;
  const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
  return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
}

function schemaBelow(schema: Schema | undefined, element: string): Schema | undefined {
  if (schema?.kind === 'list') return schema.items;
  return element.startsWith('f:') ? memberSchema(schema, element.slice(2)) : undefined;
}

function isMember(node: FieldsV1): boolean {
  return SELF in node || isEmpty(node);
}

function edges(node: FieldsV1): [string, FieldsV1][] {
  return Object.entries(node).filter(([element]) => element !== SELF);
}

/** undefined: nothing is left. */
function made(member: boolean, children: FieldsV1): FieldsV1 | undefined {
  if (isEmpty(children)) return member ? MEMBER : undefined;
  return member ? { [SELF]: MEMBER, ...children } : children;
}
