// Strategic merge patch: a merge patch in which lists of objects merge by a key (the merge keys stand in api/schema). After
// k8s.io/apimachinery/pkg/util/strategicpatch/patch.go: the directives `$patch: delete|replace|merge`,
// `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>` and `$retainKeys` are understood.
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { memberSchema, schemaOf } from '../../api/schema/kinds.ts';
import type { Schema } from '../../api/schema/schema.ts';
import { badRequest } from '../../api/status-error.ts';
import { clone, equal, isMap } from '../../lib/tree.ts';

type Tree = Record<string, unknown>;

const DIRECTIVE = '$patch';
const DELETE_FROM = '$deleteFromPrimitiveList/';
const ELEMENT_ORDER = '$setElementOrder/';
const RETAIN_KEYS = '$retainKeys';

/** Changes `target`, a private copy, and returns the result. */
export function applyStrategicPatch(type: ResourceType, target: KubeObject, patch: Tree): unknown {
  return mergeMap(schemaOf(type), target as unknown as Tree, patch);
}

function mergeMap(schema: Schema | undefined, target: Tree, patch: Tree): Tree {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return stripped(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') {
    throw badRequest(`Unknown patch type found in merging a map: ${JSON.stringify(directive)}`);
  }
  retainKeys(target, patch[RETAIN_KEYS]);
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key === '__proto__' || key.startsWith(ELEMENT_ORDER)) continue;
    if (key.startsWith(DELETE_FROM)) {
      deleteFrom(target, key.slice(DELETE_FROM.length), value);
      continue;
    }
    const inner = memberSchema(schema, key);
    const had = Object.hasOwn(target, key) ? target[key] : undefined;
    if (value === null) delete target[key];
    else if (Array.isArray(value)) target[key] = mergeList(inner, key, had, value, patch[ELEMENT_ORDER + key]);
    else if (!isMap(value)) target[key] = value;
    else if (value[DIRECTIVE] === 'delete') delete target[key];
    else target[key] = mergeMap(inner, isMap(had) ? had : {}, value);
  }
  // Lists that are only put in order, not changed.
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(ELEMENT_ORDER)) continue;
    const name = key.slice(ELEMENT_ORDER.length);
    const had = target[name];
    if (Object.hasOwn(patch, name) || !Array.isArray(had)) continue;
    target[name] = mergeList(memberSchema(schema, name), name, had, [], order);
  }
  return target;
}

function mergeList(
  schema: Schema | undefined,
  name: string,
  had: unknown,
  patch: readonly unknown[],
  order: unknown,
): unknown[] {
  const target: unknown[] = Array.isArray(had) ? had : [];
  const replace = patch.some((item) => isMap(item) && item[DIRECTIVE] === 'replace');
  const listSchema = schema?.kind === 'list' ? schema : undefined;
  if (replace || !(listSchema?.set || listSchema?.mergeKey)) {
    return patch.filter((item) => !(isMap(item) && item[DIRECTIVE] === 'replace')).map((item) => stripDeep(item));
  }
  const { mergeKey } = listSchema;
  const keyOf = (item: unknown): unknown => (mergeKey === undefined || !isMap(item) ? item : item[mergeKey]);
  const out = [...target];
  for (const item of patch) {
    if (mergeKey === undefined) {
      if (!out.some((o) => equal(o, item))) out.push(clone(item));
      continue;
    }
    const key = isMap(item) ? item[mergeKey] : undefined;
    if (!isMap(item) || key === undefined) {
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey} (in ${name})`);
    }
    const i = out.findIndex((o) => equal(keyOf(o), key));
    if (item[DIRECTIVE] === 'delete') {
      for (let at = i; at >= 0; at = out.findIndex((o) => equal(keyOf(o), key))) out.splice(at, 1);
    } else if (i < 0) out.push(mergeMap(listSchema.items, {}, item));
    else out[i] = mergeMap(listSchema.items, out[i] as Tree, item);
  }
  return Array.isArray(order) ? inOrder(out, target, order, keyOf) : out;
}

/**
 * The items that the client knows, in the order it wants; items that only the server has are woven in where they stood
 * before the items they preceded.
 */
function inOrder(
  merged: readonly unknown[],
  before: readonly unknown[],
  order: readonly unknown[],
  keyOf: (item: unknown) => unknown,
): unknown[] {
  const rank = (item: unknown): number => order.findIndex((o) => equal(keyOf(o), keyOf(item)));
  const place = (item: unknown): number => before.findIndex((b) => equal(keyOf(b), keyOf(item)));
  const known = merged.filter((item) => rank(item) >= 0).sort((a, b) => rank(a) - rank(b));
  const others = merged.filter((item) => rank(item) < 0);
  const out: unknown[] = [];
  while (known.length > 0 && others.length > 0) {
    const [a, b] = [place(others[0]), place(known[0])];
    out.push(a >= 0 && b >= 0 && a < b ? others.shift() : known.shift());
  }
  return [...out, ...known, ...others];
}

function retainKeys(target: Tree, keys: unknown): void {
  if (keys === undefined) return;
  if (!Array.isArray(keys)) throw badRequest(`invalid patch format of ${RETAIN_KEYS}`);
  for (const key of Object.keys(target)) if (!keys.includes(key)) delete target[key];
}

function deleteFrom(target: Tree, name: string, gone: unknown): void {
  const had = target[name];
  if (!Array.isArray(gone) || !Array.isArray(had)) return;
  target[name] = had.filter((item) => !gone.some((g) => equal(g, item)));
}

function stripped(patch: Tree): Tree {
  const { [DIRECTIVE]: _, ...rest } = patch;
  return stripDeep(rest) as Tree;
}

/** What is taken over whole carries no directives any more. */
function stripDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripDeep);
  if (!isMap(value)) return value;
  const out: Tree = {};
  for (const [key, member] of Object.entries(value)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key === '__proto__') continue;
    if (key.startsWith(ELEMENT_ORDER) || key.startsWith(DELETE_FROM) || member === null) continue;
    out[key] = stripDeep(member);
  }
  return out;
}
