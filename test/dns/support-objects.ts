// Objects for the tests of the cluster DNS, as small as an API would take them.
import type { Pod, Service, ServicePort } from '../../src/api/core-v1.ts';
import type { Endpoint, EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { KubeObject } from '../../src/api/meta.ts';

export function namespace(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

const HTTP: ServicePort[] = [{ name: 'http', protocol: 'TCP', port: 80 }];

export function service(name: string, clusterIP: string, ports = HTTP, ns = 'default'): Service {
  const spec = { clusterIP, clusterIPs: [clusterIP], type: 'ClusterIP', ports } as const;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: ns },
    spec: { ...spec, clusterIPs: [clusterIP], ports },
  };
}

export function externalName(name: string, target: string, ns = 'default'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: ns },
    spec: { type: 'ExternalName', externalName: target },
  };
}

/** A slice of a Service; endpoints are addresses or whole endpoints. */
export function slice(
  of: string,
  endpoints: readonly (string | Endpoint)[],
  suffix = 'abc12',
  ns = 'default',
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${of}-${suffix}`, namespace: ns, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    endpoints: endpoints.map((e) => (typeof e === 'string' ? { addresses: [e], conditions: { ready: true } } : e)),
  };
}

export function pod(name: string, podIP: string, ns = 'default'): Pod {
  const status = { phase: 'Running', podIP } as const;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: ns }, spec: { containers: [] }, status };
}
