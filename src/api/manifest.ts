// Reads manifests as `kubectl -f` does: YAML or JSON, several documents in a file, Lists taken apart, each object with its
// resource. YAML 1.1 as sigs.k8s.io/yaml reads it: `yes` is true, `0644` is octal, but no dates, no base 60, no binary.
// Knows files only by name. Rules about the objects themselves are the API server's.
import { isMap, isPair, isSeq, LineCounter, type Node, parseAllDocuments, type Tags } from 'yaml';
import type { KubeObject, ResourceType } from './meta.ts';
import { resourceOfKind } from './resources.ts';

export interface ManifestObject {
  readonly type: ResourceType;
  readonly object: KubeObject;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** Says where: the message begins with `file:line:column: `. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(file: string, line: number, column: number, message: string) {
    super(`${file}:${line}:${column}: ${message}`);
    this.file = file;
    this.line = line;
    this.column = column;
  }
}

export interface ManifestOptions {
  /**
   * Takes documents that are no resource of the cluster (a KubeProxyConfiguration, say); true when it did. `fail` makes the error
   * for a field of it, which says where it is.
   */
  readonly other?: (object: Record<string, unknown>, fail: FieldFailure) => boolean;
}

/** For a field by its path; of a path that is not all there, for as much of it as is. */
export type FieldFailure = (path: readonly string[], message: string) => ManifestError;

const DROPPED_TAGS = ['timestamp', 'binary', 'omap', 'pairs', 'set'].map((tag) => `tag:yaml.org,2002:${tag}`);

/** The objects in file order. Throws ManifestError. */
export function parseManifests(text: string, file: string, options: ManifestOptions = {}): ManifestObject[] {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    version: '1.1',
    customTags: kubernetesTags,
    lineCounter,
    prettyErrors: false,
  });
  const out: ManifestObject[] = [];
  const place = (offset: number): { line: number; col: number } => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), col: Math.max(1, col) };
  };
  if (!Array.isArray(documents)) return out;
  for (const document of documents) {
    const [error] = document.errors;
    if (error) {
      const { line, col } = place(error.pos[0]);
      throw new ManifestError(file, line, col, error.message);
    }
    const node = document.contents as Node | null;
    if (node === null) continue;
    let value: unknown;
    try {
      value = document.toJS();
    } catch (cause) {
      const { line, col } = place(node.range?.[0] ?? 0);
      throw new ManifestError(file, line, col, cause instanceof Error ? cause.message : String(cause));
    }
    if (value === null) continue;
    collect(value, node, { file, place, options, out });
  }
  return out;
}

interface Collector {
  readonly file: string;
  readonly place: (offset: number) => { line: number; col: number };
  readonly options: ManifestOptions;
  readonly out: ManifestObject[];
}

function collect(value: unknown, node: Node | null, into: Collector): void {
  const { line, col } = into.place(node?.range?.[0] ?? 0);
  const fail = (message: string): ManifestError => new ManifestError(into.file, line, col, message);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw fail(
      `expected an object with apiVersion and kind, found ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`,
    );
  }
  const { apiVersion, kind, metadata, items } = value as Record<string, unknown>;
  if (typeof apiVersion !== 'string' || apiVersion === '') throw fail("Object 'apiVersion' is missing");
  if (typeof kind !== 'string' || kind === '') throw fail("Object 'Kind' is missing");
  if (kind.endsWith('List') && Array.isArray(items)) {
    const elements = itemsNode(node);
    // Items of a typed list may leave out what the list says.
    const implied = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) };
    items.forEach((item, i) => {
      const whole = item !== null && typeof item === 'object' && !Array.isArray(item) ? { ...implied, ...item } : item;
      collect(whole, elements[i] ?? node, into);
    });
    return;
  }
  if (kind === 'List' && (items ?? null) === null) return;
  const type = resourceOfKind(apiVersion, kind);
  if (!type) {
    const failAt: FieldFailure = (path, message) => {
      const at = into.place(offsetOf(node, path));
      return new ManifestError(into.file, at.line, at.col, message);
    };
    if (into.options.other?.(value as Record<string, unknown>, failAt)) return;
    throw fail(`no matches for kind "${kind}" in version "${apiVersion}"`);
  }
  if (metadata === null || typeof metadata !== 'object' || Array.isArray(metadata)) {
    throw fail(`${kind}: metadata is missing`);
  }
  const { name, generateName } = metadata as Record<string, unknown>;
  if (typeof name !== 'string' && typeof generateName !== 'string') {
    throw fail('resource name may not be empty');
  }
  into.out.push({ type, object: value as KubeObject, file: into.file, line });
}

/** Where the field's name stands. */
function offsetOf(node: Node | null, path: readonly string[]): number {
  let offset = node?.range?.[0] ?? 0;
  let inside: unknown = node;
  for (const name of path) {
    const pair = isMap(inside) ? inside.items.find((item) => isPair(item) && String(item.key) === name) : undefined;
    if (!pair) break;
    offset = (pair.key as Node | null)?.range?.[0] ?? offset;
    inside = pair.value;
  }
  return offset;
}

function itemsNode(node: Node | null): (Node | null)[] {
  if (!isMap(node)) return [];
  const pair = node.items.find((item) => isPair(item) && String(item.key) === 'items');
  return pair && isSeq(pair.value) ? (pair.value.items as (Node | null)[]) : [];
}

function kubernetesTags(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === 'string') return !DROPPED_TAGS.some((dropped) => dropped.endsWith(`:${tag}`));
    return !DROPPED_TAGS.includes(tag.tag) && (tag as { format?: string }).format !== 'TIME';
  });
}
