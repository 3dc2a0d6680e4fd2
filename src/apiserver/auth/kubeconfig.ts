// The kubeconfig of one cluster and one user who has a client certificate: k8s.io/client-go/tools/clientcmd/api/v1.
import { stringify } from 'yaml';
import type { KeyPair } from './certificates.ts';

export interface KubeconfigParts {
  readonly cluster: string;
  readonly user: string;
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  /** PEM. */
  readonly authority: string;
  readonly client: KeyPair;
}

/** YAML text. It holds a private key: write it for its owner only. */
export function kubeconfig({ cluster, user, server, authority, client }: KubeconfigParts): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  const options = { lineWidth: 0 };
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: cluster, cluster: { server, 'certificate-authority-data': base64(authority) } }],
      users: [
        {
          name: user,
          user: { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) },
        },
      ],
      contexts: [{ name: cluster, context: { cluster, user } }],
      'current-context': cluster,
    },
    options,
  );
}
