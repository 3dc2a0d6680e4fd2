// Situations that are written in IPv4, in IPv6, and in both.
import type { Service } from '../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { Manifest } from './objects.ts';

/** The same situation in IPv6: every IPv4 address of the text embedded below fd00:4::/96, 127.0.0.1 as ::1. */
export function inIPv6(text: string): string {
  const mapped = text.replace(/\b(\d+)\.(\d+)\.(\d+)\.(\d+)(\/\d+)?(:\d+)?/g, (_all, a, b, c, d, length, port) => {
    const bytes = [a, b, c, d].map(Number);
    const [high, low] = [(bytes[0]! << 8) | bytes[1]!, (bytes[2]! << 8) | bytes[3]!];
    const addr = bytes[0] === 127 ? '::1' : `fd00:4::${high.toString(16)}:${low.toString(16)}`;
    const prefix = length === undefined ? '' : `/${bytes[0] === 127 ? 128 : Number(length.slice(1)) + 96}`;
    return port === undefined ? `${addr}${prefix}` : `[${addr}]${port}`;
  });
  return mapped.replaceAll('"IPv4"', '"IPv6"');
}

/** The same objects with addresses of both families; of a slice there is one for each. */
export function dualStack(object: Manifest): object[] {
  const six = JSON.parse(inIPv6(JSON.stringify(object))) as Manifest;
  if (object.kind !== 'Service')
    return [object, { ...six, metadata: { ...six.metadata, name: `${(six as EndpointSlice).metadata.name}-6` } }];
  const [a, b] = [object as Service, six as Service];
  const { externalIPs = [], loadBalancerSourceRanges = [] } = a.spec;
  const ingress = [...(a.status?.loadBalancer?.ingress ?? []), ...(b.status?.loadBalancer?.ingress ?? [])];
  const spec = {
    ...a.spec,
    clusterIPs: [a.spec.clusterIP, b.spec.clusterIP],
    ipFamilies: ['IPv4', 'IPv6'],
    externalIPs: [...externalIPs, ...(b.spec.externalIPs ?? [])],
    loadBalancerSourceRanges: [...loadBalancerSourceRanges, ...(b.spec.loadBalancerSourceRanges ?? [])],
  };
  return [{ ...a, spec, status: { loadBalancer: { ingress } } }];
}
