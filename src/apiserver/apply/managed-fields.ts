// metadata.managedFields between its stored form and what the updater works with: one field set a manager. A manager is a name, an
// operation, a subresource and, for updates, a version. After apimachinery pkg/util/managedfields/internal/{managedfields,
// fieldmanager,capmanagers}.go.
import type { ManagedFieldsEntry } from '../../api/meta.ts';
import { type FieldsV1, isEmpty, union } from './fields-v1.ts';

export interface ManagerId {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
}

export interface Managed extends ManagerId {
  readonly fields: FieldsV1;
  readonly time: string | undefined;
}

export type Managers = ReadonlyMap<string, Managed>;

/** So many entries of updates are kept apart; the oldest ones beyond are joined. */
const MAX_UPDATE_MANAGERS = 10;
const ANCIENT = 'ancient-changes';

/** Who applies is the same whatever the version. */
export function keyOf({ manager, operation, apiVersion, subresource }: ManagerId): string {
  return [operation, subresource, operation === 'Apply' ? '' : apiVersion, manager].join('\n');
}

/** undefined: it makes no sense as a whole. */
export function decodeManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managers | undefined {
  const managers = new Map<string, Managed>();
  for (const entry of entries ?? []) {
    const { manager = '', operation, apiVersion = '', subresource = '', fieldsType, fieldsV1 = {}, time } = entry;
    if (operation !== 'Apply' && operation !== 'Update') return undefined;
    if (apiVersion === '' || fieldsType !== 'FieldsV1' || !isFieldsV1(fieldsV1)) return undefined;
    const managed = { manager, operation, apiVersion, subresource, fields: fieldsV1, time };
    managers.set(keyOf(managed), managed);
  }
  return managers;
}

/**
 * Of an update: what the client sent counts, so that it can be changed, or reset by an empty list or one empty entry; a client that
 * sends nothing, or nothing that makes sense, does not lose it.
 */
export function managersOfUpdate(
  sent: readonly ManagedFieldsEntry[] | undefined,
  live: readonly ManagedFieldsEntry[] | undefined,
): Managers {
  if (sent === live) return decodeManagers(live) ?? new Map();
  const reset = sent !== undefined && (sent.length === 0 || (sent.length === 1 && isEmpty(sent[0] as FieldsV1)));
  if (reset) return new Map();
  const decoded = decodeManagers(sent);
  if (!decoded || decoded.size === 0) return decodeManagers(live) ?? new Map();
  return decoded;
}

/** undefined: nobody owns anything. */
export function encodeManagers(managers: Managers): ManagedFieldsEntry[] | undefined {
  const entries = [...managers.values()].map(
    ({ manager, operation, apiVersion, subresource, fields, time }): ManagedFieldsEntry => ({
      manager,
      operation,
      apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: fields,
      ...(subresource === '' ? {} : { subresource }),
    }),
  );
  return entries.length === 0 ? undefined : entries.sort(inOrder);
}

function inOrder(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  for (const key of ['operation', 'time', 'manager', 'apiVersion', 'subresource'] as const) {
    const [left, right] = [a[key] ?? '', b[key] ?? ''];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Joins the oldest updates until few enough are left. */
export function capManagers(managers: Managers): Managers {
  const updates = [...managers.values()].filter((managed) => managed.operation === 'Update');
  if (updates.length <= MAX_UPDATE_MANAGERS) return managers;
  updates.sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? -1 : 1));
  const out = new Map(managers);
  for (const old of updates) {
    const count = [...out.values()].filter((managed) => managed.operation === 'Update').length;
    if (count <= MAX_UPDATE_MANAGERS) break;
    out.delete(keyOf(old));
    const id: ManagerId = { ...old, manager: ANCIENT, subresource: '' };
    const joined = out.get(keyOf(id));
    out.set(keyOf(id), { ...id, time: old.time, fields: joined ? union(joined.fields, old.fields) : old.fields });
  }
  return out;
}

function isFieldsV1(value: unknown, depth = 0): value is FieldsV1 {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || depth > 100) return false;
  return Object.entries(value).every(
    ([element, node]) => (element === '.' ? depth > 0 : isElement(element)) && isFieldsV1(node, depth + 1),
  );
}

function isElement(element: string): boolean {
  const rest = element.slice(2);
  if (element.startsWith('f:')) return true;
  if (element.startsWith('i:')) return /^\d+$/.test(rest);
  if (!element.startsWith('k:') && !element.startsWith('v:')) return false;
  try {
    const parsed: unknown = JSON.parse(rest);
    return element.startsWith('v:') || (parsed !== null && typeof parsed === 'object');
  } catch {
    return false;
  }
}
