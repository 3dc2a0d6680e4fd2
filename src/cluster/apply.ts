// Brings manifests into the cluster, as `kubectl apply` does for a start: creates what is not there, merges into what is, and
// says which in kubectl's words.

import { ManifestError, type ManifestObject } from '../api/manifest.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { isStatus, StatusError } from '../api/status-error.ts';
import type { ApiClient } from '../client/client.ts';

/** Calls `report` with a line such as `service/ent created` for each object, in order. Rejects at the first refusal, saying where. */
export async function applyManifests(
  client: ApiClient,
  manifests: readonly ManifestObject[],
  report: (line: string) => void,
): Promise<void> {
  for (const { type, object, file, line } of manifests) {
    const name = object.metadata.name ?? '';
    const what = `${type.group ? `${type.singular}.${type.group}` : type.singular}/${name}`;
    const namespace = type.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    const placed: KubeObject = { ...object, metadata: { ...object.metadata, ...(namespace ? { namespace } : {}) } };
    try {
      report(`${what} ${await applyOne(client, type, placed, namespace)}`);
    } catch (error) {
      if (error instanceof StatusError) throw new ManifestError(file, line, 1, error.message);
      throw error;
    }
  }
}

/** What became of it, in kubectl's word. */
async function applyOne(
  client: ApiClient,
  type: ResourceType,
  object: KubeObject,
  namespace: string | undefined,
): Promise<string> {
  try {
    await client.create(type, object);
    return 'created';
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error;
    const name = object.metadata.name ?? '';
    const before = await client.get(type, namespace, name);
    const after = await client.patch(type, namespace, name, 'strategic', object);
    return after.metadata.resourceVersion === before.metadata.resourceVersion ? 'unchanged' : 'configured';
  }
}
