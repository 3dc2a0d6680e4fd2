// Objects for the kubernetes plugin from manifests instead of the API: a set that is replaced as a whole whenever the files
// change, with what differs handed on object by object. Knows no files; `podwire dns` reads them.
//
// Kinds that DNS does not need are passed over, known or not. Objects without a namespace are in `default`. A namespace exists
// as soon as an object lies in it: manifests seldom hold the Namespace of what they hold.
import { isDeepStrictEqual } from 'node:util';
import { ManifestError, parseManifests } from '../api/manifest.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ENDPOINTSLICES, NAMESPACES, PODS, SERVICES } from '../api/resources.ts';
import type { ObjectHandlers, ObjectSource, Watching } from './plugin/kubernetes/source.ts';

const KINDS = new Map<string, ResourceType>(
  [NAMESPACES, SERVICES, ENDPOINTSLICES, PODS].map((type) => [`${groupVersion(type)} ${type.kind}`, type]),
);

function groupVersion(type: ResourceType): string {
  return type.kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1';
}

/** The objects of a file that DNS is made of. Throws ManifestError, which tells file, line and column. */
export function readDnsObjects(text: string, file: string): KubeObject[] {
  const quick = fromJson(text);
  if (quick !== undefined) return quick;
  const objects: KubeObject[] = [];
  for (const { object, line } of parseManifests(text, file, { other: () => true })) {
    if (!isWanted(object)) continue;
    const wrong = whatIsWrong(object);
    if (wrong !== undefined) throw new ManifestError(file, line, 1, wrong);
    objects.push(placed(object));
  }
  return objects;
}

/** JSON without errors, which needs no places; a list of objects is taken too. Undefined: leave it to the careful reader. */
function fromJson(text: string): KubeObject[] | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const objects: KubeObject[] = [];
  return take(value, objects) ? objects : undefined;
}

function take(value: unknown, into: KubeObject[]): boolean {
  if (Array.isArray(value)) return value.every((item) => take(item, into));
  if (value === null || typeof value !== 'object') return false;
  const { apiVersion, kind, items, metadata } = value as Record<string, unknown>;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return false;
  if (kind.endsWith('List') && Array.isArray(items)) {
    const implied = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) };
    return items.every((item) => item !== null && typeof item === 'object' && take({ ...implied, ...item }, into));
  }
  if (typeof (metadata as KubeObject['metadata'] | undefined)?.name !== 'string') return false;
  const object = value as KubeObject;
  if (!isWanted(object)) return true;
  if (whatIsWrong(object) !== undefined) return false;
  into.push(placed(object));
  return true;
}

function isWanted({ apiVersion, kind }: KubeObject): boolean {
  return KINDS.has(`${apiVersion} ${kind}`);
}

/** The little that the plugin relies on; the rest is the API server's to check. */
function whatIsWrong(object: KubeObject): string | undefined {
  const { kind, metadata, spec, ports, endpoints } = object as KubeObject & Record<string, unknown>;
  const at = `${kind} ${String(metadata.name)}`;
  if (typeof metadata.name !== 'string' || metadata.name === '') return `${kind}: metadata.name is missing`;
  if (kind === 'Service' && (spec === null || typeof spec !== 'object')) return `${at}: spec is missing`;
  if (kind !== 'EndpointSlice') return undefined;
  if (!isListOfObjects(ports ?? []) || !isListOfObjects(endpoints ?? []))
    return `${at}: ports and endpoints must be lists`;
  const list = (endpoints ?? []) as { addresses?: unknown }[];
  return list.every(({ addresses }) => Array.isArray(addresses) && addresses.every((a) => typeof a === 'string'))
    ? undefined
    : `${at}: an endpoint's addresses must be a list of addresses`;
}

function isListOfObjects(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => item !== null && typeof item === 'object');
}

function placed(object: KubeObject): KubeObject {
  if (object.kind === 'Namespace' || object.metadata.namespace !== undefined) return object;
  return { ...object, metadata: { ...object.metadata, namespace: 'default' } };
}

export class ManifestObjects implements ObjectSource {
  #objects: ReadonlyMap<string, KubeObject> = new Map();
  readonly #handlers = new Map<string, Set<ObjectHandlers<KubeObject>>>();

  watch<T extends KubeObject>(type: ResourceType<T>, handlers: ObjectHandlers<T>): Watching {
    const taken = handlers as ObjectHandlers<KubeObject>;
    let set = this.#handlers.get(type.kind);
    if (set === undefined) this.#handlers.set(type.kind, (set = new Set()));
    set.add(taken);
    for (const object of this.#objects.values()) if (object.kind === type.kind) taken.set(object);
    return { hasSynced: () => true, close: () => void set.delete(taken) };
  }

  /** Replaces all objects; of two with the same kind and name the later one counts. */
  replace(objects: readonly KubeObject[]): void {
    const next = new Map<string, KubeObject>();
    for (const { metadata } of objects) {
      const { namespace } = metadata;
      if (namespace === undefined) continue;
      const implied: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
      next.set(keyOf(implied), implied);
    }
    for (const object of objects) next.set(keyOf(object), object);
    const before = this.#objects;
    this.#objects = next;
    for (const [key, object] of before) if (!next.has(key)) this.#tell(object, 'delete');
    for (const [key, object] of next) {
      const old = before.get(key);
      if (old === undefined || !isDeepStrictEqual(old, object)) this.#tell(object, 'set');
    }
  }

  /** How many there are. */
  get size(): number {
    return this.#objects.size;
  }

  #tell(object: KubeObject, what: 'set' | 'delete'): void {
    for (const handlers of this.#handlers.get(object.kind) ?? []) handlers[what](object);
  }
}

function keyOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''} ${metadata.name}`;
}
