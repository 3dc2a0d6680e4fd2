// Endpoints objects as EndpointSlices: what the EndpointSlice mirroring controller makes of Endpoints that people write themselves
// (kubernetes pkg/controller/endpointslicemirroring), for manifests that still have them. One slice a subset and address family.
// Leaves out: addresses beyond a thousand a slice, and the selector test: in manifests nobody else makes the slices.
import { isIPv6 } from 'node:net';
import type { EndpointAddress, Endpoints } from '../api/core-v1.ts';
import { type Endpoint, type EndpointSlice, LABEL_MANAGED_BY, LABEL_SERVICE_NAME } from '../api/discovery-v1.ts';

const MANAGER = 'endpointslicemirroring-controller.k8s.io';

export function mirrored(endpoints: Endpoints): EndpointSlice[] {
  const { name, namespace, labels } = endpoints.metadata;
  const slices: EndpointSlice[] = [];
  for (const subset of endpoints.subsets ?? []) {
    const list = [
      ...(subset.addresses ?? []).map((address) => endpointOf(address, true)),
      ...(subset.notReadyAddresses ?? []).map((address) => endpointOf(address, false)),
    ];
    for (const addressType of ['IPv4', 'IPv6'] as const) {
      const own = list.filter(({ addresses }) => isIPv6(addresses[0]!) === (addressType === 'IPv6'));
      if (own.length === 0) continue;
      slices.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          name: `${name}-mirrored-${slices.length}`,
          ...(namespace === undefined ? {} : { namespace }),
          labels: { ...labels, [LABEL_SERVICE_NAME]: name!, [LABEL_MANAGED_BY]: MANAGER },
        },
        addressType,
        endpoints: own,
        ports: (subset.ports ?? []).map((port) => ({ ...port })),
      });
    }
  }
  return slices;
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}
