// default/kubernetes: the Service by which Pods find the API server, with Endpoints and an EndpointSlice that no controller
// makes because it has no selector. Kept as it should be. After pkg/controlplane/controller/kubernetesservice/controller.go
// and pkg/controlplane/reconcilers (1.32). One API server.
import { isDeepStrictEqual } from 'node:util';
import type { Endpoints, Service } from '../api/core-v1.ts';
import { type EndpointSlice, LABEL_SERVICE_NAME } from '../api/discovery-v1.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ENDPOINTS, ENDPOINTSLICES, SERVICES } from '../api/resources.ts';
import { keyOf } from '../client/informer.ts';
import type { Controller, ControllerContext } from './context.ts';
import { ControlLoop, tolerate } from './control-loop.ts';

export interface KubernetesServiceOptions {
  /** The first address of the Service network. */
  readonly clusterIP: string;
  /** Where the API server listens. */
  readonly address: string;
  readonly port: number;
}

const KEY = 'default/kubernetes';
const METADATA = { name: 'kubernetes', namespace: 'default' };

export class KubernetesService implements Controller {
  readonly #ctx: ControllerContext;
  readonly #options: KubernetesServiceOptions;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext, options: KubernetesServiceOptions) {
    this.#ctx = ctx;
    this.#options = options;
    this.#loop = new ControlLoop(ctx, 'kubernetes service', () => this.#sync());
    const enqueue = (object: KubeObject) => {
      if (keyOf(object) === KEY) this.#loop.queue.add(KEY);
    };
    for (const type of [SERVICES, ENDPOINTS, ENDPOINTSLICES] as ResourceType[]) {
      ctx.informers.of(type).addHandler({ add: enqueue, update: (_, object) => enqueue(object), delete: enqueue });
    }
    this.#loop.queue.add(KEY);
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(): Promise<void> {
    const { address, port } = this.#options;
    await this.#ensure<Service>(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...METADATA, labels: { component: 'apiserver', provider: 'kubernetes' } },
      spec: {
        type: 'ClusterIP',
        clusterIP: this.#options.clusterIP,
        sessionAffinity: 'None',
        ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: port }],
      },
    });
    const ports = [{ name: 'https', port, protocol: 'TCP' as const }];
    await this.#ensure<Endpoints>(
      ENDPOINTS,
      {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: { ...METADATA, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
        subsets: [{ addresses: [{ ip: address }], ports }],
      },
      (now, wanted) => isDeepStrictEqual(now.subsets, wanted.subsets),
    );
    await this.#ensure<EndpointSlice>(
      ENDPOINTSLICES,
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...METADATA, labels: { [LABEL_SERVICE_NAME]: 'kubernetes' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
        ports,
      },
      (now, wanted) => isDeepStrictEqual([now.endpoints, now.ports], [wanted.endpoints, wanted.ports]),
    );
  }

  async #ensure<T extends KubeObject>(
    type: ResourceType<T>,
    wanted: T,
    same: (now: T, wanted: T) => boolean = () => true,
  ): Promise<void> {
    const now = this.#ctx.informers.of(type).get(KEY);
    if (!now) await this.#create(type, wanted);
    else if (!same(now, wanted)) {
      const { resourceVersion } = now.metadata;
      const metadata = { ...wanted.metadata, resourceVersion };
      await tolerate(this.#ctx.client.update(type, { ...wanted, metadata }), 'NotFound');
    }
  }

  /** The watch may be behind; then the address, too, is held by the very Service we miss. */
  async #create<T extends KubeObject>(type: ResourceType<T>, wanted: T): Promise<void> {
    const { client } = this.#ctx;
    try {
      await client.create(type, wanted);
    } catch (error) {
      await client.get(type, METADATA.namespace, METADATA.name).catch(() => {
        throw error;
      });
    }
  }
}
