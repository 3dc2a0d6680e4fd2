// The opaque token by which a chunked list goes on: the revision of the first chunk and the last key. Same form as
// k8s.io/apiserver/pkg/storage/continue.go, so that tools that peek into it find what they expect.
import { badRequest, type StatusError } from '../../api/status-error.ts';

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

/** Throws StatusError 400, worded as there. */
export function decodeContinue(token: string): Continue {
  const invalid = (why: string): StatusError => badRequest(`invalid continue token: continue key is not valid${why}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    throw invalid(': illegal base64 data or JSON');
  }
  const { v, rv, start } = (parsed ?? {}) as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== 'meta.k8s.io/v1') throw invalid(`: server does not recognize this encoded version ${String(v ?? '')}`);
  if (typeof rv !== 'number' || !Number.isInteger(rv) || rv === 0) {
    throw invalid(': incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  }
  if (typeof start !== 'string' || start === '') throw invalid(': encoded start key empty (version meta.k8s.io/v1)');
  return { revision: rv, after: start.endsWith('\u0000') ? start.slice(0, -1) : start };
}
