// The files of a Pod's volumes, as path to text. ConfigMaps and Secrets are read from the API; emptyDir needs nothing (a Pod's
// own layer is writable). Other kinds are refused by name. Deviation: whole files, no modes, no symbolic links; text only.
import type { Pod, Volume } from '../../api/core-v1.ts';
import { CONFIGMAPS, SECRETS } from '../../api/resources.ts';
import type { ApiClient } from '../../client/client.ts';

export class VolumeError extends Error {}

/** Every file that the Pod's containers mount. Throws VolumeError, or the API's error for an object that is not there. */
export async function volumeFiles(pod: Pod, client: ApiClient): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) {
    const contents = await read(pod.metadata.namespace!, volume, client);
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      for (const mount of container.volumeMounts ?? []) {
        if (mount.name !== volume.name) continue;
        for (const [name, text] of contents) {
          if (mount.subPath === undefined) files.set(`${mount.mountPath.replace(/\/$/, '')}/${name}`, text);
          else if (mount.subPath === name) files.set(mount.mountPath, text);
        }
      }
    }
  }
  return files;
}

/** Names of the ConfigMaps that the Pod mounts: a change of one is a change of the Pod's files. */
export function mountedConfigMaps(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap((v) => (v.configMap?.name ? [v.configMap.name] : []));
}

async function read(namespace: string, volume: Volume, client: ApiClient): Promise<Map<string, string>> {
  if (volume.emptyDir) return new Map();
  if (volume.configMap) {
    const { name = '', items, optional = false } = volume.configMap;
    const map = await client.get(CONFIGMAPS, namespace, name).catch((error: unknown) => {
      if (optional) return undefined;
      throw error;
    });
    return select(map?.data ?? {}, items);
  }
  if (volume.secret) {
    const { secretName = '', optional = false } = volume.secret;
    const secret = await client.get(SECRETS, namespace, secretName).catch((error: unknown) => {
      if (optional) return undefined;
      throw error;
    });
    const decoded = Object.entries(secret?.data ?? {}).map(
      ([k, v]) => [k, Buffer.from(v, 'base64').toString()] as const,
    );
    return select(Object.fromEntries(decoded), undefined);
  }
  const kind = Object.keys(volume).find((k) => k !== 'name') ?? 'unknown';
  throw new VolumeError(
    `volume "${volume.name}": ${kind} volumes are not supported (configMap, secret and emptyDir are)`,
  );
}

function select(data: Record<string, string>, items: { key: string; path: string }[] | undefined): Map<string, string> {
  if (!items) return new Map(Object.entries(data));
  return new Map(
    items.map(({ key, path }) => {
      const text = data[key];
      if (text === undefined) throw new VolumeError(`references non-existent config key: ${key}`);
      return [path, text];
    }),
  );
}
