// Objects for the kubernetes plugin from manifests instead of the API: a set that is replaced as a whole whenever the files
// change, with what differs handed on object by object. Knows no files; `podwire dns` reads them.
//
// Kinds that DNS does not need are passed over; kinds nobody knows are told of. Objects without a namespace are in `default`. A
// namespace exists as soon as an object lies in it: manifests seldom hold the Namespace of what they hold. Endpoints count where
// no EndpointSlice is given for their Service.
import { isDeepStrictEqual } from 'node:util';
import type { Endpoints, Service } from '../api/core-v1.ts';
import { LABEL_SERVICE_NAME } from '../api/discovery-v1.ts';
import { ManifestError, parseManifests } from '../api/manifest.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ENDPOINTS, ENDPOINTSLICES, NAMESPACES, PODS, resourceOfKind, SERVICES } from '../api/resources.ts';
import { mirrored } from './mirrored-endpoints.ts';
import type { ObjectHandlers, ObjectSource, Watching } from './plugin/kubernetes/source.ts';

const KINDS = new Set<ResourceType>([NAMESPACES, SERVICES, ENDPOINTSLICES, ENDPOINTS, PODS]);

/** Hears of an object of a kind that nobody knows, and of a Service that will have no address. */
type Warn = (what: string) => void;

/** The objects of a file that DNS is made of. Throws ManifestError, which tells file, line and column. */
export function readDnsObjects(text: string, file: string, warn: Warn): KubeObject[] {
  const quick = fromJson(text, warn);
  if (quick !== undefined) return quick;
  const objects: KubeObject[] = [];
  const other = (object: Record<string, unknown>): boolean => {
    warn(unknown(object));
    return true;
  };
  for (const { object, line } of parseManifests(text, file, { other })) {
    if (!isWanted(object)) continue;
    const wrong = whatIsWrong(object);
    if (wrong !== undefined) throw new ManifestError(file, line, 1, wrong);
    warnOfNoAddress(object, warn);
    objects.push(placed(object));
  }
  return objects;
}

/** JSON without errors, which needs no places; a list of objects is taken too. Undefined: leave it to the careful reader. */
function fromJson(text: string, warn: Warn): KubeObject[] | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const objects: KubeObject[] = [];
  const warnings: string[] = [];
  if (!take(value, objects, (what) => void warnings.push(what))) return undefined;
  warnings.forEach(warn);
  return objects;
}

function take(value: unknown, into: KubeObject[], warn: Warn): boolean {
  if (Array.isArray(value)) return value.every((item) => take(item, into, warn));
  if (value === null || typeof value !== 'object') return false;
  const { apiVersion, kind, items, metadata } = value as Record<string, unknown>;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return false;
  if (kind.endsWith('List') && Array.isArray(items)) {
    const implied = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) };
    return items.every(
      (item) => item !== null && typeof item === 'object' && take({ ...implied, ...item }, into, warn),
    );
  }
  if (kind === 'List' && (items ?? null) === null) return true;
  if (typeof (metadata as KubeObject['metadata'] | undefined)?.name !== 'string') return false;
  const object = value as KubeObject;
  if (resourceOfKind(apiVersion, kind) === undefined) warn(unknown(object));
  if (!isWanted(object)) return true;
  if (whatIsWrong(object) !== undefined) return false;
  warnOfNoAddress(object, warn);
  into.push(placed(object));
  return true;
}

function isWanted({ apiVersion, kind }: KubeObject): boolean {
  const type = resourceOfKind(apiVersion, kind);
  return type !== undefined && KINDS.has(type);
}

function unknown({ apiVersion, kind }: Record<string, unknown> | KubeObject): string {
  return `no matches for kind "${String(kind)}" in version "${String(apiVersion)}", passed over`;
}

/** A manifest as one writes it has no clusterIP yet: the API server gives one, and here is none. */
function warnOfNoAddress(object: KubeObject, warn: Warn): void {
  if (object.kind !== 'Service') return;
  const { spec, metadata } = object as Service;
  if (spec.type === 'ExternalName' || spec.clusterIP || spec.clusterIPs?.some((ip) => ip !== '')) return;
  warn(
    `Service ${metadata.namespace ?? 'default'}/${metadata.name} has no clusterIP, so its name has no address; give it spec.clusterIP`,
  );
}

/** The little that the plugin relies on; the rest is the API server's to check. */
function whatIsWrong(object: KubeObject): string | undefined {
  const { kind, metadata, spec, ports, endpoints, subsets } = object as KubeObject & Record<string, unknown>;
  const at = `${kind} ${String(metadata.name)}`;
  if (typeof metadata.name !== 'string' || metadata.name === '') return `${kind}: metadata.name is missing`;
  if (kind === 'Service' && (spec === null || typeof spec !== 'object')) return `${at}: spec is missing`;
  if (kind === 'Endpoints' && !isListOfObjects(subsets ?? [])) return `${at}: subsets must be a list`;
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
    const sliced = new Set(objects.flatMap((o) => (o.kind === 'EndpointSlice' ? serviceKey(o) : [])));
    for (const object of objects) {
      if (object.kind !== 'Endpoints') next.set(keyOf(object), object);
      else if (!sliced.has(`${object.metadata.namespace} ${object.metadata.name}`))
        for (const slice of mirrored(object as Endpoints)) next.set(keyOf(slice), slice);
    }
    const before = this.#objects;
    this.#objects = next;
    for (const [key, object] of before) if (!next.has(key)) this.#tell(object, 'delete');
    for (const [key, object] of next) {
      const old = before.get(key);
      if (old === undefined || !isDeepStrictEqual(old, object)) this.#tell(object, 'set');
    }
  }

  #tell(object: KubeObject, what: 'set' | 'delete'): void {
    for (const handlers of this.#handlers.get(object.kind) ?? []) handlers[what](object);
  }
}

/** The Service an EndpointSlice belongs to. */
function serviceKey({ metadata }: KubeObject): string {
  return `${metadata.namespace} ${metadata.labels?.[LABEL_SERVICE_NAME]}`;
}

function keyOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''} ${metadata.name}`;
}
