// One request on a resource: which registry method it is, with what, and how the answer is sent. After
// k8s.io/apiserver/pkg/endpoints/handlers (get.go, create.go, update.go, patch.go, delete.go); wording as there.
// Left out so far: warnings for unknown fields (fieldValidation=Warn drops them silently).
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { PODS } from '../../api/resources.ts';
import { type StatusCause, StatusError } from '../../api/status-error.ts';
import type { DeleteOptions, PatchType, Subresource } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import type { User } from '../auth/user.ts';
import type { Registries } from '../local-client.ts';
import { evict } from '../registry/eviction.ts';
import type { ChunkedListOptions, Registry, RegistryWatchOptions, RequestOptions } from '../registry/registry.ts';
import { contentType, decodeBody, parseJson, parseYaml, readBody, unsupportedMediaType } from './body.ts';
import { negotiate } from './representation.ts';
import { isTrue, methodNotAllowed, type RequestInfo } from './request-info.ts';
import { sendObject } from './respond.ts';
import { serveWatch } from './watch-stream.ts';

export interface ResourceRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly info: RequestInfo;
  readonly user: User;
  readonly registry: Registry<KubeObject>;
}

export interface HandlerEnv {
  readonly api: Registries;
  readonly clock: Clock;
  readonly rng: Rng;
}

const PATCH_TYPES: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
};

const MAX_MANAGER = 128;
const APPLY = 'application/apply-patch+yaml';

const STORED_SUBRESOURCES: ReadonlySet<string> = new Set(['status', 'scale', 'finalize']);

/** As the real server's --min-request-timeout: a watch ends between this and twice as long, unless the client says. */
const MIN_WATCH_S = 1800;
const MAX_WATCH_S = 24 * 3600;

export async function handleResource(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, query, response, registry } = call;
  const { type } = registry;
  if (type.namespaced && !info.namespace && (info.name || info.verb === 'create' || info.verb === 'deletecollection')) {
    throw methodNotAllowed();
  }
  switch (info.verb) {
    case 'watch':
      return await watch(call, env);
    case 'list': {
      const form = formOf(call, env);
      return send(call, 200, form.list(await registry.list(listOptions(query, info))));
    }
    case 'get': {
      const form = formOf(call, env);
      const object = await registry.get(info.namespace, info.name!);
      if (info.subresource === 'scale') return send(call, 200, registry.scaleOf(object));
      if (info.subresource && !STORED_SUBRESOURCES.has(info.subresource)) throw noSuchResource();
      return send(call, 200, form.object(object));
    }
    case 'create':
      return await create(call, env);
    case 'update': {
      const object = await objectOf(call);
      const updated = await registry.update(object, storedSubresource(info), optionsOf(call));
      return send(call, 200, formOf(call, env).object(updated));
    }
    case 'patch': {
      if (contentType(call.request) === APPLY) return await apply(call, env);
      const patchType = PATCH_TYPES[contentType(call.request)];
      if (!patchType) throw unsupportedMediaType([...Object.keys(PATCH_TYPES), APPLY].join(', '));
      const patch = parseJson(await readBody(call.request));
      const sub = storedSubresource(info);
      const patched = await registry.patch(info.namespace, info.name!, patchType, patch, sub, optionsOf(call));
      return send(call, 200, formOf(call, env).object(patched));
    }
    case 'delete': {
      const { deletion, dryRun } = await deleteOptions(call);
      const options = { ...optionsOf(call), ...(dryRun ? { dryRun } : {}) };
      const { object, removed } = await registry.delete(info.namespace, info.name!, deletion, options);
      const asObject = !removed || type.resource === PODS.resource;
      return send(call, 200, asObject ? formOf(call, env).object(object) : deletedStatus(type, object));
    }
    case 'deletecollection': {
      const { deletion, dryRun } = await deleteOptions(call);
      const options = { ...optionsOf(call), ...(dryRun ? { dryRun } : {}) };
      const list = await registry.deleteCollection(listOptions(query, info), deletion, options);
      return send(call, 200, formOf(call, env).list(list));
    }
  }
  response.destroy();
}

async function apply(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, query, registry } = call;
  if (!query.get('fieldManager')) {
    const cause = {
      reason: 'FieldValueRequired',
      message: 'Required value: is required for apply patch',
      field: 'fieldManager',
    };
    throw invalidOptions('PatchOptions', cause);
  }
  const config = placed(call, parseYaml(await readBody(call.request)));
  const force = isTrue(query.get('force'));
  const sub = storedSubresource(info);
  const { object, created } = await registry.apply(info.namespace, info.name!, config, force, sub, optionsOf(call));
  return send(call, created ? 201 : 200, formOf(call, env).object(object));
}

async function create(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { info, registry } = call;
  if (info.name === undefined) {
    const created = await registry.create(await objectOf(call), optionsOf(call));
    return send(call, 201, formOf(call, env).object(created));
  }
  const isPod = registry.type.resource === PODS.resource && registry.type.group === PODS.group;
  if (isPod && info.subresource === 'binding') {
    const { target } = (await bodyOf(call)) as { target?: { name?: string } };
    const binding = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: info.name, namespace: info.namespace! },
      spec: { nodeName: target?.name },
    };
    await registry.update(binding as KubeObject, 'binding', optionsOf(call));
    return send(call, 201, success(201));
  }
  if (isPod && info.subresource === 'eviction') {
    const body = (await bodyOf(call)) as { deleteOptions?: DeleteOptions } | undefined;
    const nowMs = env.clock.unixMs();
    await evict(env.api, info.namespace!, info.name, body?.deleteOptions ?? {}, optionsOf(call), nowMs);
    return send(call, 201, success(201));
  }
  throw info.subresource ? noSuchResource() : methodNotAllowed();
}

async function watch(call: ResourceRequest, env: HandlerEnv): Promise<void> {
  const { clock, rng } = env;
  const { query, info, response, registry } = call;
  const list = listOptions(query, info);
  const sendInitial = query.get('sendInitialEvents');
  const options: RegistryWatchOptions = {
    ...selectorsOf(query, info),
    ...(list.resourceVersion !== undefined ? { resourceVersion: list.resourceVersion } : {}),
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    ...(sendInitial !== null ? { sendInitialEvents: isTrue(sendInitial) } : {}),
  };
  const asked = integer(query, 'timeoutSeconds');
  const seconds = asked ? Math.min(asked, MAX_WATCH_S) : MIN_WATCH_S * (1 + rng.float());
  await serveWatch(response, registry, options, formOf(call, env), clock, seconds);
}

function formOf({ request, registry, query }: ResourceRequest, { clock }: HandlerEnv) {
  return negotiate(request.headers.accept, registry.type, () => clock.unixMs(), query.get('includeObject'));
}

function send({ request, response }: ResourceRequest, code: number, value: unknown): void {
  sendObject(request, response, code, value);
}

function selectorsOf(query: URLSearchParams, { namespace, name }: RequestInfo): ChunkedListOptions {
  const labelSelector = query.get('labelSelector');
  const fields = [query.get('fieldSelector') ?? '', name === undefined ? '' : `metadata.name=${name}`];
  const fieldSelector = fields.filter((field) => field !== '').join(',');
  return {
    ...(namespace !== undefined ? { namespace } : {}),
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

function listOptions(query: URLSearchParams, info: RequestInfo): ChunkedListOptions {
  const limit = integer(query, 'limit');
  const token = query.get('continue');
  const resourceVersion = query.get('resourceVersion');
  const match = query.get('resourceVersionMatch');
  if (match && match !== 'Exact' && match !== 'NotOlderThan') {
    throw new StatusError('BadRequest', 400, `resourceVersionMatch: Unsupported value: ${JSON.stringify(match)}`);
  }
  return {
    ...selectorsOf(query, info),
    ...(limit ? { limit } : {}),
    ...(token ? { continue: token } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(match === 'Exact' || match === 'NotOlderThan' ? { resourceVersionMatch: match } : {}),
  };
}

/** Absent or zero: undefined. */
function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new StatusError('BadRequest', 400, `${name}: Invalid value: ${JSON.stringify(text)}: not a whole number`);
  }
  return Number(text) || undefined;
}

function optionsOf({ query, user, request }: ResourceRequest): RequestOptions {
  const dryRun = query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All')) {
    throw new StatusError(
      'BadRequest',
      400,
      `dryRun: Unsupported value: ${JSON.stringify(dryRun[0])}: supported values: "All"`,
    );
  }
  const validation = query.get('fieldValidation') ?? 'Warn';
  if (!['Ignore', 'Warn', 'Strict', ''].includes(validation)) {
    throw new StatusError(
      'BadRequest',
      400,
      `fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Warn", "Strict"`,
    );
  }
  return {
    user,
    dryRun: dryRun.length > 0,
    fieldValidation: validation === 'Strict' ? 'Strict' : 'Ignore',
    fieldManager: query.get('fieldManager') || managerOf(request.headers['user-agent'] ?? ''),
  };
}

/** Who names no manager goes by the first part of its User-Agent, as far as it can be printed. */
function managerOf(userAgent: string): string {
  return (
    userAgent
      .split('/')[0]!
      .replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '')
      .slice(0, MAX_MANAGER) || 'unknown'
  );
}

/** 422 for options in the query, worded as apimachinery's validation of them. */
function invalidOptions(kind: string, cause: StatusCause): StatusError {
  const details = { group: 'meta.k8s.io', kind, causes: [cause] };
  return new StatusError(
    'Invalid',
    422,
    `${kind}.meta.k8s.io "" is invalid: ${cause.field}: ${cause.message}`,
    details,
  );
}

async function bodyOf({ request }: ResourceRequest): Promise<unknown> {
  const body = await readBody(request);
  return body.length === 0 ? undefined : decodeBody(body, contentType(request));
}

/** The object in the body, with what the URL says about its place. */
async function objectOf(call: ResourceRequest): Promise<KubeObject> {
  return placed(call, await bodyOf(call));
}

function placed(call: ResourceRequest, body: unknown): KubeObject {
  const { info } = call;
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new StatusError('BadRequest', 400, "Object 'Kind' is missing in the body of the request");
  }
  const given = (body as Partial<KubeObject>).metadata;
  const metadata = given !== null && typeof given === 'object' && !Array.isArray(given) ? { ...given } : {};
  if (info.namespace !== undefined && call.registry.type.namespaced) {
    metadata.namespace ||= info.namespace;
    if (metadata.namespace !== info.namespace) {
      throw new StatusError(
        'BadRequest',
        400,
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    }
  }
  if (info.name !== undefined) {
    metadata.name ||= info.name;
    if (metadata.name !== info.name) {
      throw new StatusError(
        'BadRequest',
        400,
        `the name of the object (${metadata.name}) does not match the name on the URL (${info.name})`,
      );
    }
  }
  return { ...(body as KubeObject), metadata };
}

async function deleteOptions(call: ResourceRequest): Promise<{ deletion: DeleteOptions; dryRun: boolean }> {
  const body = ((await bodyOf(call)) ?? {}) as DeleteOptions & { dryRun?: string[]; orphanDependents?: boolean };
  const grace =
    integer(call.query, 'gracePeriodSeconds') ?? (call.query.get('gracePeriodSeconds') === '0' ? 0 : undefined);
  const seconds = body.gracePeriodSeconds ?? grace;
  const policy =
    body.propagationPolicy ?? call.query.get('propagationPolicy') ?? (body.orphanDependents ? 'Orphan' : '');
  if (policy !== '' && policy !== 'Orphan' && policy !== 'Background' && policy !== 'Foreground') {
    throw new StatusError('BadRequest', 400, `invalid propagationPolicy ${JSON.stringify(policy)}`);
  }
  const deletion: DeleteOptions = {
    ...(typeof seconds === 'number' ? { gracePeriodSeconds: seconds } : {}),
    ...(policy !== '' ? { propagationPolicy: policy } : {}),
    ...(body.preconditions ? { preconditions: body.preconditions } : {}),
  };
  return { deletion, dryRun: (body.dryRun?.length ?? 0) > 0 };
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
