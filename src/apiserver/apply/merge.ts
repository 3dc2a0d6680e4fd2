// Putting an applied configuration into a live object, and taking fields out of one, along the schema. After
// sigs.k8s.io/structured-merge-diff typed/{merge,remove}.go (v6). Neither changes its arguments; results may share parts with them.
import { memberSchema } from '../../api/schema/kinds.ts';
import type { ListSchema, Schema } from '../../api/schema/schema.ts';
import { isMap } from '../../lib/tree.ts';
import { below, type FieldsV1, hasMember, isEmpty } from './fields-v1.ts';
import { isLeaf, itemElement, itemsOf, type Tree } from './typed.ts';

/** What `config` says, and where it says nothing, what `live` says. */
export function merge(schema: Schema | undefined, live: unknown, config: unknown): unknown {
  if (config === undefined) return live;
  if (live === undefined || isLeaf(schema)) return config;
  if (schema!.kind === 'list') return mergeLists(schema as ListSchema, live, config);
  if (!isMap(live) || !isMap(config)) return config;
  const out: Record<string, unknown> = { ...live };
  for (const [name, value] of Object.entries(config)) out[name] = merge(memberSchema(schema, name), live[name], value);
  return out;
}

/**
 * Items of both lists. Those of `config` are in its order; the live ones that it does not know stay where they stood between the
 * ones it does.
 */
function mergeLists(schema: ListSchema, live: unknown, config: unknown): unknown[] {
  const [old, now] = [itemsOf(schema, live), itemsOf(schema, config)];
  const shared = [...now.keys()].filter((element) => old.has(element));
  const [olds, nows] = [[...old.keys()], [...now.keys()]];
  const out: unknown[] = [];
  const take = (element: string): void => {
    out.push(merge(schema.items, old.get(element), now.get(element)));
  };
  let at = 0;
  let i = 0;
  let j = 0;
  while (i < olds.length || j < nows.length) {
    const [before, next] = [olds[i], nows[j]];
    if (before !== undefined && next !== undefined) {
      if (before === next) {
        take(next);
        i++;
        j++;
        at++;
        continue;
      }
      if (now.has(before) && at < shared.length && shared[at] !== before) {
        i++;
        continue;
      }
    }
    if (before !== undefined && !now.has(before)) {
      take(before);
      i++;
    } else if (next !== undefined) {
      take(next);
      if (shared[at] === next) at++;
      j++;
    } else i++;
  }
  return out;
}

/** `value` without the members of `set`. A container that loses everything is gone as well. */
export function removeFields(schema: Schema | undefined, value: unknown, set: FieldsV1): unknown {
  if (isEmpty(set)) return value;
  if (schema?.kind === 'list' && !isLeaf(schema)) {
    const kept: unknown[] = [];
    for (const item of Array.isArray(value) ? value : []) {
      const element = itemElement(schema, item);
      if (element === undefined) kept.push(item);
      else if (!hasMember(set, element)) kept.push(removeFields(schema.items, item, below(set, element)));
    }
    return kept.length > 0 ? kept : undefined;
  }
  if (!isMap(value)) return value;
  if (isLeaf(schema)) return undefined;
  const out: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value as Tree)) {
    const element = `f:${name}`;
    if (hasMember(set, element)) continue;
    const left = removeFields(memberSchema(schema, name), member, below(set, element));
    if (left !== undefined) out[name] = left;
  }
  return Object.keys(out).length > 0 ? out : undefined;
}
