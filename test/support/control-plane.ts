// A control plane in this thread on a virtual clock: API server, controllers, scheduler, and Nodes that only pretend.
// `view` shows the objects as a watch sees them, synchronously.
import type { Deployment, ReplicaSet } from '../../src/api/apps-v1.ts';
import type { Container, Endpoints, Event, Pod, Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { KubeObject, ResourceType, Stored } from '../../src/api/meta.ts';
import { isPodActive, isPodReady } from '../../src/api/pod.ts';
import {
  CONTROLLERREVISIONS,
  CRONJOBS,
  DAEMONSETS,
  DEPLOYMENTS,
  ENDPOINTS,
  ENDPOINTSLICES,
  EVENTS,
  JOBS,
  NAMESPACES,
  NODES,
  PODDISRUPTIONBUDGETS,
  PODS,
  REPLICASETS,
  SERVICES,
  STATEFULSETS,
} from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import type { ApiClient } from '../../src/client/client.ts';
import { bootstrap } from '../../src/controller/bootstrap.ts';
import type { SignClient } from '../../src/controller/certificate-signer.ts';
import { Informers } from '../../src/controller/context.ts';
import { startControllers } from '../../src/controller/controllers.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { FakeKubelet, type FakeKubeletOptions } from './fake-kubelet.ts';

export interface ControlPlaneOptions {
  readonly seed?: number;
  readonly nodes?: number;
  readonly kubelet?: Partial<FakeKubeletOptions>;
  /** The client the controllers get, from the server's own. */
  readonly controllerClient?: (client: ApiClient, clock: VirtualClock) => ApiClient;
  /** PEM, as far as the controllers look at it. */
  readonly rootCA?: string;
  readonly signClient?: SignClient;
  /** Also the cluster DNS; only the Namespaces otherwise. */
  readonly kubeSystem?: boolean;
}

const SECOND = 1e6;
const VIEWED = [
  NAMESPACES,
  NODES,
  PODS,
  REPLICASETS,
  DEPLOYMENTS,
  STATEFULSETS,
  DAEMONSETS,
  CONTROLLERREVISIONS,
  JOBS,
  CRONJOBS,
  PODDISRUPTIONBUDGETS,
  SERVICES,
  ENDPOINTS,
  ENDPOINTSLICES,
  EVENTS,
];

export class ControlPlane {
  readonly clock = new VirtualClock();
  readonly client: ApiClient;
  readonly kubelets: FakeKubelet[] = [];
  /** What controllers reported; a test ends with none. */
  readonly errors: string[] = [];
  readonly server: ApiServer;
  readonly #view: Informers;
  readonly #options: ControlPlaneOptions;
  readonly #rng: SeededRng;
  #controllers: { close(): void } = { close: () => {} };

  constructor(options: ControlPlaneOptions = {}) {
    this.#options = options;
    this.#rng = new SeededRng(options.seed ?? 1);
    this.server = new ApiServer({ clock: this.clock, rng: this.#rng });
    this.client = this.server.client();
    this.#view = new Informers({ client: this.client, clock: this.clock, rng: this.#rng });
  }

  async start(): Promise<this> {
    const { clock, client } = this;
    const { nodes = 1, kubeSystem = false, controllerClient = (c) => c, rootCA, signClient } = this.#options;
    if (kubeSystem) await bootstrap(client);
    else {
      for (const name of ['default', 'kube-system']) {
        await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      }
    }
    for (const type of VIEWED) this.#view.of(type as ResourceType);
    this.#view.start();
    this.#controllers = startControllers({
      client: controllerClient(client, clock),
      clock,
      rng: this.#rng,
      apiserverAddress: '192.168.49.2',
      ...(rootCA === undefined ? {} : { rootCA: Promise.resolve(rootCA) }),
      ...(signClient ? { signClient } : {}),
      onError: (error, what) => this.errors.push(`${what}: ${error instanceof Error ? error.message : String(error)}`),
    });
    for (let index = 0; index < nodes; index++) await this.addNode(index);
    await clock.run(1000);
    return this;
  }

  async addNode(index: number, options: Partial<FakeKubeletOptions> = {}): Promise<FakeKubelet> {
    const { client, clock } = this;
    const kubelet = new FakeKubelet({
      client,
      clock,
      name: `node-${index + 1}`,
      index,
      ...this.#options.kubelet,
      ...options,
    });
    this.kubelets.push(kubelet);
    await kubelet.start();
    return kubelet;
  }

  close(): void {
    this.#controllers.close();
    this.#view.close();
    for (const kubelet of this.kubelets) kubelet.close();
    void this.server.close();
  }

  view<T extends KubeObject>(type: ResourceType<T>): Stored<T>[] {
    return this.#view
      .of(type)
      .list()
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  /** Calls `fn` after every change that the view has taken in. */
  onChange(type: ResourceType, fn: () => void): void {
    this.#view.of(type).addHandler({ add: fn, update: fn, delete: fn });
  }

  pods(namespace = 'default'): Stored<Pod>[] {
    return this.view(PODS).filter((p) => p.metadata.namespace === namespace);
  }

  activePods(namespace = 'default'): Stored<Pod>[] {
    return this.pods(namespace).filter(isPodActive);
  }

  readyPods(namespace = 'default'): Stored<Pod>[] {
    return this.activePods(namespace).filter(isPodReady);
  }

  replicaSets(): Stored<ReplicaSet>[] {
    return this.view(REPLICASETS).filter((rs) => rs.metadata.namespace === 'default');
  }

  deployment(name = 'web'): Stored<Deployment> {
    return this.view(DEPLOYMENTS).find((d) => d.metadata.name === name && d.metadata.namespace === 'default')!;
  }

  slices(service = 'web'): Stored<EndpointSlice>[] {
    return this.view(ENDPOINTSLICES).filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === service);
  }

  endpoints(name = 'web'): Stored<Endpoints> | undefined {
    return this.view(ENDPOINTS).find((e) => e.metadata.name === name && e.metadata.namespace === 'default');
  }

  events(reason?: string): Stored<Event>[] {
    return this.view(EVENTS).filter((e) => reason === undefined || e.reason === reason);
  }

  async until(done: () => boolean, limitUs: number = 60 * SECOND): Promise<void> {
    try {
      await this.clock.until(done, limitUs);
    } catch (error) {
      throw new Error([(error as Error).message, `seed ${this.#options.seed ?? 1}`, ...this.errors].join('\n'));
    }
  }

  /** `count` Pods are ready and no others are left. */
  async settled(count: number): Promise<void> {
    await this.until(() => this.readyPods().length === count && this.pods().length === count);
    await this.clock.run(10_000);
  }
}

/** A control plane that is closed with the test. */
export async function controlPlane(
  t: { teardown(fn: () => unknown): unknown },
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const plane = await new ControlPlane(options).start();
  t.teardown(() => plane.close());
  return plane;
}

export function deployment(overrides: Partial<Deployment['spec']> = {}, name = 'web'): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [container()] } },
      ...overrides,
    },
  };
}

export function container(overrides: Partial<Container> = {}): Container {
  return { name: 'web', image: 'nginx:1', ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }], ...overrides };
}

export function pod(
  name: string,
  overrides: Partial<Pod['spec']> = {},
  labels: Record<string, string> = { app: 'web' },
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers: [container()], ...overrides },
  };
}

export function service(overrides: Partial<Service['spec']> = {}, name = 'web'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...overrides },
  };
}
