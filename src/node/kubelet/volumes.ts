// The files of a Pod's volumes, as path to text. ConfigMaps and Secrets are read from the API, service account tokens are asked
// for there; emptyDir needs nothing (a Pod's own layer is writable). Other kinds are refused by name. After pkg/volume.
// Deviation: whole files, no modes, no symbolic links; text only.
import type { KeyToPath, Pod, Volume, VolumeProjection } from '../../api/core-v1.ts';
import { CONFIGMAPS, PODS, SECRETS } from '../../api/resources.ts';
import { isStatus, StatusError } from '../../api/status-error.ts';
import type { ApiClient } from '../../client/client.ts';

export class VolumeError extends Error {
  /** The Pod itself is no more: deleted without grace, and its worker has not heard yet. */
  get podIsGone(): boolean {
    const { cause } = this;
    if (cause instanceof VolumeError) return cause.podIsGone;
    return cause instanceof StatusError && cause.reason === 'NotFound' && cause.details?.kind === PODS.resource;
  }
}

export interface VolumeFiles {
  readonly files: Map<string, string>;
  /** When the first token among them ends. */
  readonly tokensEndMs: number | undefined;
}

/** Every file that the Pod's containers mount. Throws VolumeError, worded as the kubelet's event. */
export async function volumeFiles(pod: Pod, client: ApiClient): Promise<VolumeFiles> {
  const reader = new VolumeReader(pod, client);
  const files = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) {
    const contents = await reader.read(volume).catch((error: unknown) => {
      throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${(error as Error).message}`, {
        cause: error,
      });
    });
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
  return { files, tokensEndMs: reader.tokensEndMs };
}

/** Names of the ConfigMaps that the Pod mounts: a change of one is a change of the Pod's files. */
export function mountedConfigMaps(pod: Pod): string[] {
  return (pod.spec.volumes ?? [])
    .flatMap((volume) => [volume.configMap, ...(volume.projected?.sources ?? []).map(({ configMap }) => configMap)])
    .flatMap((configMap) => configMap?.name ?? []);
}

class VolumeReader {
  tokensEndMs: number | undefined;
  readonly #pod: Pod;
  readonly #client: ApiClient;

  constructor(pod: Pod, client: ApiClient) {
    this.#pod = pod;
    this.#client = client;
  }

  async read(volume: Volume): Promise<Map<string, string>> {
    const { configMap, secret, emptyDir, projected, downwardAPI } = volume;
    if (emptyDir) return new Map();
    if (configMap) return await this.#project({ configMap });
    if (secret) return await this.#project({ secret: { ...secret, name: secret.secretName ?? '' } });
    if (downwardAPI) return await this.#project({ downwardAPI });
    if (projected) {
      const parts: [string, string][] = [];
      for (const source of projected.sources ?? []) parts.push(...(await this.#project(source)));
      return new Map(parts);
    }
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
    throw new VolumeError(
      `${kind} volumes are not supported (configMap, secret, projected, downwardAPI and emptyDir are)`,
    );
  }

  async #project(source: VolumeProjection): Promise<Map<string, string>> {
    const { configMap, secret, serviceAccountToken, downwardAPI } = source;
    const namespace = this.#pod.metadata.namespace!;
    if (configMap) {
      const { name = '', items, optional } = configMap;
      const found = await orNothing(this.#client.get(CONFIGMAPS, namespace, name), optional, `configmap "${name}"`);
      return select(found?.data ?? {}, items, optional);
    }
    if (secret) {
      const { name = '', items, optional } = secret;
      const found = await orNothing(this.#client.get(SECRETS, namespace, name), optional, `secret "${name}"`);
      const texts = Object.entries(found?.data ?? {}).map(([k, v]) => [k, Buffer.from(v, 'base64').toString()]);
      return select(Object.fromEntries(texts) as Record<string, string>, items, optional);
    }
    if (serviceAccountToken) return new Map([[serviceAccountToken.path, await this.#token(serviceAccountToken)]]);
    if (downwardAPI) {
      return new Map(
        (downwardAPI.items ?? []).map(({ path, fieldRef }) => [path, fieldOf(this.#pod, fieldRef?.fieldPath ?? '')]),
      );
    }
    throw new VolumeError(`projected source ${Object.keys(source)[0] ?? ''} is not supported`);
  }

  async #token({
    audience,
    expirationSeconds = 3600,
  }: {
    audience?: string;
    expirationSeconds?: number;
  }): Promise<string> {
    const { name = '', namespace = '', uid = '' } = this.#pod.metadata;
    const { status } = await this.#client
      .createToken(namespace, this.#pod.spec.serviceAccountName ?? 'default', {
        audiences: audience ? [audience] : [],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      })
      .catch((error: unknown) => {
        throw new VolumeError(`failed to fetch token: ${(error as Error).message}`, { cause: error });
      });
    const endMs = Date.parse(status.expirationTimestamp);
    this.tokensEndMs = Math.min(this.tokensEndMs ?? endMs, endMs);
    return status.token;
  }
}

async function orNothing<T>(work: Promise<T>, optional: boolean | undefined, what: string): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error;
    if (optional) return undefined;
    throw new VolumeError(`${what} not found`);
  }
}

function select(
  data: Record<string, string>,
  items: readonly KeyToPath[] | undefined,
  optional: boolean | undefined,
): Map<string, string> {
  if (!items) return new Map(Object.entries(data));
  return new Map(
    items.flatMap(({ key, path }): [string, string][] => {
      const text = data[key];
      if (text !== undefined) return [[path, text]];
      if (optional) return [];
      throw new VolumeError(`references non-existent config key: ${key}`);
    }),
  );
}

/** Labels and annotations are a line each, as the kubelet writes them: fieldpath.FormatMap. */
function fieldOf({ metadata }: Pod, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
    case 'metadata.namespace':
    case 'metadata.uid':
      return metadata[path.slice('metadata.'.length) as 'name' | 'namespace' | 'uid'] ?? '';
    case 'metadata.labels':
    case 'metadata.annotations':
      return Object.entries(metadata[path.slice('metadata.'.length) as 'labels' | 'annotations'] ?? {})
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join('\n');
    default:
      throw new VolumeError(`field ${path} is not supported in volumes`);
  }
}
