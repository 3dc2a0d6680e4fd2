// A Service as proxies see it: one ServicePort for each of its ports, after BaseServicePortInfo and newBaseServiceInfo() of
// pkg/proxy/serviceport.go, v1.31. One of
// a family's ServicePorts holds addresses of that family alone: a dual-stack Service has two, with the same key.
import type { Service, ServicePort as ServicePortSpec } from '../api/core-v1.ts';
import { LABEL_SERVICE_PROXY_NAME } from '../api/discovery-v1.ts';
import { familyOf, type IpAddress, type IpFamily, parseIpOf, parseIpPrefix } from '../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../tcpip-ts/wire/ipv4.ts';
import type { Cidr } from './config.ts';

export interface ServicePort {
  /** `namespace/name:port/protocol`: unique on the cluster. */
  readonly key: string;
  /** `namespace/name`. */
  readonly service: string;
  /** Name of the port, '' when it has none. */
  readonly portName: string;
  readonly proto: number;
  readonly port: number;
  readonly clusterIP: IpAddress;
  /** 0: none. */
  readonly nodePort: number;
  readonly externalIPs: readonly IpAddress[];
  /** Of the status, those with ipMode VIP. */
  readonly loadBalancerIPs: readonly IpAddress[];
  readonly sourceRanges: readonly Cidr[];
  /** Of session affinity ClientIP; 0: none. */
  readonly affinityS: number;
  readonly internalPolicyLocal: boolean;
  readonly externalPolicyLocal: boolean;
  /** 0: none. */
  readonly healthCheckNodePort: number;
}

export type ServicePorts = ReadonlyMap<string, ServicePort>;

/** Key of a service port, shared with the endpoints of that port. */
export function portKey(service: string, portName: string, proto: number): string {
  return `${service}:${portName}/${proto}`;
}

/**
 * IPPROTO_*; undefined for what is no Service protocol. Deviation: SCTP ports have rules as the others do, but the emulated kernel
 * tracks SCTP without ports and translates addresses alone.
 */
export function protocolNumber(protocol: string | undefined): number | undefined {
  if (protocol === undefined || protocol === 'TCP') return IPPROTO_TCP;
  return protocol === 'UDP' ? IPPROTO_UDP : protocol === 'SCTP' ? IPPROTO_SCTP : undefined;
}

/** Of those that protocolNumber() gives. */
export function protocolName(proto: number): 'tcp' | 'udp' | 'sctp' {
  return proto === IPPROTO_TCP ? 'tcp' : proto === IPPROTO_UDP ? 'udp' : 'sctp';
}

/** `ns/name:port`; `ns/name` for a port without a name. */
export function servicePortName(port: Pick<ServicePort, 'service' | 'portName'>): string {
  return port.portName === '' ? port.service : `${port.service}:${port.portName}`;
}

/** Empty for a Service that is not proxied: headless, ExternalName, somebody else's, of the other family only. */
export function servicePortsOf(service: Service, family: IpFamily = 4): ServicePorts {
  const ports = new Map<string, ServicePort>();
  const { spec } = service;
  const clusterIPs = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? ''];
  const clusterIP = addresses(clusterIPs, family)[0];
  if (spec.type === 'ExternalName' || clusterIP === undefined) return ports;
  if (service.metadata.labels?.[LABEL_SERVICE_PROXY_NAME] !== undefined) return ports;
  for (const port of spec.ports ?? []) {
    const servicePort = servicePortOf(service, port, clusterIP);
    if (servicePort) ports.set(servicePort.key, servicePort);
  }
  return ports;
}

function servicePortOf(service: Service, port: ServicePortSpec, clusterIP: IpAddress): ServicePort | undefined {
  const { spec } = service;
  const proto = protocolNumber(port.protocol);
  if (proto === undefined) return undefined;
  const name = `${service.metadata.namespace}/${service.metadata.name}`;
  const family = familyOf(clusterIP);
  const externalIPs = addresses(spec.externalIPs ?? [], family);
  // Whatever the Service's type: what has been written there is taken for granted.
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  const vips = ingress.filter((i) => i.ip && (i.ipMode ?? 'VIP') === 'VIP').map((i) => i.ip!);
  // Of whichever family they are: ExternallyAccessible() of pkg/api/v1/service.
  const isExternal = spec.type === 'NodePort' || spec.type === 'LoadBalancer' || (spec.externalIPs ?? []).length > 0;
  const affinity =
    spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) : 0;
  return {
    key: portKey(name, port.name ?? '', proto),
    service: name,
    portName: port.name ?? '',
    proto,
    port: port.port,
    clusterIP,
    nodePort: port.nodePort ?? 0,
    externalIPs,
    loadBalancerIPs: addresses(vips, family),
    sourceRanges: (spec.loadBalancerSourceRanges ?? []).flatMap((text) => {
      const cidr = text.includes('/') ? parseIpPrefix(text.trim()) : undefined; // an address alone is no range
      return cidr && familyOf(cidr[0]) === family ? [cidr] : [];
    }),
    affinityS: affinity,
    internalPolicyLocal: spec.internalTrafficPolicy === 'Local',
    externalPolicyLocal: isExternal && spec.externalTrafficPolicy === 'Local',
    healthCheckNodePort:
      spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local' ? (spec.healthCheckNodePort ?? 0) : 0,
  };
}

export function isExternallyAccessible(port: ServicePort): boolean {
  return port.nodePort !== 0 || port.loadBalancerIPs.length > 0 || port.externalIPs.length > 0;
}

/** Even with a Local external policy: the Node's own traffic to an external address is cut short to any endpoint. */
export function usesClusterEndpoints(port: ServicePort): boolean {
  return !port.internalPolicyLocal || isExternallyAccessible(port);
}

export function usesLocalEndpoints(port: ServicePort): boolean {
  return port.internalPolicyLocal || (port.externalPolicyLocal && isExternallyAccessible(port));
}

/** Leading zeros are read as decimal, as the Kubernetes API always did. */
function addresses(texts: readonly string[], family: IpFamily): IpAddress[] {
  return texts.flatMap((text) => parseIpOf(family, text) ?? []);
}
