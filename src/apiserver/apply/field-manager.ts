// Who owns which field: kept up to date by every write (`trackUpdate`), and asked by server-side apply (`applyConfiguration`). After
// sigs.k8s.io/structured-merge-diff merge/{update,conflict}.go (v6) and apimachinery pkg/util/managedfields/internal.
//
// An update owns what it changed and takes it from everybody else. An apply owns all that it names: it is refused when that changes
// what another manager owns, unless forced; what it named the last time and names no more is removed, unless another manager owns it.
// There is one version of each kind here, so nothing is converted between versions.
import { apiVersionOf, type KubeObject, type ManagedFieldsEntry, type ResourceType } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import type { Schema } from '../../api/schema/schema.ts';
import { type StatusCause, StatusError } from '../../api/status-error.ts';
import { equal, stableJson } from '../../lib/tree.ts';
import { checkConfiguration } from './configuration.ts';
import {
  difference,
  type FieldsV1,
  intersection,
  isEmpty,
  leaves,
  paths,
  pathText,
  union,
  withNamedFields,
} from './fields-v1.ts';
import {
  capManagers,
  decodeManagers,
  encodeManagers,
  keyOf,
  type Managed,
  type ManagerId,
  type Managers,
  managersOfUpdate,
} from './managed-fields.ts';
import { merge, removeFields } from './merge.ts';
import { type Comparison, compare, fieldSetOf, type Owned, type Tree } from './typed.ts';

export interface Writer {
  /** The field manager's name. */
  readonly manager: string;
  readonly subresource: string;
  /** metav1.Time of the write. */
  readonly now: string;
  /** Whether the kind has a status subresource: then neither side writes the other's fields. */
  readonly hasStatus: boolean;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** metadata.managedFields of `next`, which replaces `old` by anything but an apply. */
export function trackUpdate(
  type: ResourceType,
  old: KubeObject | undefined,
  next: KubeObject,
  writer: Writer,
): ManagedFieldsEntry[] | undefined {
  const schema = schemaOf(type);
  if (!schema) return old?.metadata.managedFields;
  const live = old?.metadata.managedFields;
  const managers = writer.subresource
    ? managersOfUpdate(live, live)
    : managersOfUpdate(next.metadata.managedFields, live);
  const comparison = compare(schema, asTree(old ?? {}), asTree(next), ownedBy(writer));
  const changed = union(comparison.added, comparison.modified);
  const out = new Map(loseFields(managers, undefined, changed, comparison.removed));
  if (!isEmpty(changed)) {
    const id: ManagerId = { ...idOf(type, writer), operation: 'Update' };
    const before = out.get(keyOf(id));
    out.set(keyOf(id), { ...id, time: writer.now, fields: before ? union(before.fields, changed) : changed });
  }
  return encodeManagers(capManagers(out));
}

/** `live` with `config` applied, managed fields included. Throws StatusError, 409 when other managers own what would change. */
export function applyConfiguration(
  type: ResourceType,
  live: KubeObject,
  config: KubeObject,
  writer: Writer,
  force: boolean,
): KubeObject {
  const schema = schemaOf(type);
  if (!schema) throw new StatusError('', 500, `no schema of ${type.kind} to apply with`);
  checkConfiguration(type, schema, config);
  const context = { type, schema, writer, live: withLastApplied(live, config, writer) };
  let result = apply(context, config, force);
  if (result.conflicts.length > 0 && writer.manager === 'kubectl') {
    const allowed = lastAppliedFields(schema, live, type);
    const left = result.conflicts.filter(({ path }) => !allowed.has(pathText(path)));
    result = left.length > 0 ? { ...result, conflicts: left } : apply(context, config, true);
  }
  if (result.conflicts.length > 0) throw conflictError(result.conflicts);
  const { managedFields: _, ...metadata } = result.object.metadata;
  const unchanged = equal(withoutManaged(context.live), withoutManaged(result.object));
  const managers = new Map(result.managers);
  const own = managers.get(result.self);
  if (own) managers.set(result.self, { ...own, time: (unchanged ? own.time : undefined) ?? writer.now });
  const managedFields = encodeManagers(managers);
  return { ...result.object, metadata: managedFields ? { ...metadata, managedFields } : metadata };
}

interface Applying {
  readonly type: ResourceType;
  readonly schema: Schema;
  readonly writer: Writer;
  readonly live: KubeObject;
}

interface Conflict {
  readonly with: Managed;
  readonly path: readonly string[];
}

interface Applied {
  readonly object: KubeObject;
  readonly managers: Managers;
  readonly self: string;
  readonly conflicts: readonly Conflict[];
}

function apply({ type, schema, writer, live }: Applying, config: KubeObject, force: boolean): Applied {
  const owned = ownedBy(writer);
  const id: ManagerId = { ...idOf(type, writer), operation: 'Apply' };
  const self = keyOf(id);
  const managers = new Map(decodeManagers(live.metadata.managedFields) ?? []);
  const last = managers.get(self);
  const fields = fieldSetOf(schema, asTree(config), owned);
  if (isEmpty(fields)) managers.delete(self);
  else managers.set(self, { ...id, time: last?.time, fields });
  const merged = merge(schema, asTree(live), asTree(config)) as Tree;
  // Of its own fields even those count here that nobody owns: what names the object keeps its metadata in being.
  const applied = fieldSetOf(schema, asTree(config), () => true);
  const object = last ? prune(schema, merged, managers, applied, last.fields) : merged;
  const comparison = compare(schema, asTree(live), object, owned);
  const changed = union(comparison.added, comparison.modified);
  const conflicts = force ? [] : conflictsOf(managers, self, changed);
  return {
    object: object as unknown as KubeObject,
    managers: loseFields(managers, self, changed, comparison.removed),
    self,
    conflicts,
  };
}

/** Removes what was applied the last time and is no more, save what somebody owns. */
function prune(schema: Schema, merged: Tree, managers: Managers, applied: FieldsV1, last: FieldsV1): Tree {
  const setOf = (object: Tree): FieldsV1 =>
    withNamedFields(
      fieldSetOf(schema, object, () => true),
      schema,
    );
  const without = (set: FieldsV1): Tree => (removeFields(schema, merged, set) ?? {}) as Tree;
  let managed = applied;
  for (const { fields } of managers.values()) managed = union(managed, fields);
  const all = setOf(merged);
  let pruned = without(withNamedFields(last, schema));
  pruned = without(difference(all, union(setOf(pruned), withNamedFields(managed, schema))));
  // Nothing goes that was not the applier's own.
  return without(intersection(difference(all, setOf(pruned)), withNamedFields(last, schema)));
}

function conflictsOf(managers: Managers, self: string, changed: FieldsV1): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const [key, managed] of managers) {
    if (key === self) continue;
    for (const path of paths(leaves(intersection(managed.fields, changed)))) conflicts.push({ with: managed, path });
  }
  return conflicts;
}

/** Everybody but `self` loses what was changed, and everybody what is gone; who owns nothing any more is forgotten. */
function loseFields(managers: Managers, self: string | undefined, changed: FieldsV1, removed: FieldsV1): Managers {
  if (isEmpty(changed) && isEmpty(removed)) return managers;
  const out = new Map<string, Managed>();
  for (const [key, managed] of managers) {
    const fields = difference(key === self ? managed.fields : difference(managed.fields, changed), removed);
    if (!isEmpty(fields)) out.set(key, fields === managed.fields ? managed : { ...managed, fields });
  }
  return out;
}

function conflictError(conflicts: readonly Conflict[]): StatusError {
  const causes = conflicts.map(
    (conflict): StatusCause => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${managerText(conflict.with)}`,
      field: pathText(conflict.path),
    }),
  );
  const [first] = causes;
  if (causes.length === 1) {
    return new StatusError('Conflict', 409, `Apply failed with 1 conflict: ${first!.message}: ${first!.field}`, {
      causes,
    });
  }
  const byManager = new Map<string, string[]>();
  for (const { message, field } of causes) {
    const title = `${message.replace(/^conflict /, 'conflicts ')}:`;
    byManager.set(title, [...(byManager.get(title) ?? []), `- ${field}`]);
  }
  const lines = [...byManager].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([title, fields]) => [title, ...fields]);
  return new StatusError('Conflict', 409, `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`, {
    causes,
  });
}

function managerText({ manager, operation, apiVersion, subresource }: Managed): string {
  const name = JSON.stringify(manager) + (subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`);
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}

/**
 * What `kubectl apply` without --server-side wrote and nobody has changed since, as texts of paths: the same user moves to
 * server-side apply without conflicts (lastappliedmanager.go).
 */
function lastAppliedFields(schema: Schema, live: KubeObject, type: ResourceType): ReadonlySet<string> {
  const text = live.metadata.annotations?.[LAST_APPLIED];
  if (!text) return new Set();
  let applied: unknown;
  try {
    applied = JSON.parse(text);
  } catch {
    return new Set();
  }
  if ((applied as Partial<KubeObject> | null)?.apiVersion !== apiVersionOf(type)) return new Set();
  const changed: Comparison = compare(schema, applied as Tree, asTree(live), everything);
  const fields = difference(
    difference(fieldSetOf(schema, applied as Tree, everything), changed.modified),
    union(changed.added, changed.removed),
  );
  return new Set(paths(fields).map(pathText));
}

/** kubectl keeps the annotation of client-side apply true when it applies on the server (lastappliedupdater.go). */
function withLastApplied(live: KubeObject, config: KubeObject, { manager }: Writer): KubeObject {
  if (manager !== 'kubectl' || live.metadata.annotations?.[LAST_APPLIED] === undefined) return live;
  const { annotations: given, managedFields: _, ...metadata } = config.metadata;
  const { [LAST_APPLIED]: __, ...others } = given ?? {};
  const applied = { ...config, metadata: given ? { ...metadata, annotations: others } : metadata };
  const annotations = { ...live.metadata.annotations, [LAST_APPLIED]: `${stableJson(applied)}\n` };
  return { ...live, metadata: { ...live.metadata, annotations } };
}

function idOf(type: ResourceType, { manager, subresource }: Writer): Omit<ManagerId, 'operation'> {
  return { manager, subresource, apiVersion: apiVersionOf(type) };
}

/** Nobody owns what the server keeps: stripmeta.go, and the fields that the strategies of either resource reset. */
const SERVERS = new Set([
  'f:apiVersion',
  'f:kind',
  'f:metadata/f:name',
  'f:metadata/f:namespace',
  'f:metadata/f:creationTimestamp',
  'f:metadata/f:selfLink',
  'f:metadata/f:uid',
  'f:metadata/f:generation',
  'f:metadata/f:managedFields',
  'f:metadata/f:resourceVersion',
]);

function everything(path: readonly string[]): boolean {
  return path.length > 2 || !SERVERS.has(path.join('/'));
}

function ofSpec(path: readonly string[]): boolean {
  return path[0] !== 'f:status' && everything(path);
}

function ofStatus(path: readonly string[]): boolean {
  return path[0] === 'f:status';
}

function ownedBy({ subresource, hasStatus }: Writer): Owned {
  if (subresource === 'status') return ofStatus;
  return hasStatus ? ofSpec : everything;
}

function withoutManaged({ metadata: { managedFields: _, ...metadata }, ...rest }: KubeObject): unknown {
  return { ...rest, metadata };
}

function asTree(object: object): Tree {
  return object as Tree;
}
