// metav1.Status as an exception: what the API server answers when a request fails. Reasons and codes as in
// k8s.io/apimachinery/pkg/api/errors; scripts match on the messages, so they are worded as the real server words them.
import type { ResourceType } from './meta.ts';

/** '': Kubernetes' Unknown. */
export type StatusReason =
  | ''
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Invalid'
  | 'BadRequest'
  | 'Forbidden'
  | 'Unauthorized'
  | 'Expired'
  | 'Gone'
  | 'MethodNotAllowed'
  | 'UnsupportedMediaType'
  | 'NotAcceptable'
  | 'RequestEntityTooLarge'
  | 'TooManyRequests'
  | 'Timeout'
  | 'InternalError'
  | 'ServiceUnavailable';

export interface StatusCause {
  reason?: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export class StatusError extends Error {
  readonly reason: StatusReason;
  readonly code: number;
  readonly details: StatusDetails | undefined;
  /** metav1.ListMeta: a list that cannot go on as it was may name where it can. */
  readonly metadata: { readonly continue?: string };

  constructor(
    reason: StatusReason,
    code: number,
    message: string,
    details?: StatusDetails,
    metadata: { readonly continue?: string } = {},
  ) {
    super(message);
    this.name = 'StatusError';
    this.reason = reason;
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }

  /** The metav1.Status object. */
  toStatus(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.metadata,
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

export function isStatus(error: unknown, reason: StatusReason): boolean {
  return error instanceof StatusError && error.reason === reason;
}

function qualified(type: ResourceType): string {
  return type.group === '' ? type.resource : `${type.resource}.${type.group}`;
}

export function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', 400, message);
}

export function notFound(type: ResourceType, name: string): StatusError {
  return new StatusError('NotFound', 404, `${qualified(type)} "${name}" not found`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
  });
}

export function alreadyExists(type: ResourceType, name: string): StatusError {
  return new StatusError('AlreadyExists', 409, `${qualified(type)} "${name}" already exists`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
  });
}

export function conflict(type: ResourceType, name: string, why: string): StatusError {
  return new StatusError('Conflict', 409, `Operation cannot be fulfilled on ${qualified(type)} "${name}": ${why}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
  });
}

/** 422 for an object that fails validation; one cause per offending field. */
export function invalid(type: ResourceType, name: string, causes: StatusCause[]): StatusError {
  const kind = type.group === '' ? type.kind : `${type.kind}.${type.group}`;
  const lines = causes.map((c) => `${c.field}: ${c.message}`);
  const text = lines.length === 1 ? lines[0]! : `[${lines.join(', ')}]`;
  return new StatusError('Invalid', 422, `${kind} "${name}" is invalid: ${text}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.kind,
    causes,
  });
}
