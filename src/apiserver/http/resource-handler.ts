// One request on a resource: which registry method it is, with what, and how the answer is sent. After
// k8s.io/apiserver/pkg/endpoints/handlers (get.go, create.go, update.go, patch.go, delete.go); wording as there.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { ENDPOINTS, JOBS, PODS } from '../../api/resources.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import { BINDINGS, EVICTIONS, SCALES } from '../../api/subresources.ts';
import type { DeleteOptions, PatchType, Subresource } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Series } from '../../lib/metrics.ts';
import type { Rng } from '../../lib/rng.ts';
import type { User } from '../auth/user.ts';
import type { Registries } from '../local-client.ts';
import { decodeObject } from '../registry/decode.ts';
import { evict } from '../registry/eviction.ts';
import type { Registry, RequestOptions } from '../registry/registry.ts';
import {
  contentType,
  type Decoded,
  decodeApply,
  decodeBody,
  decodePatch,
  readBody,
  unsupportedMediaType,
} from './body.ts';
import type { EncodedObjects } from './encoded-objects.ts';
import { APPLY, deleteOptions, integer, listOptions, watchOptions, writeOptions } from './options.ts';
import { negotiate, PLAIN } from './representation.ts';
import { isTrue, methodNotAllowed, type RequestInfo } from './request-info.ts';
import { addWarning, sendBytes, sendObject, takesStored } from './respond.ts';
import { serveWatch } from './watch-stream.ts';

export interface ResourceRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly info: RequestInfo;
  readonly user: User;
  /** Rejects with StatusError 403: an update that creates is a creation. */
  readonly mayCreate: () => Promise<void>;
  readonly registry: Registry<KubeObject>;
}

export interface HandlerEnv {
  readonly api: Registries;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly encoded: EncodedObjects;
  /** Counts what is sent in watches of a resource. */
  readonly watchEvents: (type: ResourceType) => Series;
}

const PATCH_TYPES: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
};

/** A DELETE answers with the object as it was last; other kinds answer with a Status. */
const RETURNED: ReadonlySet<string> = new Set(['pods', 'services', 'serviceaccounts', 'resourcequotas']);

const ORPHANED_PODS =
  'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning';

/** kubernetes 1.35, pkg/apis/core/v1/zz_generated.prerelease-lifecycle.go: said to every request, a watch too. */
const ENDPOINTS_DEPRECATED = 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice';

const STORED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'status',
  'scale',
  'finalize',
  'ephemeralcontainers',
  'approval',
]);

const NEWLINE = Buffer.from('\n');

/** As the real server's --min-request-timeout: a watch ends between this and twice as long, unless the client says. */
const MIN_WATCH_S = 1800;
const MAX_WATCH_S = 24 * 3600;

/** Answers one request about a resource, a watch until it ends. Rejects with StatusError, as long as nothing has been sent. */
export async function handleResource(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, query, response, registry } = call;
  const { type } = registry;
  if (type.group === ENDPOINTS.group && type.resource === ENDPOINTS.resource)
    addWarning(response, ENDPOINTS_DEPRECATED);
  if (type.namespaced && !info.namespace && (info.name || info.verb === 'create' || info.verb === 'deletecollection')) {
    throw methodNotAllowed();
  }
  if (info.name === undefined && (info.verb === 'update' || info.verb === 'patch')) throw methodNotAllowed();
  if (info.subresource !== undefined && info.verb === 'delete') throw methodNotAllowed();
  switch (info.verb) {
    case 'watch':
      return await watch(call, env);
    case 'list': {
      const form = formOf(call, env);
      const list = await registry.list(listOptions(query, info));
      if (form === PLAIN && takesStored(call.request)) {
        return sendBytes(response, 200, env.encoded.list(list), 'application/json');
      }
      return send(call, 200, form.list(list));
    }
    case 'get': {
      const object = await registry.get(info.namespace, info.name!);
      if (info.subresource === 'scale') return send(call, 200, formOf(call, env).object(registry.scaleOf(object)));
      if (info.subresource && !STORED_SUBRESOURCES.has(info.subresource)) throw noSuchResource();
      return sendStored(call, env, 200, object);
    }
    case 'create':
      return await create(call, env);
    case 'update': {
      const sub = storedSubresource(info);
      const { object, options } = await objectOf(call);
      let created = false;
      const mayCreate = (): Promise<void> => {
        created = true;
        return call.mayCreate();
      };
      const updated = await registry.update(object, sub, { ...options, mayCreate });
      return sendStored(call, env, created ? 201 : 200, updated);
    }
    case 'patch': {
      if (contentType(call.request) === APPLY) return await apply(call, env);
      const patchType = PATCH_TYPES[contentType(call.request)];
      if (!patchType) throw unsupportedMediaType([...Object.keys(PATCH_TYPES), APPLY].join(', '));
      const sub = storedSubresource(info);
      const options = writeOptions(call);
      const { value, strictErrors } = decodePatch(await readBody(call.request));
      const prefixed = patchType === 'json' ? strictErrors.map((error) => `json patch ${error}`) : strictErrors;
      const patched = await registry.patch(info.namespace, info.name!, patchType, value, sub, {
        ...options,
        strictErrors: prefixed,
      });
      return sendStored(call, env, 200, patched);
    }
    case 'delete': {
      const { deletion, options } = await deletionOf(call);
      const { object, removed } = await registry.delete(info.namespace, info.name!, deletion, options);
      const code = !removed && deletion.propagationPolicy === 'Foreground' ? 202 : 200;
      const asObject = !removed || RETURNED.has(type.resource);
      return asObject ? sendStored(call, env, code, object) : send(call, 200, deletedStatus(type, object));
    }
    case 'deletecollection': {
      const { deletion, options } = await deletionOf(call);
      const list = await registry.deleteCollection(listOptions(query, info), deletion, options);
      return send(call, 200, formOf(call, env).list(list));
    }
  }
}

async function apply(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, query, registry } = call;
  const sub = storedSubresource(info);
  const options = writeOptions(call);
  const { value, strictErrors } = decodeApply(await readBody(call.request));
  const config = placed(call, value);
  const force = isTrue(query.get('force'));
  const { object, created } = await registry.apply(info.namespace, info.name!, config, force, sub, {
    ...options,
    strictErrors,
    mayCreate: call.mayCreate,
  });
  return sendStored(call, env, created ? 201 : 200, object);
}

async function create(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, registry } = call;
  if (info.name === undefined) {
    const { object, options } = await objectOf(call);
    const created = await registry.create(object, options);
    return sendStored(call, env, 201, created);
  }
  const isPod = registry.type.resource === PODS.resource && registry.type.group === PODS.group;
  if (isPod && info.subresource === 'binding') {
    const { target } = decodeObject(BINDINGS, (await bodyOf(call, BINDINGS)).value ?? {}, {});
    const binding = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: info.name, namespace: info.namespace! },
      spec: { nodeName: target?.name },
    };
    await registry.update(binding as KubeObject, 'binding', writeOptions(call));
    return send(call, 201, success(201));
  }
  if (isPod && info.subresource === 'eviction') {
    const eviction = decodeObject(EVICTIONS, (await bodyOf(call, EVICTIONS)).value ?? {}, {});
    const { name = info.name } = eviction.metadata;
    if (name !== info.name) {
      throw badRequest('name in URL does not match name in Eviction object');
    }
    const { deletion, dryRun: asked } = deleteOptions(new URLSearchParams(), eviction.deleteOptions);
    const options = writeOptions(call);
    const dryRun = options.dryRun || asked;
    await evict(env.api, info.namespace!, info.name, deletion, { ...options, dryRun }, env.clock.unixMs());
    return send(call, 201, success(201));
  }
  throw info.subresource ? noSuchResource() : methodNotAllowed();
}

async function watch(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { rng } = env;
  const { query, info, response, registry } = call;
  const options = watchOptions(query, info);
  const asked = integer(query, 'timeoutSeconds');
  const seconds = asked ? Math.min(asked, MAX_WATCH_S) : MIN_WATCH_S * (1 + rng.float());
  await serveWatch(
    response,
    registry,
    options,
    formOf(call, env),
    { ...env, sent: env.watchEvents(registry.type) },
    seconds,
  );
}

function formOf({ request, registry, query, info }: ResourceRequest, { clock }: HandlerEnv) {
  const type = info.subresource === 'scale' ? SCALES : registry.type;
  return negotiate(request.headers.accept, type, () => clock.unixMs(), query.get('includeObject'));
}

/** An object of the store, in the form that the client takes. */
function sendStored(call: ResourceRequest, env: HandlerEnv, code: number, object: KubeObject): void {
  const form = formOf(call, env);
  if (form === PLAIN && takesStored(call.request)) {
    sendBytes(call.response, code, Buffer.concat([env.encoded.json(object), NEWLINE]), 'application/json');
  } else send(call, code, form.object(object));
}

function send({ request, response }: ResourceRequest, code: number, value: unknown): void {
  sendObject(request, response, code, value);
}

/** Without a body, `value` is undefined. */
async function bodyOf({ request }: ResourceRequest, { kind }: { readonly kind: string }): Promise<Decoded> {
  const body = await readBody(request);
  if (body.length === 0) return { value: undefined, strictErrors: [] };
  return decodeBody(body, contentType(request), kind);
}

/** The object in the body, with what the URL says about its place. */
async function objectOf(call: ResourceRequest): Promise<{ object: KubeObject; options: RequestOptions }> {
  const options = writeOptions(call);
  const { kind } = call.registry.type;
  const { value, strictErrors } = decodeBody(await readBody(call.request), contentType(call.request), kind);
  return { object: placed(call, value), options: { ...options, strictErrors } };
}

function placed(call: ResourceRequest, body: unknown): KubeObject {
  const { info } = call;
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw badRequest("Object 'Kind' is missing in the body of the request");
  }
  const given: unknown = (body as Partial<KubeObject>).metadata ?? {};
  // What has not the shape of metadata is for the decoder to refuse.
  if (typeof given !== 'object' || Array.isArray(given)) return body as KubeObject;
  const metadata: KubeObject['metadata'] = { ...given };
  if (info.namespace !== undefined && call.registry.type.namespaced) {
    metadata.namespace ||= info.namespace;
    if (metadata.namespace !== info.namespace) {
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
  }
  if (info.name !== undefined) {
    metadata.name ||= info.name;
    if (metadata.name !== info.name) {
      throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${info.name})`);
    }
  }
  return { ...(body as KubeObject), metadata };
}

async function deletionOf(call: ResourceRequest): Promise<{ deletion: DeleteOptions; options: RequestOptions }> {
  const { value } = await bodyOf(call, { kind: 'DeleteOptions' });
  const { deletion, dryRun } = deleteOptions(call.query, value);
  const options = writeOptions(call);
  const { resource, group } = call.registry.type;
  if (group === JOBS.group && resource === JOBS.resource && deletion.propagationPolicy === undefined) {
    // As in batch/v1, for the sake of clients from before there was garbage collection.
    deletion.propagationPolicy = 'Orphan';
    addWarning(call.response, ORPHANED_PODS);
  }
  return { deletion, options: dryRun ? { ...options, dryRun } : options };
}

function storedSubresource({ subresource }: RequestInfo): Subresource | undefined {
  if (subresource === undefined) return undefined;
  if (STORED_SUBRESOURCES.has(subresource)) return subresource as Subresource;
  throw noSuchResource();
}

export function noSuchResource(): StatusError {
  // The empty details matter: kubectl looks into them without asking whether they are there.
  return new StatusError('NotFound', 404, 'the server could not find the requested resource', {});
}

function success(code: number): unknown {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code };
}

function deletedStatus(type: ResourceType, { metadata }: Stored): unknown {
  const details = {
    name: metadata.name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
    uid: metadata.uid,
  };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}
