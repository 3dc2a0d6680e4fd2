// What clients are told about revisions that are gone or not there yet. Wording of k8s.io/apiserver/pkg/storage (errors.go, etcd3)
// and apimachinery's NewResourceExpired.
import { StatusError } from '../../api/status-error.ts';
import { CompactedError, FutureRevisionError } from '../storage/store.ts';

export function watchError(error: unknown): Error {
  if (error instanceof CompactedError) return expired(`too old resource version: ${error.asked} (${error.oldest})`);
  return otherError(error);
}

export function listError(error: unknown, continued: boolean): Error {
  if (!(error instanceof CompactedError)) return otherError(error);
  if (!continued) return expired('The resourceVersion for the provided list is too old.');
  return expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
  );
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
