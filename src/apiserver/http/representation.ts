// The form in which objects are sent, by the Accept header: as they are, as rows of a Table (what kubectl get prints), or only
// their metadata. After k8s.io/apiserver/pkg/endpoints/handlers/response.go.
import type { KubeObject, List, ResourceType } from '../../api/meta.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import { columnDefinitions, type IncludeObject, tableRow } from '../printers/table.ts';

export interface Representation {
  object(object: KubeObject): unknown;
  list(list: List<KubeObject>): unknown;
  /** For watches: only the first event's Table tells the columns. */
  event(object: KubeObject, first: boolean): unknown;
  bookmark(object: KubeObject): unknown;
}

/** Objects as they are. */
export const PLAIN: Representation = {
  object: (object) => object,
  list: (list) => list,
  event: (object) => object,
  bookmark: (object) => object,
};

/** Throws StatusError 406 when the client takes nothing that we have. */
export function negotiate(
  accept: string | undefined,
  type: ResourceType,
  nowMs: () => number,
  include: string | null,
): Representation {
  for (const clause of (accept ?? '*/*').split(',')) {
    const [media = '', ...parameters] = clause.split(';').map((part) => part.trim());
    const parameter = (name: string): string | undefined =>
      parameters.find((p) => p.startsWith(`${name}=`))?.slice(name.length + 1);
    if (!/^(\*\/\*|application\/(\*|json|yaml))$/.test(media)) continue;
    const as = parameter('as');
    if (as === undefined) return PLAIN;
    if (parameter('g') !== 'meta.k8s.io' || parameter('v') !== 'v1') continue;
    if (as === 'Table') return new TableForm(type, nowMs, includeOf(include));
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return METADATA;
  }
  throw new StatusError(
    'NotAcceptable',
    406,
    'only the following media types are accepted: application/json, application/yaml',
  );
}

function includeOf(text: string | null): IncludeObject {
  if (text === null || text === '') return 'Metadata';
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text;
  throw badRequest(`unrecognized includeObject value: "${text}"`);
}

class TableForm implements Representation {
  readonly #type: ResourceType;
  readonly #nowMs: () => number;
  readonly #include: IncludeObject;

  constructor(type: ResourceType, nowMs: () => number, include: IncludeObject) {
    this.#type = type;
    this.#nowMs = nowMs;
    this.#include = include;
  }

  object(object: KubeObject): unknown {
    return this.#table({ resourceVersion: object.metadata.resourceVersion }, [object], true);
  }

  list({ metadata, items }: List<KubeObject>): unknown {
    return this.#table(metadata, items, true);
  }

  event(object: KubeObject, first: boolean): unknown {
    return this.#table({ resourceVersion: object.metadata.resourceVersion }, [object], first);
  }

  bookmark(object: KubeObject): unknown {
    return this.#table({ resourceVersion: object.metadata.resourceVersion }, [], false);
  }

  #table(metadata: object, objects: readonly KubeObject[], columns: boolean): unknown {
    const now = this.#nowMs();
    return {
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      columnDefinitions: columns ? columnDefinitions(this.#type) : null,
      rows: objects.map((object) => tableRow(this.#type, object, now, this.#include)),
    };
  }
}

function partial({ metadata }: KubeObject): unknown {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
}

const METADATA: Representation = {
  object: partial,
  list: ({ metadata, items }) => ({
    kind: 'PartialObjectMetadataList',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    items: items.map(partial),
  }),
  event: partial,
  bookmark: partial,
};
