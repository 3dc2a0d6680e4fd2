// The mirroring controller: Endpoints that users write for Services without a selector become EndpointSlices, which is what
// proxies and DNS read. After pkg/controller/endpointslicemirroring/{reconciler,utils,endpointset}.go (1.32).
// A slice for each subset and address family. Deviation: slices are rewritten whole, not packed; subsets of more than 1,000
// addresses are cut there, as Kubernetes does, but not at 100 a slice.
import { isDeepStrictEqual } from 'node:util';
import type { EndpointAddress, EndpointSubset, Endpoints, Service } from '../../api/core-v1.ts';
import {
  type Endpoint,
  type EndpointSlice,
  LABEL_HEADLESS,
  LABEL_MANAGED_BY,
  LABEL_SERVICE_NAME,
} from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { ENDPOINTS, ENDPOINTSLICES, SERVICES } from '../../api/resources.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { type Controller, type ControllerContext, inOrder } from '../context.ts';
import { ControlLoop, isNamespaceTerminating, tolerate } from '../control-loop.ts';
import { hasManagedEndpoints, isHeadless } from '../endpoints/membership.ts';
import { MAX_ADDRESSES } from '../endpoints/subsets.ts';
import { LAST_CHANGE } from '../endpoints/trigger-time.ts';
import { controllerRef } from '../owner.ts';
import { type AddressType, serviceKey } from './desired.ts';
import { GIVE_UP_US, WrittenSlices } from './written.ts';

const MIRRORING_CONTROLLER = 'endpointslicemirroring-controller.k8s.io';
const LABEL_SKIP_MIRROR = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER = 'control-plane.alpha.kubernetes.io/leader';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const BY_MIRRORED = 'mirrored';

export class EndpointSliceMirroringController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #services: Informer<Service>;
  readonly #endpoints: Informer<Endpoints>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #written: WrittenSlices;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#services = ctx.informers.of(SERVICES);
    this.#endpoints = ctx.informers.of(ENDPOINTS);
    this.#slices = ctx.informers.of(ENDPOINTSLICES);
    this.#written = new WrittenSlices(ctx.clock);
    this.#slices.addIndex(BY_MIRRORED, (slice) => (isMirrored(slice) ? [serviceKey(slice)] : []));
    this.#loop = new ControlLoop(ctx, 'endpointslice mirroring', (key) => this.#sync(key));
    const enqueue = (object: Stored): void => this.#loop.queue.add(keyOf(object));
    const handler = { add: enqueue, update: (_: Stored, object: Stored) => enqueue(object), delete: enqueue };
    this.#services.addHandler(handler);
    this.#endpoints.addHandler(handler);
    const observe = (slice: Stored<EndpointSlice>, gone: boolean) => {
      if (!isMirrored(slice)) return;
      this.#written.observe(serviceKey(slice), slice, gone);
      this.#loop.queue.add(serviceKey(slice));
    };
    this.#slices.addHandler({
      add: (slice) => observe(slice, false),
      update: (_, slice) => observe(slice, false),
      delete: (slice) => observe(slice, true),
    });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const service = this.#services.get(key);
    const endpoints = this.#endpoints.get(key);
    if (this.#written.isBehind(key)) {
      this.#loop.queue.addAfter(key, GIVE_UP_US);
      return;
    }
    const existing = inOrder(this.#slices.byIndex(BY_MIRRORED, key));
    const mirrors = service && endpoints && !hasManagedEndpoints(service) && shouldMirror(endpoints);
    const wanted = mirrors ? mirroredSlices(service, endpoints) : [];
    const { client } = this.#ctx;
    const free = existing.filter((s) => !takeSame(wanted, s));
    try {
      for (const slice of wanted) {
        const reuse = free.findIndex((s) => s.addressType === slice.addressType);
        if (reuse >= 0) {
          const [old] = free.splice(reuse, 1);
          this.#wrote(
            key,
            await client.update(ENDPOINTSLICES, { ...slice, metadata: { ...old!.metadata, ...slice.metadata } }),
          );
        } else this.#wrote(key, await client.create(ENDPOINTSLICES, slice));
      }
      for (const slice of free) {
        this.#written.removing(key, slice);
        await tolerate(client.delete(ENDPOINTSLICES, slice.metadata.namespace, slice.metadata.name), 'NotFound');
      }
    } catch (error) {
      if (!isNamespaceTerminating(error)) throw error;
    }
  }

  #wrote(key: string, slice: Stored<EndpointSlice>): void {
    this.#written.wrote(key, slice, this.#slices.get(keyOf(slice)));
  }
}

/** Takes out of `wanted` the slice that is as `existing` already. */
function takeSame(wanted: EndpointSlice[], existing: EndpointSlice): boolean {
  const i = wanted.findIndex(
    (w) =>
      w.addressType === existing.addressType &&
      isDeepStrictEqual(
        [w.endpoints, w.ports, w.metadata.labels],
        [existing.endpoints, existing.ports, existing.metadata.labels],
      ),
  );
  if (i >= 0) wanted.splice(i, 1);
  return i >= 0;
}

function isMirrored(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.[LABEL_MANAGED_BY] === MIRRORING_CONTROLLER;
}

function shouldMirror(endpoints: Endpoints): boolean {
  return (
    endpoints.metadata.labels?.[LABEL_SKIP_MIRROR] !== 'true' && !(LEADER in (endpoints.metadata.annotations ?? {}))
  );
}

/** Pure: the slices that say what the Endpoints say. */
function mirroredSlices(service: Service, endpoints: Stored<Endpoints>): EndpointSlice[] {
  const { [LABEL_SKIP_MIRROR]: _, ...own } = endpoints.metadata.labels ?? {};
  const labels = {
    ...own,
    [LABEL_SERVICE_NAME]: endpoints.metadata.name,
    [LABEL_MANAGED_BY]: MIRRORING_CONTROLLER,
    ...(isHeadless(service) ? { [LABEL_HEADLESS]: '' } : {}),
  };
  const { [LAST_APPLIED]: __, [LAST_CHANGE]: ___, ...annotations } = endpoints.metadata.annotations ?? {};
  const slices: EndpointSlice[] = [];
  for (const subset of endpoints.subsets ?? []) {
    for (const addressType of ['IPv4', 'IPv6'] as const) {
      const list = mirroredEndpoints(subset, addressType);
      if (list.length === 0) continue;
      slices.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          generateName: `${endpoints.metadata.name}-`,
          namespace: endpoints.metadata.namespace!,
          labels,
          ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
          ownerReferences: [controllerRef(endpoints, ENDPOINTS)],
        },
        addressType,
        endpoints: list,
        ports: (subset.ports ?? []).map((p) => ({ ...p, name: p.name ?? '', protocol: p.protocol ?? 'TCP' })),
      });
    }
  }
  return slices;
}

function mirroredEndpoints(subset: EndpointSubset, addressType: AddressType): Endpoint[] {
  const convert = (address: EndpointAddress, ready: boolean): Endpoint => ({
    addresses: [address.ip],
    conditions: { ready },
    ...(address.hostname ? { hostname: address.hostname } : {}),
    ...(address.targetRef ? { targetRef: address.targetRef } : {}),
    ...(address.nodeName ? { nodeName: address.nodeName } : {}),
  });
  const family = (address: EndpointAddress) => address.ip.includes(':') === (addressType === 'IPv6');
  return [
    ...(subset.addresses ?? []).filter(family).map((a) => convert(a, true)),
    ...(subset.notReadyAddresses ?? []).filter(family).map((a) => convert(a, false)),
  ].slice(0, MAX_ADDRESSES);
}
