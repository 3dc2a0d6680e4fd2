// A whole cluster in one process: the control plane in this thread, each Node in a thread of its own. The one place that
// knows all the parts; the CLI and the tests talk to this.
import { MessageChannel } from 'node:worker_threads';
import type { ManifestObject } from '../api/manifest.ts';
import { PODS } from '../api/resources.ts';
import { ApiServer } from '../apiserver/apiserver.ts';
import { bootstrapRoles } from '../apiserver/auth/rbac/bootstrap.ts';
import { servePort } from '../apiserver/serve-port.ts';
import type { Store } from '../apiserver/storage/store.ts';
import type { ApiClient } from '../client/client.ts';
import { bootstrap } from '../controller/bootstrap.ts';
import { startControllers } from '../controller/controllers.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import { applyManifests } from './apply.ts';
import { type HttpsFace, type HttpsFaceOptions, startHttpsFace } from './https-face.ts';
import type { NodeHandle } from './node-handle.ts';
import type { Pki } from './pki.ts';
import { ensureProxyConfig } from './proxy-config.ts';
import type { ClusterSettings } from './settings.ts';
import { WorkerNode } from './worker-node.ts';

export interface ClusterEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly settings: ClusterSettings;
  /** Where objects are kept; in memory when left out. Closed with the cluster. */
  readonly store?: Store;
  readonly pki: Pki;
  /** Something of the control plane failed and will be tried again. */
  readonly onError: (error: unknown, what: string) => void;
  /** A Node's thread ended although nobody asked: the cluster cannot go on. */
  readonly onDeath: (error: Error) => void;
}

export class Cluster {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly settings: ClusterSettings;
  readonly nodes: readonly NodeHandle[];
  readonly #env: ClusterEnv;
  readonly #server: ApiServer;
  #face: HttpsFace | undefined;
  readonly #controllers: { close(): void };
  #closing: Promise<void> | null = null;

  private constructor(
    env: ClusterEnv,
    server: ApiServer,
    nodes: readonly NodeHandle[],
    controllers: { close(): void },
  ) {
    this.#env = env;
    this.clock = env.clock;
    this.settings = env.settings;
    this.client = server.client();
    this.nodes = nodes;
    this.#server = server;
    this.#controllers = controllers;
  }

  /** Starts everything; resolves when the Nodes are registered. A failed start closes what it had started. */
  static async start(env: ClusterEnv): Promise<Cluster> {
    const { clock, rng, settings, pki } = env;
    const authority = pki.authority(clock.unixMs());
    authority.catch(() => {}); // told below
    const server = new ApiServer({
      clock,
      rng,
      serviceCIDR: settings.serviceCIDR,
      ...(env.store ? { store: env.store } : {}),
      tokens: pki.tokens(),
    });
    const client = server.client();
    // Threads take longest to come up: begin with them.
    const nodes = settings.nodes.map((node) => {
      const { port1, port2 } = new MessageChannel();
      servePort(port1, server.client(undefined, 'kubelet'));
      return new WorkerNode(settings, node, port2, env.onDeath);
    });
    let controllers: { close(): void } = { close: () => {} };
    try {
      controllers = startControllers({
        client,
        clock,
        rng,
        apiserverAddress: settings.nodes[0]!.address,
        apiServiceIP: settings.apiServiceIP,
        rootCA: authority.then(({ certificate }) => certificate),
        signClient: async (request, seconds) => (await authority).signClient(request, seconds, clock.unixMs()),
        onError: env.onError,
      });
      await Promise.all([
        authority,
        bootstrapRoles(client),
        // A Node begins with the kube-proxy configuration that it finds. Its thread takes longer to come up than this.
        bootstrap(client, { clusterDNS: settings.clusterDNS, clusterDomain: settings.clusterDomain })
          .then(() => ensureProxyConfig(client, settings, settings.askedOfProxy))
          .then(() => Promise.all(nodes.map((node) => node.start()))),
      ]);
      return new Cluster(env, server, nodes, controllers);
    } catch (error) {
      controllers.close();
      await Promise.all(nodes.map((node) => node.close()));
      await server.close();
      throw error;
    }
  }

  /** Serves the API over HTTPS and writes a kubeconfig; resolves to the URL. Once only. */
  async serveHttps(options: HttpsFaceOptions): Promise<string> {
    const { clock, rng, settings, pki } = this.#env;
    const authority = await pki.authority(clock.unixMs());
    this.#face = await startHttpsFace(
      { api: this.#server, clock, rng, authority, nodes: this.nodes, settings },
      options,
    );
    return this.#face.url;
  }

  apply(manifests: readonly ManifestObject[], report: (line: string) => void): Promise<void> {
    return applyManifests(this.client, manifests, report);
  }

  /** The Node on which a Pod runs. */
  async nodeOf(namespace: string, pod: string): Promise<NodeHandle> {
    const { spec } = await this.client.get(PODS, namespace, pod);
    const node = this.nodes.find((n) => n.name === spec.nodeName);
    if (!node) throw new Error(`pod ${namespace}/${pod} does not have a host assigned`);
    return node;
  }

  /** Ends every Pod, Node and watch. Resolves when nothing is left. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#face?.close();
    this.#controllers.close();
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.#server.close();
  }
}
