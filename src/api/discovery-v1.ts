// discovery.k8s.io/v1 and node.k8s.io/v1. Shapes follow k8s.io/api.
import type { ObjectReference, Protocol } from './core-v1.ts';
import type { KubeObject } from './meta.ts';

export const LABEL_SERVICE_NAME = 'kubernetes.io/service-name';
export const LABEL_MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
export const LABEL_HEADLESS = 'service.kubernetes.io/headless';
export const LABEL_SERVICE_PROXY_NAME = 'service.kubernetes.io/service-proxy-name';

export interface Endpoint {
  addresses: string[];
  /** A missing `ready` reads as true, a missing `serving` as `ready`, a missing `terminating` as false. */
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  hostname?: string;
  targetRef?: ObjectReference;
  nodeName?: string;
  zone?: string;
  hints?: { forZones?: { name: string }[]; forNodes?: { name: string }[] };
}

export interface EndpointPort {
  name?: string;
  protocol?: Protocol;
  port?: number | null;
  appProtocol?: string;
}

export interface EndpointSlice extends KubeObject {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints: Endpoint[];
  ports: EndpointPort[];
}

/** node.k8s.io/v1: names the runtime of a Pod; ours are `netns` and `userspace`. */
export interface RuntimeClass extends KubeObject {
  handler: string;
}
