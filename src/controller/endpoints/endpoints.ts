// The Endpoints controller: one legacy Endpoints object a Service, of the same name. After
// pkg/controller/endpoint/endpoints_controller.go (1.32). Terminating Pods are left out (unless publishNotReadyAddresses).
// Deviation: no delay before a Service is looked at again (`--endpoint-updates-batch-period` is 0 there as well).
import { isDeepStrictEqual } from 'node:util';
import type { Endpoints, Pod, Service } from '../../api/core-v1.ts';
import { LABEL_HEADLESS } from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { ENDPOINTS, PODS, SERVICES } from '../../api/resources.ts';
import { matchesSet } from '../../api/selectors.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_NAMESPACE, type Controller, type ControllerContext } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, isStale, splitKey, tolerate } from '../control-loop.ts';
import type { EventRecorder } from '../events.ts';
import { hasManagedEndpoints, isHeadless } from './membership.ts';
import { watchServicePods } from './pod-changes.ts';
import { endpointSubsets, truncateSubsets } from './subsets.ts';
import { LAST_CHANGE, TriggerTimes } from './trigger-time.ts';

const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
const WORKERS = 5;

export class EndpointsController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #services: Informer<Service>;
  readonly #pods: Informer<Pod>;
  readonly #endpoints: Informer<Endpoints>;
  readonly #recorder: EventRecorder;
  readonly #triggers = new TriggerTimes();
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#services = ctx.informers.of(SERVICES);
    this.#pods = ctx.informers.of(PODS);
    this.#endpoints = ctx.informers.of(ENDPOINTS);
    this.#recorder = ctx.recorder('endpoint-controller');
    this.#loop = new ControlLoop(ctx, 'endpoints', (key) => this.#sync(key), WORKERS);
    watchServicePods(this.#services, this.#pods, (key) => this.#loop.queue.add(key));
    // Our own writes are looked at again: a round may have found nothing to do because the watch was behind the last one.
    // Endpoints without a Service are a user's, but for those found at the start, whose Service went while we did not watch.
    const enqueue = (endpoints: Stored<Endpoints>) => {
      const key = keyOf(endpoints);
      if (!this.#endpoints.hasSynced() || this.#services.get(key)) this.#loop.queue.add(key);
    };
    this.#endpoints.addHandler({ add: enqueue, update: (_, endpoints) => enqueue(endpoints), delete: enqueue });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const service = this.#services.get(key);
    const current = this.#endpoints.get(key);
    if (!service) {
      this.#triggers.forget(key);
      const [namespace, name] = splitKey(key);
      if (current) await tolerate(this.#ctx.client.delete(ENDPOINTS, namespace, name), 'NotFound');
      return;
    }
    if (!hasManagedEndpoints(service)) return;
    const pods = this.#pods
      .byIndex(BY_NAMESPACE, service.metadata.namespace!)
      .filter((pod) => matchesSet(service.spec.selector, pod.metadata.labels));
    const trigger = this.#triggers.next(key, service, pods);
    const subsets = endpointSubsets(service, pods);
    const truncated = truncateSubsets(subsets);
    const wanted = truncated ?? subsets;
    const labels = {
      ...service.metadata.labels,
      ...(isHeadless(service) ? { [LABEL_HEADLESS]: '' } : {}),
    };
    if (!isHeadless(service)) delete labels[LABEL_HEADLESS];
    const old = current?.metadata.annotations ?? {};
    if (
      current &&
      isDeepStrictEqual(current.subsets ?? [], wanted) &&
      isDeepStrictEqual(current.metadata.labels ?? {}, labels) &&
      OVER_CAPACITY in old === (truncated !== undefined)
    ) {
      return;
    }
    const annotations: Record<string, string> = { ...old };
    delete annotations[LAST_CHANGE];
    delete annotations[OVER_CAPACITY];
    if (trigger) annotations[LAST_CHANGE] = trigger;
    if (truncated) annotations[OVER_CAPACITY] = 'truncated';
    const object: Endpoints = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: {
        ...(current?.metadata ?? { name: service.metadata.name, namespace: service.metadata.namespace! }),
        labels,
        annotations,
      },
      ...(wanted.length > 0 ? { subsets: wanted } : {}),
    };
    await this.#write(service, current, object);
  }

  async #write(service: Stored<Service>, current: Stored<Endpoints> | undefined, object: Endpoints): Promise<void> {
    const { client } = this.#ctx;
    try {
      await (current ? client.update(ENDPOINTS, object) : client.create(ENDPOINTS, object));
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      if (isStale(error)) throw error;
      const why = error instanceof Error ? error.message : String(error);
      const { namespace, name } = service.metadata;
      if (current) {
        const message = `Failed to update endpoint ${namespace}/${name}: ${why}`;
        this.#recorder.warning(object, 'FailedToUpdateEndpoint', message);
      } else {
        const message = `Failed to create endpoint for service ${namespace}/${name}: ${why}`;
        this.#recorder.warning(object, 'FailedToCreateEndpoint', message);
      }
      throw error;
    }
  }
}
