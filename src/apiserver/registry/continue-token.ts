// The opaque token by which a chunked list goes on: the revision of the first chunk and the last key. Same form as
// k8s.io/apiserver/pkg/storage/continue.go, so that tools that peek into it find what they expect.
import { StatusError } from '../../api/status-error.ts';

export interface Continue {
  /** -1: the newest state will do (the list had to be restarted inconsistently). */
  readonly revision: number;
  /** Key relative to the resource's prefix. */
  readonly after: string;
}

export function encodeContinue({ revision, after }: Continue): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: `${after}\u0000` })).toString(
    'base64url',
  );
}

export function decodeContinue(token: string): Continue {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    parsed = undefined;
  }
  const { v, rv, start } = (parsed ?? {}) as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== 'meta.k8s.io/v1' || typeof rv !== 'number' || !Number.isInteger(rv) || typeof start !== 'string') {
    throw new StatusError('BadRequest', 400, 'continue key is not valid: incorrect encoded start resourceVersion');
  }
  return { revision: rv, after: start.endsWith('\u0000') ? start.slice(0, -1) : start };
}
