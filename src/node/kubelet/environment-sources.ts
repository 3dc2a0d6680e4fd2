// Reads the ConfigMaps and Secrets that a container's env and envFrom name.
import type { Container } from '../../api/core-v1.ts';
import { CONFIGMAPS, SECRETS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import type { ApiClient } from '../../client/client.ts';
import type { EnvironmentSources } from './environment.ts';

/** By name, those that are there: whether a missing one matters is the variable's to say. Rejects when the API does. */
export async function environmentSources(
  namespace: string,
  { env = [], envFrom = [] }: Container,
  client: ApiClient,
): Promise<EnvironmentSources> {
  const configMaps = new Map<string, Record<string, string>>();
  const secrets = new Map<string, Record<string, string>>();
  const named = (references: ({ name?: string } | undefined)[]) =>
    new Set(references.flatMap((reference) => (reference?.name ? [reference.name] : [])));
  for (const name of named([
    ...envFrom.map((from) => from.configMapRef),
    ...env.map((variable) => variable.valueFrom?.configMapKeyRef),
  ])) {
    const found = await there(client.get(CONFIGMAPS, namespace, name));
    if (found) configMaps.set(name, found.data ?? {});
  }
  for (const name of named([
    ...envFrom.map((from) => from.secretRef),
    ...env.map((variable) => variable.valueFrom?.secretKeyRef),
  ])) {
    const found = await there(client.get(SECRETS, namespace, name));
    if (!found) continue;
    const decoded = Object.entries(found.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString(),
    ]);
    secrets.set(name, Object.fromEntries(decoded));
  }
  return { configMaps, secrets };
}

async function there<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined;
    throw error;
  }
}
