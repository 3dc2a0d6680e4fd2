// OpenAPI v3, a document for each group and version: what `kubectl apply` and `kubectl create -f` look up before they send (may the
// server check the fields?), what `kubectl explain` prints, and by what clients merge. After k8s.io/kube-openapi pkg/handler3: the
// index names each document with a hash of its content; one that is asked for by its hash never changes.
//
// Left out: OpenAPI v2 (but see http/openapi-handler.ts), documents in protobuf, and what responses other than 200 look like.
import { createHash } from 'node:crypto';
import type { ResourceType } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { Components, gvk, type Json, Packages, reference, rootOf } from './components.ts';

const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  list: ['allowWatchBookmarks', 'continue', 'fieldSelector', 'labelSelector', 'limit', 'resourceVersion', 'watch'],
  get: [],
  post: ['dryRun', 'fieldManager', 'fieldValidation'],
  put: ['dryRun', 'fieldManager', 'fieldValidation'],
  patch: ['dryRun', 'fieldManager', 'fieldValidation', 'force'],
  delete: ['dryRun', 'gracePeriodSeconds', 'orphanDependents', 'propagationPolicy'],
};

export interface OpenApiDocument {
  readonly text: string;
  /** Of the text. */
  readonly hash: string;
}

export class OpenApi {
  readonly #types: readonly ResourceType[];
  /** By root; made when first asked for. */
  #documents: ReadonlyMap<string, OpenApiDocument> | undefined;

  constructor(types: readonly ResourceType[]) {
    this.#types = types;
  }

  /** `/openapi/v3`. */
  index(): unknown {
    const paths = [...this.#all()].map(([root, { hash }]) => [
      root,
      { serverRelativeURL: `/openapi/v3/${root}?hash=${hash}` },
    ]);
    return { paths: Object.fromEntries(paths) };
  }

  /** `root`: `api/v1` or `apis/apps/v1`. undefined when nothing is served there. */
  document(root: string): OpenApiDocument | undefined {
    return this.#all().get(root);
  }

  #all(): ReadonlyMap<string, OpenApiDocument> {
    if (!this.#documents) {
      const packages = new Packages(this.#types);
      const documents = new Map<string, OpenApiDocument>();
      for (const root of new Set(this.#types.map(rootOf))) {
        const types = this.#types.filter((type) => rootOf(type) === root);
        const text = JSON.stringify(documentOf(root, types, packages));
        const hash = createHash('sha512').update(text).digest('hex').toUpperCase();
        documents.set(root, { text, hash });
      }
      this.#documents = documents;
    }
    return this.#documents;
  }
}

function documentOf(root: string, types: readonly ResourceType[], packages: Packages): Json {
  const components = new Components(packages);
  const paths: Json = {};
  for (const type of types) {
    const schema = schemaOf(type);
    if (!schema) continue;
    const { object, list } = components.addKind(type, schema);
    const base = `/${root}${type.namespaced ? '/namespaces/{namespace}' : ''}/${type.resource}`;
    const operations = (...actions: string[]): Json =>
      Object.fromEntries(
        actions.map((action) => [
          action === 'list' ? 'get' : action,
          operation(type, action === 'list' ? list : object, action),
        ]),
      );
    const place = type.namespaced ? [pathParameter('namespace')] : [];
    paths[base] = { ...operations('list', 'post'), parameters: place };
    paths[`${base}/{name}`] = {
      ...operations('get', 'put', 'patch', 'delete'),
      parameters: [pathParameter('name'), ...place],
    };
    if (type.namespaced) paths[`/${root}/${type.resource}`] = operations('list');
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'unversioned' },
    paths,
    components: { schemas: components.schemas },
  };
}

function operation(type: ResourceType, schema: string, action: string): Json {
  const body = { content: { 'application/json': { schema: reference(schema) } } };
  return {
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(type),
    parameters: ['pretty', ...PARAMETERS[action]!].map((name) => ({
      name,
      in: 'query',
      schema: { type: 'string', uniqueItems: true },
    })),
    ...(action === 'post' || action === 'put' ? { requestBody: { ...body, required: true } } : {}),
    responses: { 200: { description: 'OK', ...body } },
  };
}

function pathParameter(name: string): Json {
  return { name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } };
}
