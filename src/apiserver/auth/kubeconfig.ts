// The kubeconfig of one cluster and one user who has a client certificate: k8s.io/client-go/tools/clientcmd/api/v1.
import { parse, stringify } from 'yaml';
import type { KeyPair } from './certificates.ts';

export interface KubeconfigParts {
  /** What the cluster, its user and the context of both are called in the file. */
  readonly name: string;
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  /** PEM. */
  readonly authority: string;
  readonly client: KeyPair;
}

interface Named {
  readonly name: string;
}

/** Of clientcmd's Config what a new cluster adds to; the rest is kept as it is. */
interface Config {
  readonly kind?: string;
  readonly clusters?: readonly Named[] | null;
  readonly users?: readonly Named[] | null;
  readonly contexts?: readonly Named[] | null;
}

/**
 * YAML text. It holds a private key: write it for its owner only. What `existing` (the text of a kubeconfig, perhaps the one with all the
 * user's clusters) says of other clusters stays; the new one becomes current. Throws an Error where `existing` is no kubeconfig.
 */
export function kubeconfig({ name, server, authority, client }: KubeconfigParts, existing = ''): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  const before = configOf(existing);
  const user = { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    ...before,
    clusters: withEntry(before.clusters, {
      name,
      cluster: { server, 'certificate-authority-data': base64(authority) },
    }),
    users: withEntry(before.users, { name, user }),
    contexts: withEntry(before.contexts, { name, context: { cluster: name, user: name } }),
    'current-context': name,
  };
  return stringify(config, { lineWidth: 0 });
}

function configOf(text: string): Config {
  const value: unknown = parse(text) ?? {};
  const lists = ['clusters', 'users', 'contexts'] as const;
  const isConfig = (v: unknown): v is Config =>
    typeof v === 'object' &&
    !Array.isArray(v) &&
    ((v as Config).kind ?? 'Config') === 'Config' &&
    lists.every((key) => Array.isArray((v as Config)[key] ?? []));
  if (!isConfig(value)) throw new Error('not a kubeconfig');
  return value;
}

function withEntry<T extends Named>(list: readonly Named[] | null | undefined, entry: T): Named[] {
  return [...(list ?? []).filter(({ name }) => name !== entry.name), entry];
}
