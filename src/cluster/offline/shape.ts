// Objects of manifests with the shape of their kinds, as an API server would have read them: wrong types are refused in its words,
// nulls are taken for absent, fields that the kind does not have are left out and told of. Nobody validates further: what kube-proxy
// makes nothing of, an address or a port that is none, is left out and told of too, as that shows nowhere else.
import type { Node, Service } from '../../api/core-v1.ts';
import type { EndpointSlice } from '../../api/discovery-v1.ts';
import { ManifestError, type ManifestObject } from '../../api/manifest.ts';
import { apiVersionOf, type KubeObject } from '../../api/meta.ts';
import { ENDPOINTSLICES, NODES, SERVICES } from '../../api/resources.ts';
import { DecodeError, decode } from '../../api/schema/decode.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { parseIpAddress, parseIpPrefix } from '../../tcpip-ts/wire/ip-address.ts';

/** A private copy, with a spec. Throws ManifestError. */
export function shaped(manifest: ManifestObject, warn: (text: string) => void): KubeObject {
  const { type, object, file, line } = manifest;
  const error = (message: string): ManifestError => new ManifestError(file, line, 1, message);
  const schema = schemaOf(type);
  if (!schema) return object;
  let draft: KubeObject & { spec?: object };
  let unknown: readonly string[];
  try {
    const decoded = decode(schema, object, false);
    draft = decoded.value as unknown as typeof draft;
    unknown = decoded.unknown;
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const version = JSON.stringify(apiVersionOf(type));
    throw error(`${type.kind} in version ${version} cannot be handled as a ${type.kind}: ${cause.message}`);
  }
  if (!draft.metadata?.name) throw error(`${type.kind}: metadata.name is missing`);
  const { namespace, name } = draft.metadata;
  const what = `${type.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  if ('spec' in schema.fields) draft.spec ??= {};
  for (const path of unknown) warn(error(`${what}: unknown field ${JSON.stringify(path)}`).message);
  for (const [path, port] of leaveOutPorts(type.kind, draft))
    warn(error(`${what}: ${path}: ${port ?? 'nothing'} is not a port, and is left out`).message);
  for (const [path, text, wanted] of unreadable(type.kind, draft))
    warn(error(`${what}: ${path}: ${JSON.stringify(text)} is not ${wanted}, and is left out`).message);
  return draft;
}

type NoPort = readonly [path: string, port: number | undefined];

/** Takes out what is no port. Every port of a Service must have one; a slice's without one says nothing. */
function leaveOutPorts(kind: string, object: KubeObject): NoPort[] {
  const noPorts: NoPort[] = [];
  const isPort = (path: string, port: number | undefined): boolean => {
    const is = port !== undefined && port > 0 && port < 65_536;
    if (!is) noPorts.push([path, port]);
    return is;
  };
  if (kind === ENDPOINTSLICES.kind) {
    const slice = object as EndpointSlice;
    if (slice.ports) slice.ports = slice.ports.filter(({ port }) => !port || isPort('ports.port', port));
  }
  if (kind !== SERVICES.kind) return noPorts;
  const { spec } = object as Service;
  if (spec.ports) spec.ports = spec.ports.filter(({ port }) => isPort('spec.ports.port', port));
  for (const port of spec.ports ?? [])
    if (port.nodePort && !isPort('spec.ports.nodePort', port.nodePort)) delete port.nodePort;
  if (spec.healthCheckNodePort && !isPort('spec.healthCheckNodePort', spec.healthCheckNodePort))
    delete spec.healthCheckNodePort;
  return noPorts;
}

type Unreadable = readonly [path: string, text: string, wanted: string];

/** What should be an address or a range, and is none. */
function unreadable(kind: string, object: KubeObject): Unreadable[] {
  switch (kind) {
    case SERVICES.kind:
      return ofService(object as Service);
    case ENDPOINTSLICES.kind:
      return ofSlice(object as EndpointSlice);
    case NODES.kind:
      return ofNode(object as Node);
  }
  return [];
}

function ofService({ spec, status }: Service): Unreadable[] {
  const given = spec.clusterIP === undefined || spec.clusterIP === 'None' ? [] : [spec.clusterIP];
  const clusterIPs = (spec.clusterIPs ?? given).filter((text) => text !== 'None' && text !== '');
  const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? '').filter((ip) => ip !== '');
  return [
    ...notAddresses('spec.clusterIPs', clusterIPs),
    ...notAddresses('spec.externalIPs', spec.externalIPs ?? []),
    ...notRanges('spec.loadBalancerSourceRanges', spec.loadBalancerSourceRanges ?? []),
    ...notAddresses('status.loadBalancer.ingress', ingress),
  ];
}

function ofSlice({ addressType, endpoints }: EndpointSlice): Unreadable[] {
  if (addressType !== 'IPv4' && addressType !== 'IPv6') return [];
  return (endpoints ?? [])
    .flatMap(({ addresses }) => addresses ?? [])
    .filter((text) => parseIpAddress(text) === undefined || text.includes(':') !== (addressType === 'IPv6'))
    .map((text) => ['endpoints.addresses', text, `an ${addressType} address`]);
}

function ofNode({ spec, status }: Node): Unreadable[] {
  const addresses = (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP');
  const podCIDRs = spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);
  return [
    ...notAddresses(
      'status.addresses',
      addresses.map(({ address }) => address),
    ),
    ...notRanges('spec.podCIDRs', podCIDRs),
  ];
}

function notAddresses(path: string, texts: readonly string[]): Unreadable[] {
  return texts.filter((text) => parseIpAddress(text) === undefined).map((text) => [path, text, 'an IP address']);
}

function notRanges(path: string, texts: readonly string[]): Unreadable[] {
  const isRange = (text: string): boolean => text.includes('/') && parseIpPrefix(text.trim()) !== undefined;
  return texts.filter((text) => !isRange(text)).map((text) => [path, text, 'ADDRESS/LENGTH']);
}
