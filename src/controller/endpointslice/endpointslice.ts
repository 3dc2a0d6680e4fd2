// The EndpointSlice controller: slices of at most 100 endpoints for each Service with a selector. After
// pkg/controller/endpointslice/endpointslice_controller.go and staging/src/k8s.io/endpointslice (1.32).
// A Service's slices are removed with it by the garbage collector (ownerReferences).
//
// The watch may be behind our own writes. A round that would work from older slices ends at once, and the watch event that
// catches up starts it again.
// Deviation: a Service is looked at without a batch period; changes coalesce only while a round is under way.
import type { Node, Pod, Service } from '../../api/core-v1.ts';
import { type EndpointSlice, LABEL_MANAGED_BY } from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { ENDPOINTSLICES, NODES, PODS, SERVICES } from '../../api/resources.ts';
import { matchesSet } from '../../api/selectors.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_NAMESPACE, BY_NODE, type Controller, type ControllerContext, inOrder } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, isStale, tolerate } from '../control-loop.ts';
import { hasManagedEndpoints, servicesSelecting } from '../endpoints/membership.ts';
import { watchServicePods } from '../endpoints/pod-changes.ts';
import { LAST_CHANGE, TriggerTimes } from '../endpoints/trigger-time.ts';
import type { EventRecorder } from '../events.ts';
import { addressTypes, desiredGroups, ENDPOINTSLICE_CONTROLLER, LABEL_ZONE, serviceKey } from './desired.ts';
import { planSlices, type SlicePlan } from './packing.ts';
import { GIVE_UP_US, WrittenSlices } from './written.ts';

const MAX_ENDPOINTS_PER_SLICE = 100;
const BY_SERVICE = 'service';
const WORKERS = 5;

export class EndpointSliceController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #maxPerSlice: number;
  readonly #services: Informer<Service>;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #recorder: EventRecorder;
  readonly #triggers = new TriggerTimes();
  readonly #written: WrittenSlices;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext, maxPerSlice: number = MAX_ENDPOINTS_PER_SLICE) {
    this.#ctx = ctx;
    this.#maxPerSlice = maxPerSlice;
    this.#written = new WrittenSlices(ctx.clock);
    this.#services = ctx.informers.of(SERVICES);
    this.#pods = ctx.informers.of(PODS);
    this.#nodes = ctx.informers.of(NODES);
    this.#slices = ctx.informers.of(ENDPOINTSLICES);
    this.#slices.addIndex(BY_SERVICE, (slice) => (isManaged(slice) ? [serviceKey(slice)] : []));
    this.#recorder = ctx.recorder('endpoint-slice-controller');
    this.#loop = new ControlLoop(ctx, 'endpointslice', (key) => this.#sync(key), WORKERS);
    watchServicePods(this.#services, this.#pods, (key) => this.#loop.queue.add(key));
    this.#nodes.addHandler({
      add: (node) => this.#nodeChanged(node),
      update: (old, node) => {
        if (old.metadata.labels?.[LABEL_ZONE] !== node.metadata.labels?.[LABEL_ZONE]) this.#nodeChanged(node);
      },
      delete: (node) => this.#nodeChanged(node),
    });
    this.#slices.addHandler({
      add: (slice) => this.#sliceChanged(slice, false),
      update: (old, slice) => {
        if (old.metadata.uid !== slice.metadata.uid) this.#sliceChanged(old, true);
        this.#sliceChanged(slice, false);
      },
      delete: (slice) => this.#sliceChanged(slice, true),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  #nodeChanged(node: Stored<Node>): void {
    for (const pod of this.#pods.byIndex(BY_NODE, node.metadata.name)) {
      const services = this.#services.byIndex(BY_NAMESPACE, pod.metadata.namespace!);
      for (const service of servicesSelecting(services, pod)) this.#loop.queue.add(keyOf(service));
    }
  }

  #sliceChanged(slice: Stored<EndpointSlice>, gone: boolean): void {
    if (!isManaged(slice)) return;
    const key = serviceKey(slice);
    this.#written.observe(key, slice, gone);
    this.#loop.queue.add(key);
  }

  async #sync(key: string): Promise<void> {
    const service = this.#services.get(key);
    if (!service) {
      this.#triggers.forget(key);
      this.#written.forget(key);
      return;
    }
    if (!hasManagedEndpoints(service)) return;
    const existing = inOrder(this.#slices.byIndex(BY_SERVICE, key));
    if (this.#written.isBehind(key)) {
      this.#loop.queue.addAfter(key, GIVE_UP_US);
      return;
    }
    const pods = this.#pods
      .byIndex(BY_NAMESPACE, service.metadata.namespace!)
      .filter((pod) => matchesSet(service.spec.selector, pod.metadata.labels));
    const trigger = this.#triggers.next(key, service, pods);
    const types = addressTypes(service);
    for (const type of types) {
      const groups = desiredGroups(service, pods, (name) => this.#nodes.get(name), type);
      const slices = existing.filter((s) => s.addressType === type && s.metadata.deletionTimestamp === undefined);
      await this.#apply(key, service, planSlices(service, slices, groups, type, this.#maxPerSlice), trigger);
    }
    const others = existing.filter((s) => !(types as string[]).includes(s.addressType));
    await this.#apply(key, service, { create: [], update: [], remove: others }, trigger);
  }

  #wrote(key: string, slice: Stored<EndpointSlice>): void {
    this.#written.wrote(key, slice, this.#slices.get(keyOf(slice)));
  }

  async #apply(key: string, service: Stored<Service>, plan: SlicePlan, trigger: string | undefined): Promise<void> {
    const { client } = this.#ctx;
    try {
      // A Service that is being deleted gets no new slices: the garbage collector would race with us.
      for (const slice of service.metadata.deletionTimestamp === undefined ? plan.create : []) {
        this.#wrote(key, await client.create(ENDPOINTSLICES, stamped(slice, trigger)));
      }
      for (const slice of plan.update) {
        this.#wrote(key, await client.update(ENDPOINTSLICES, stamped(slice, trigger)));
      }
      for (const slice of plan.remove) {
        this.#written.removing(key, slice);
        await tolerate(client.delete(ENDPOINTSLICES, slice.metadata.namespace, slice.metadata.name), 'NotFound');
      }
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      if (!isStale(error)) {
        const why = error instanceof Error ? error.message : String(error);
        const message = `Error updating Endpoint Slices for Service ${service.metadata.namespace}/${service.metadata.name}: ${why}`;
        this.#recorder.warning(service, 'FailedToUpdateEndpointSlices', message);
      }
      throw error;
    }
  }
}

function isManaged(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.[LABEL_MANAGED_BY] === ENDPOINTSLICE_CONTROLLER;
}

function stamped<S extends EndpointSlice>(slice: S, trigger: string | undefined): S {
  const { [LAST_CHANGE]: _, ...rest } = slice.metadata.annotations ?? {};
  const annotations = trigger ? { ...rest, [LAST_CHANGE]: trigger } : rest;
  return { ...slice, metadata: { ...slice.metadata, annotations } };
}
