// What goes over a message port between a PortClient (in a Node's thread) and servePort (beside the API server). Objects travel as
// JSON text: cheaper than structured clones of many small objects, and the same bytes for every Node.
import type { ResourceType } from '../api/meta.ts';
import { type StatusDetails, StatusError, type StatusReason } from '../api/status-error.ts';
import type { WatchOptions } from './client.ts';

export type Method = 'get' | 'list' | 'create' | 'update' | 'patch' | 'delete' | 'createToken';

export type ToServer =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: Method;
      readonly type: ResourceType;
      readonly args: string;
    }
  | { readonly kind: 'watch'; readonly id: number; readonly type: ResourceType; readonly options: WatchOptions }
  /** A batch of events has been taken in: one more may be sent. */
  | { readonly kind: 'ack'; readonly id: number }
  | { readonly kind: 'unwatch'; readonly id: number };

export type ToClient =
  | { readonly kind: 'result'; readonly id: number; readonly value: string }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'events'; readonly id: number; readonly events: string }
  | { readonly kind: 'end'; readonly id: number; readonly error?: WireError };

/** A StatusError, or any other error under reason `InternalError`. */
export interface WireError {
  readonly reason: StatusReason;
  readonly code: number;
  readonly message: string;
  readonly details?: StatusDetails;
}

export function toWire(error: unknown): WireError {
  if (error instanceof StatusError) {
    const { reason, code, message, details } = error;
    return details === undefined ? { reason, code, message } : { reason, code, message, details };
  }
  return { reason: 'InternalError', code: 500, message: error instanceof Error ? error.message : String(error) };
}

export function fromWire({ reason, code, message, details }: WireError): StatusError {
  return new StatusError(reason, code, message, details);
}
