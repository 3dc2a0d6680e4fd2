// Strategic merge patch: a merge patch in which lists of objects merge by a key (api/patch-keys.ts). After
// k8s.io/apimachinery/pkg/util/strategicpatch/patch.go: the directives `$patch: delete|replace|merge`,
// `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>` and `$retainKeys` are understood.
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { listStrategy } from '../../api/patch-keys.ts';
import { StatusError } from '../../api/status-error.ts';
import { clone, equal } from '../../lib/tree.ts';

type Tree = Record<string, unknown>;

const DIRECTIVE = '$patch';
const DELETE_FROM = '$deleteFromPrimitiveList/';
const ELEMENT_ORDER = '$setElementOrder/';
const RETAIN_KEYS = '$retainKeys';

/** Changes `target`, a private copy, and returns the result. */
export function applyStrategicPatch(type: ResourceType, target: KubeObject, patch: Tree): unknown {
  return mergeMap(type.kind, '', target as unknown as Tree, patch);
}

function mergeMap(kind: string, path: string, target: Tree, patch: Tree): Tree {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return stripped(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') {
    throw bad(`Unknown patch type found in merging a map: ${String(directive)}`);
  }
  const retain = patch[RETAIN_KEYS];
  if (retain !== undefined) {
    if (!Array.isArray(retain)) throw bad(`invalid patch format of ${RETAIN_KEYS}`);
    for (const key of Object.keys(target)) if (!retain.includes(key)) delete target[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key === '__proto__' || key.startsWith(ELEMENT_ORDER)) continue;
    if (key.startsWith(DELETE_FROM)) {
      const list = key.slice(DELETE_FROM.length);
      const gone = Array.isArray(value) ? value : [];
      const kept = target[list];
      if (Array.isArray(kept)) target[list] = kept.filter((item) => !gone.some((g) => equal(g, item)));
      continue;
    }
    const inner = path === '' ? key : `${path}.${key}`;
    const had = Object.hasOwn(target, key) ? target[key] : undefined;
    if (value === null) delete target[key];
    else if (Array.isArray(value)) target[key] = mergeList(kind, inner, had, value, patch[ELEMENT_ORDER + key]);
    else if (isTree(value)) {
      if (value[DIRECTIVE] === 'delete') delete target[key];
      else target[key] = mergeMap(kind, inner, isTree(had) ? had : {}, value);
    } else target[key] = value;
  }
  // Lists that are only put in order, not changed.
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(ELEMENT_ORDER)) continue;
    const list = key.slice(ELEMENT_ORDER.length);
    const had = target[list];
    if (Object.hasOwn(patch, list) || !Array.isArray(had)) continue;
    target[list] = mergeList(kind, path === '' ? list : `${path}.${list}`, had, [], order);
  }
  return target;
}

function mergeList(kind: string, path: string, had: unknown, patch: unknown[], order: unknown): unknown[] {
  const strategy = listStrategy(kind, path);
  const target = Array.isArray(had) ? had : [];
  const replace = patch.some((item) => isTree(item) && item[DIRECTIVE] === 'replace');
  if (strategy === undefined || replace) {
    return patch.filter((item) => !(isTree(item) && item[DIRECTIVE] === 'replace')).map((item) => stripDeep(item));
  }
  if (strategy === 'set') {
    const out = [...target];
    for (const item of patch) if (!out.some((o) => equal(o, item))) out.push(clone(item));
    return ordered(out, patch, order, (item) => item);
  }
  const { mergeKey } = strategy;
  const keyOf = (item: unknown): unknown => (isTree(item) ? item[mergeKey] : undefined);
  const out = [...target];
  for (const item of patch) {
    if (!isTree(item)) throw bad(`delete patch type with no merge key defined in ${path}`);
    const key = keyOf(item);
    if (key === undefined) {
      throw bad(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    }
    const i = out.findIndex((o) => equal(keyOf(o), key));
    if (item[DIRECTIVE] === 'delete') {
      for (let at = i; at >= 0; at = out.findIndex((o) => equal(keyOf(o), key))) out.splice(at, 1);
    } else if (i < 0) out.push(mergeMap(kind, `${path}[]`, {}, item));
    else out[i] = mergeMap(kind, `${path}[]`, out[i] as Tree, item);
  }
  return ordered(out, patch, order, keyOf);
}

/**
 * With an element order, its items come in that order; items of the server that it does not name keep their place relative
 * to their neighbours before them.
 */
function ordered(list: unknown[], _patch: unknown[], order: unknown, keyOf: (item: unknown) => unknown): unknown[] {
  if (!Array.isArray(order)) return list;
  const rank = (item: unknown): number => order.findIndex((o) => equal(isTree(o) ? keyOf(o) : o, keyOf(item)));
  const named = list.filter((item) => rank(item) >= 0).sort((a, b) => rank(a) - rank(b));
  const out: unknown[] = [];
  let next = 0;
  for (const item of list) out.push(rank(item) >= 0 ? named[next++] : item);
  return out;
}

function stripped(patch: Tree): Tree {
  const { [DIRECTIVE]: _, ...rest } = patch;
  return stripDeep(rest) as Tree;
}

/** What is taken over whole carries no directives any more. */
function stripDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripDeep);
  if (!isTree(value)) return value;
  const out: Tree = {};
  for (const [key, member] of Object.entries(value)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key === '__proto__') continue;
    if (key.startsWith(ELEMENT_ORDER) || key.startsWith(DELETE_FROM) || member === null) continue;
    out[key] = stripDeep(member);
  }
  return out;
}

function isTree(value: unknown): value is Tree {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function bad(message: string): StatusError {
  return new StatusError('BadRequest', 400, message);
}
