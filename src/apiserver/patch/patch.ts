// The three patch types of PATCH, applied to a copy. Server-side apply is no patch in this sense: see apiserver/apply.
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { badRequest } from '../../api/status-error.ts';
import type { PatchType } from '../../client/client.ts';
import { clone } from '../../lib/tree.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicPatch } from './strategic-patch.ts';

/** A new object; `target` stays as it is. Throws StatusError for a patch that makes no sense. */
export function applyPatch(type: ResourceType, patchType: PatchType, target: KubeObject, patch: unknown): KubeObject {
  if (patchType === 'json') return object(applyJsonPatch(clone(target), patch));
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) {
    throw badRequest('error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}');
  }
  if (patchType === 'merge') return object(applyMergePatch(clone(target), patch));
  return object(applyStrategicPatch(type, clone(target), patch as Record<string, unknown>));
}

function object(value: unknown): KubeObject {
  if (value !== null && typeof value === 'object' && !Array.isArray(value) && 'metadata' in value)
    return value as KubeObject;
  throw badRequest('the patched object has no metadata');
}
