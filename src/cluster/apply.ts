// Brings manifests into the cluster, as `kubectl apply` does for a start: creates what is not there, merges into what is, and
// says which in kubectl's words.

import type { ManifestObject } from '../api/manifest.ts';
import type { KubeObject } from '../api/meta.ts';
import { isStatus } from '../api/status-error.ts';
import type { ApiClient } from '../client/client.ts';

/** Calls `report` with a line such as `service/ent created` for each object, in order. Rejects at the first refusal. */
export async function applyManifests(
  client: ApiClient,
  manifests: readonly ManifestObject[],
  report: (line: string) => void,
): Promise<void> {
  for (const { type, object } of manifests) {
    const name = object.metadata.name ?? '';
    const what = `${type.group ? `${type.singular}.${type.group}` : type.singular}/${name}`;
    const namespace = type.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    const placed: KubeObject = { ...object, metadata: { ...object.metadata, ...(namespace ? { namespace } : {}) } };
    try {
      await client.create(type, placed);
      report(`${what} created`);
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error;
      const before = await client.get(type, namespace, name);
      const after = await client.patch(type, namespace, name, 'strategic', placed);
      report(
        `${what} ${after.metadata.resourceVersion === before.metadata.resourceVersion ? 'unchanged' : 'configured'}`,
      );
    }
  }
}
