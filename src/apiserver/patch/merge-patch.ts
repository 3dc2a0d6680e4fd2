// RFC 7396, JSON Merge Patch.
import { isMap } from '../../lib/tree.ts';

/** Writes `patch` into `target`, a private copy, and returns the result. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const out = isMap(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (key === '__proto__') continue;
    if (value === null) delete out[key];
    else out[key] = applyMergePatch(Object.hasOwn(out, key) ? out[key] : undefined, value);
  }
  return out;
}
