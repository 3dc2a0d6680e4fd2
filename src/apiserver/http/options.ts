// What a request asks for beside its object, in the query and in the body of a DELETE: checked as the real server checks
// CreateOptions, UpdateOptions, PatchOptions, DeleteOptions and ListOptions (apimachinery apis/meta/v1/validation and
// apis/meta/internalversion/validation; values are read as conversion/queryparams reads them).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FieldErrors } from '../../api/field-errors.ts';
import { DecodeError, decode } from '../../api/schema/decode.ts';
import { DELETE_OPTIONS } from '../../api/schema/subresources.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import type { DeleteOptions } from '../../client/client.ts';
import type { User } from '../auth/user.ts';
import type { FieldValidation } from '../registry/decode.ts';
import type { ChunkedListOptions, RegistryWatchOptions } from '../registry/reading.ts';
import type { RequestOptions } from '../registry/registry.ts';
import { contentType } from './body.ts';
import { isTrue, type RequestInfo } from './request-info.ts';
import { addWarning } from './respond.ts';

export const APPLY = 'application/apply-patch+yaml';

const MAX_MANAGER_BYTES = 128;
const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

const KINDS: Readonly<Partial<Record<RequestInfo['verb'], string>>> = {
  create: 'CreateOptions',
  update: 'UpdateOptions',
  patch: 'PatchOptions',
};

export interface Writing {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly info: RequestInfo;
  readonly user: User;
}

/** Of every verb that changes something. Throws StatusError 422. */
export function writeOptions({ query, user, request, response, info }: Writing): RequestOptions {
  const errors = new FieldErrors();
  const dryRun = query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All')) errors.notSupported('dryRun', dryRun, ['All']);
  const validation = query.get('fieldValidation') ?? '';
  if (!['', 'Ignore', 'Strict', 'Warn'].includes(validation)) {
    errors.notSupported('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn']);
  }
  const manager = query.get('fieldManager') ?? '';
  if (Buffer.byteLength(manager) > MAX_MANAGER_BYTES) errors.tooLong('fieldManager', MAX_MANAGER_BYTES);
  if (manager.search(UNPRINTABLE) >= 0) {
    errors.invalid('fieldManager', manager, 'should only contain printable characters');
  }
  if (info.verb === 'patch') {
    const applies = contentType(request) === APPLY;
    if (applies && manager === '') errors.required('fieldManager', 'is required for apply patch');
    if (!applies && query.has('force')) errors.forbidden('force', 'may not be specified for non-apply patch');
  }
  check(KINDS[info.verb] ?? 'DeleteOptions', errors);
  return {
    user,
    dryRun: dryRun.length > 0,
    fieldValidation: (validation || 'Warn') as FieldValidation,
    warn: (text) => addWarning(response, text),
    fieldManager: manager || managerOf(request.headers['user-agent'] ?? ''),
  };
}

/** Who names no manager goes by the first part of its User-Agent, as far as it can be printed. */
function managerOf(userAgent: string): string {
  const name = userAgent.split('/')[0]!.replace(UNPRINTABLE, '');
  return Buffer.from(name).subarray(0, MAX_MANAGER_BYTES).toString() || 'unknown';
}

/** What the body says counts more than the query. Throws StatusError. */
export function deleteOptions(query: URLSearchParams, body: unknown): { deletion: DeleteOptions; dryRun: boolean } {
  const given = decoded(body ?? {});
  const errors = new FieldErrors();
  const grace = query.get('gracePeriodSeconds');
  const seconds = given.gracePeriodSeconds ?? (grace ? whole(grace) : undefined);
  const policy = given.propagationPolicy ?? query.get('propagationPolicy') ?? '';
  const orphan =
    given.orphanDependents ?? (query.has('orphanDependents') ? isTrue(query.get('orphanDependents')) : null);
  if (orphan !== null && policy !== '') {
    errors.invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set');
  }
  const policies = ['Background', 'Foreground', 'Orphan'];
  if (policy !== '' && !policies.includes(policy)) {
    errors.notSupported('propagationPolicy', policy, ['Foreground', 'Background', 'Orphan', 'nil']);
  }
  const dryRun = given.dryRun ?? [];
  if (dryRun.some((value) => value !== 'All')) errors.notSupported('dryRun', dryRun, ['All']);
  check('DeleteOptions', errors);
  const propagationPolicy = (policy || (orphan ? 'Orphan' : '')) as
    | NonNullable<DeleteOptions['propagationPolicy']>
    | '';
  const deletion: DeleteOptions = {
    // Less than none is one second: rest.BeforeDelete.
    ...(seconds === undefined ? {} : { gracePeriodSeconds: seconds < 0 ? 1 : seconds }),
    ...(propagationPolicy !== '' ? { propagationPolicy } : {}),
    ...(given.preconditions ? { preconditions: given.preconditions } : {}),
  };
  return { deletion, dryRun: dryRun.length > 0 };
}

type GivenOptions = DeleteOptions & { dryRun?: string[]; orphanDependents?: boolean };

function decoded(body: unknown): GivenOptions {
  try {
    return decode(DELETE_OPTIONS, body, false).value;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const what = 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions';
    throw badRequest(`${what}: ${error.message}`);
  }
}

/** Throws StatusError 400 or 422: what does not go together, a selector that cannot be read. */
export function listOptions(query: URLSearchParams, info: RequestInfo): ChunkedListOptions {
  const errors = new FieldErrors();
  const limit = integer(query, 'limit');
  const token = query.get('continue');
  const resourceVersion = query.get('resourceVersion');
  const match = query.get('resourceVersionMatch');
  if (match) {
    const field = 'resourceVersionMatch';
    if (!resourceVersion) errors.forbidden(field, `${field} is forbidden unless resourceVersion is provided`);
    if (token) errors.forbidden(field, `${field} is forbidden when continue is provided`);
    if (match !== 'Exact' && match !== 'NotOlderThan') errors.notSupported(field, match, ['Exact', 'NotOlderThan', '']);
    if (match === 'Exact' && resourceVersion === '0') {
      errors.forbidden(field, `${field} "exact" is forbidden for resourceVersion "0"`);
    }
  }
  if (query.has('sendInitialEvents')) errors.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list');
  check('ListOptions', errors);
  return {
    ...selectors(query, info),
    ...(limit ? { limit } : {}),
    ...(token ? { continue: token } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(match === 'Exact' || match === 'NotOlderThan' ? { resourceVersionMatch: match } : {}),
  };
}

/** As listOptions. */
export function watchOptions(query: URLSearchParams, info: RequestInfo): RegistryWatchOptions {
  const errors = new FieldErrors();
  const resourceVersion = query.get('resourceVersion');
  const match = query.get('resourceVersionMatch') ?? '';
  const initial = query.has('sendInitialEvents');
  const field = 'resourceVersionMatch';
  if (initial && match !== 'NotOlderThan') {
    errors.forbidden(field, `sendInitialEvents requires setting ${field} to NotOlderThan`);
  }
  if (match !== '') {
    if (!initial) errors.forbidden(field, `${field} is forbidden for watch unless sendInitialEvents is provided`);
    if (match !== 'NotOlderThan') errors.notSupported(field, match, ['NotOlderThan']);
    if (query.get('continue')) errors.forbidden(field, `${field} is forbidden when continue is provided`);
  }
  check('ListOptions', errors);
  return {
    ...selectors(query, info),
    ...(resourceVersion ? { resourceVersion } : {}),
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    ...(initial ? { sendInitialEvents: isTrue(query.get('sendInitialEvents')) } : {}),
  };
}

function selectors(query: URLSearchParams, { namespace, name }: RequestInfo): ChunkedListOptions {
  const labelSelector = query.get('labelSelector');
  const fields = [query.get('fieldSelector') ?? '', name === undefined ? '' : `metadata.name=${name}`];
  const fieldSelector = fields.filter((part) => part !== '').join(',');
  return {
    ...(namespace !== undefined ? { namespace } : {}),
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

/** Absent, zero or less: undefined. */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = whole(text);
  return value > 0 ? value : undefined;
}

function whole(text: string): number {
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Throws StatusError 422 when there are errors. */
function check(kind: string, { empty, causes }: FieldErrors): void {
  if (empty) return;
  const lines = causes.map(({ field, message }) => `${field}: ${message}`);
  const why = lines.length === 1 ? lines[0]! : `[${lines.join(', ')}]`;
  const details = { group: 'meta.k8s.io', kind, causes };
  throw new StatusError('Invalid', 422, `${kind}.meta.k8s.io "" is invalid: ${why}`, details);
}
