// The root CA publisher: every active Namespace has a ConfigMap kube-root-ca.crt, by which its Pods know the API server. After
// kubernetes/pkg/controller/certificates/rootcacertpublisher/publisher.go.
import type { ConfigMap, Namespace } from '../api/core-v1.ts';
import type { Stored } from '../api/meta.ts';
import { CONFIGMAPS, NAMESPACES } from '../api/resources.ts';
import type { Informer } from '../client/informer.ts';
import { equal } from '../lib/tree.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from './control-loop.ts';

const NAME = 'kube-root-ca.crt';
const DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

export class RootCaPublisher implements Controller {
  readonly #ctx: ControllerContext;
  readonly #rootCA: Promise<string>;
  readonly #namespaces: Informer<Namespace>;
  readonly #configMaps: Informer<ConfigMap>;
  readonly #loop: ControlLoop;

  /** `rootCA`: PEM, once there is one. */
  constructor(ctx: ControllerContext, rootCA: Promise<string>) {
    this.#ctx = ctx;
    this.#rootCA = rootCA;
    rootCA.catch(() => {}); // told when it is needed
    this.#namespaces = ctx.informers.of(NAMESPACES);
    this.#configMaps = ctx.informers.of(CONFIGMAPS);
    this.#loop = new ControlLoop(ctx, 'root ca', (namespace) => this.#sync(namespace));
    const enqueue = (ns: Stored<Namespace>) => this.#loop.queue.add(ns.metadata.name);
    this.#namespaces.addHandler({ add: enqueue, update: (_, ns) => enqueue(ns) });
    const enqueueOwner = ({ metadata }: Stored<ConfigMap>): void => {
      if (metadata.name === NAME) this.#loop.queue.add(metadata.namespace!);
    };
    this.#configMaps.addHandler({ update: (_, map) => enqueueOwner(map), delete: enqueueOwner });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(namespace: string): Promise<void> {
    const ns = this.#namespaces.get(namespace);
    if (!ns || ns.metadata.deletionTimestamp !== undefined) return;
    const data = { 'ca.crt': await this.#rootCA };
    const found = this.#configMaps.get(`${namespace}/${NAME}`);
    const { client } = this.#ctx;
    if (found) {
      if (equal(found.data, data)) return;
      await tolerate(client.update(CONFIGMAPS, { ...found, data }), 'NotFound');
      return;
    }
    const annotations = { 'kubernetes.io/description': DESCRIPTION };
    const metadata = { name: NAME, namespace, annotations };
    try {
      const map: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      await tolerate(client.create(CONFIGMAPS, map), 'AlreadyExists', 'NotFound');
    } catch (error) {
      if (!isNamespaceTerminating(error)) throw error;
    }
  }
}
