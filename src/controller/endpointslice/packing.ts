// Packing endpoints into slices with few writes: what is placed stays where it is. Pure. After reconcileByPortMapping and
// finalize in staging/src/k8s.io/endpointslice/reconciler.go at daa4d01084ee.
//
// 1. In each existing slice drop the endpoints no longer wanted and refresh changed ones. 2. Put new endpoints into slices that
// must be written anyway, fullest first. 3. The rest goes into the one unwritten slice it fits best, else into new slices.
// Slices are never rebalanced. A slice to create takes the place of one to delete, which saves a write.
// Deviation: Kubernetes fills slices in the random order of a Go map; ours is the order of the Pods, so that runs repeat.
import { isDeepStrictEqual } from 'node:util';
import type { Service } from '../../api/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { sameLabels } from '../endpoints/membership.ts';
import { type AddressType, isOwnedBy, newSlice, type PortGroup, portKey, sliceLabels } from './desired.ts';

export interface SlicePlan {
  readonly create: EndpointSlice[];
  readonly update: Stored<EndpointSlice>[];
  readonly remove: Stored<EndpointSlice>[];
}

/** The writes that make `existing`, the Service's slices of one address type, hold `groups`. Arguments are left as they are. */
export function planSlices(
  service: Service,
  existing: readonly Stored<EndpointSlice>[],
  groups: ReadonlyMap<string, PortGroup>,
  addressType: AddressType,
  maxPerSlice: number,
): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const byPorts = new Map<string, Stored<EndpointSlice>[]>();
  for (const slice of existing) {
    if (!isOwnedBy(slice, service)) {
      plan.remove.push(slice);
      continue;
    }
    const key = portKey(slice.ports);
    byPorts.set(key, [...(byPorts.get(key) ?? []), slice]);
  }
  for (const [key, group] of groups) {
    packGroup(service, byPorts.get(key) ?? [], group, addressType, maxPerSlice, plan);
  }
  for (const [key, slices] of byPorts) if (!groups.has(key)) plan.remove.push(...slices);

  if (plan.create.length === 0 && plan.remove.length === existing.length) keepPlaceholder(service, addressType, plan);
  reuseRemoved(service, plan);
  return plan;
}

function packGroup(
  service: Service,
  existing: readonly Stored<EndpointSlice>[],
  group: PortGroup,
  addressType: AddressType,
  maxPerSlice: number,
  plan: SlicePlan,
): void {
  const wanted = new Map<string, Endpoint>(group.endpoints.map((e) => [endpointKey(e), e]));
  const labels = sliceLabels(service);
  const changed = new Map<Stored<EndpointSlice>, Endpoint[]>();
  const unchanged: Stored<EndpointSlice>[] = [];
  for (const slice of existing) {
    const kept: Endpoint[] = [];
    let differs = false;
    for (const endpoint of slice.endpoints ?? []) {
      const key = endpointKey(endpoint);
      const now = wanted.get(key);
      if (!now) continue;
      wanted.delete(key);
      kept.push(now);
      if (!isDeepStrictEqual(now, endpoint)) differs = true;
    }
    if (differs || kept.length !== (slice.endpoints ?? []).length) {
      if (kept.length === 0) plan.remove.push(slice);
      else changed.set(slice, kept);
    } else if (!sameLabels(slice.metadata.labels, labels)) changed.set(slice, kept);
    else unchanged.push(slice);
  }

  const rest = [...wanted.values()];
  for (const [, endpoints] of [...changed].sort((a, b) => b[1].length - a[1].length)) {
    endpoints.push(...rest.splice(0, Math.max(0, maxPerSlice - endpoints.length)));
  }
  while (rest.length > 0) {
    const fill = rest.length < maxPerSlice ? bestFit(unchanged, rest.length, maxPerSlice) : undefined;
    if (fill) {
      unchanged.splice(unchanged.indexOf(fill), 1);
      changed.set(fill, [...fill.endpoints, ...rest.splice(0)]);
    } else {
      plan.create.push(newSlice(service, addressType, group.ports, rest.splice(0, maxPerSlice)));
    }
  }
  for (const [slice, endpoints] of changed) plan.update.push(rewritten(slice, group.ports, endpoints, labels));
}

/** The slice that is fullest once `count` more are in it; undefined when none has the room. */
function bestFit(slices: readonly Stored<EndpointSlice>[], count: number, max: number) {
  let best: Stored<EndpointSlice> | undefined;
  let least = max;
  for (const slice of slices) {
    const room = max - count - slice.endpoints.length;
    if (room >= 0 && room < least) {
      least = room;
      best = slice;
    }
  }
  return best;
}

/** Same Pod, same addresses: the same endpoint, whatever its conditions. */
function endpointKey(e: Endpoint): string {
  const t = e.targetRef;
  return `${[...e.addresses].sort().join()}|${e.hostname ?? ''}|${t ? `${t.kind}/${t.namespace}/${t.name}/${t.uid}` : ''}`;
}

function rewritten(
  slice: Stored<EndpointSlice>,
  ports: EndpointPort[],
  endpoints: Endpoint[],
  labels: Record<string, string>,
): Stored<EndpointSlice> {
  return { ...slice, metadata: { ...slice.metadata, labels }, ports, endpoints };
}

/** A Service without endpoints keeps exactly one empty slice. */
function keepPlaceholder(service: Service, addressType: AddressType, plan: SlicePlan): void {
  const only = plan.remove.length === 1 ? plan.remove[0]! : undefined;
  if (
    only &&
    isOwnedBy(only, service) &&
    only.endpoints.length === 0 &&
    (only.ports ?? []).length === 0 &&
    sameLabels(only.metadata.labels, sliceLabels(service))
  ) {
    plan.remove.length = 0;
  } else {
    plan.create.push(newSlice(service, addressType, [], []));
  }
}

function reuseRemoved(service: Service, plan: SlicePlan): void {
  for (let i = 0; i < plan.remove.length && plan.create.length > 0; ) {
    const gone = plan.remove[i]!;
    if (!isOwnedBy(gone, service)) {
      i++;
      continue;
    }
    const fresh = plan.create.pop()!;
    plan.remove.splice(i, 1);
    plan.update.push(rewritten(gone, fresh.ports, fresh.endpoints, fresh.metadata.labels!));
  }
}
