// The cluster's HTTPS API and the kubeconfig that leads to it. The certificates of the server and of the administrator are made at
// each start, by the cluster's CA.
import { readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ApiServer } from '../apiserver/apiserver.ts';
import type { CertificateAuthority } from '../apiserver/auth/certificates.ts';
import { type KubeconfigParts, kubeconfig } from '../apiserver/auth/kubeconfig.ts';
import type { User } from '../apiserver/auth/user.ts';
import { HttpsServer } from '../apiserver/http/https-server.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { NodeHandle } from './node-handle.ts';
import { NodesBackend } from './pod-backend.ts';
import type { ClusterSettings } from './settings.ts';

export interface HttpsFaceEnv {
  readonly api: ApiServer;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly authority: CertificateAuthority;
  readonly nodes: readonly NodeHandle[];
  readonly settings: ClusterSettings;
}

export interface HttpsFaceOptions {
  /** The first that can be had. Port 0: any free one. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Written for its owner only; what an existing one says of other clusters stays. */
  readonly kubeconfig: string;
  /** Bearer tokens that are known beforehand. */
  readonly staticTokens?: ReadonlyMap<string, User>;
}

export interface HttpsFace {
  readonly url: string;
  close(): void;
}

const USER = 'kubernetes-admin';

/** Listens, then writes the kubeconfig. Rejects with the system error when no address can be had, and leaves nothing open. */
export async function startHttpsFace(env: HttpsFaceEnv, options: HttpsFaceOptions): Promise<HttpsFace> {
  const { api, clock, rng, authority, nodes, settings } = env;
  const { staticTokens } = options;
  const hosts = new Set(['127.0.0.1', 'localhost', ...options.addresses.map((a) => a.host), ...namesInside(settings)]);
  const [serving, client] = await Promise.all([
    authority.server('kube-apiserver', [...hosts]),
    authority.client(USER, ['system:masters']),
  ]);
  const server = new HttpsServer({
    ...{ api, clock, rng, serving },
    backend: new NodesBackend(nodes),
    clientAuthority: authority.certificate,
    ...(staticTokens ? { staticTokens } : {}),
  });
  try {
    const { host, port } = await listen(server, options.addresses);
    await nodes[0]?.relayApi({ host: host === '0.0.0.0' ? '127.0.0.1' : host, port });
    const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
    writeKubeconfig(options.kubeconfig, { name: 'podwire', server: url, client, authority: authority.certificate });
    return { url, close: () => server.close() };
  } catch (error) {
    server.close();
    throw error;
  }
}

/** At once: nobody sees half a file, or the key with another file's mode. */
function writeKubeconfig(path: string, parts: KubeconfigParts): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && !found.isFile()) {
    writeFileSync(path, kubeconfig(parts)); // /dev/null, a pipe
    return;
  }
  const file = found ? realpathSync(path) : path;
  let text: string;
  try {
    text = kubeconfig(parts, found ? readFileSync(file, 'utf8') : '');
  } catch (cause) {
    throw new Error(`--kubeconfig ${path}: ${(cause as Error).message}; it stays as it is`, { cause });
  }
  const fresh = `${file}.${process.pid}`;
  try {
    writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

async function listen(
  server: HttpsServer,
  addresses: HttpsFaceOptions['addresses'],
): Promise<{ host: string; port: number }> {
  for (const [i, { host, port }] of addresses.entries()) {
    try {
      return { host, port: await server.listen(host, port) };
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || i === addresses.length - 1) throw error;
    }
  }
  throw new Error('no address to listen on');
}

/** How Pods name the API server. */
function namesInside({ apiServiceIP, clusterDomain, nodes }: ClusterSettings): string[] {
  const service = 'kubernetes.default';
  return [
    ...['kubernetes', service, `${service}.svc`, `${service}.svc.${clusterDomain}`, apiServiceIP],
    ...nodes.slice(0, 1).map((node) => node.address),
  ];
}
