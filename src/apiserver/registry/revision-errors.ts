// What clients are told about revisions that are gone or not there yet. Wording of k8s.io/apiserver/pkg/storage (errors.go, etcd3)
// and apimachinery's NewResourceExpired.
import { StatusError } from '../../api/status-error.ts';
import { CompactedError, FutureRevisionError } from '../storage/store.ts';
import { encodeContinue } from './continue-token.ts';

export function watchError(error: unknown): Error {
  if (error instanceof CompactedError) return expired(`too old resource version: ${error.asked} (${error.oldest})`);
  return otherError(error);
}

/** `after`: where a chunked list wanted to go on; the answer's token goes on there, in the newest state. */
export function listError(error: unknown, after: string | undefined): Error {
  if (!(error instanceof CompactedError)) return otherError(error);
  if (after === undefined) return expired('The resourceVersion for the provided list is too old.');
  const message =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  return new StatusError('Expired', 410, message, undefined, { continue: encodeContinue({ revision: -1, after }) });
}

export function tooLarge(asked: number, current: number): StatusError {
  return new StatusError('Timeout', 504, `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

function expired(message: string): StatusError {
  return new StatusError('Expired', 410, message);
}

function otherError(error: unknown): Error {
  if (error instanceof FutureRevisionError) return tooLarge(error.asked, error.current);
  return error instanceof Error ? error : new Error(String(error));
}
