// UDP flows that must be forgotten: those of a service port whose endpoint is no longer one, or that came when there was none.
// Their next packet is a first one again. After CleanStaleEntries() of pkg/proxy/conntrack, v1.32. TCP connections are left to
// end by themselves.

import type { ConntrackOp } from '../kernel/netlink.ts';
import { IPPROTO_UDP } from '../tcpip-ts/wire/ipv4.ts';
import type { Netlink } from './either-family.ts';
import { type Endpoint, endpointName } from './endpoints.ts';
import type { ServicePort } from './service-port.ts';

/** `ports` are service ports that changed or went, with the endpoints they have now (none once gone). O(UDP flows). */
export function staleFlows(
  netlink: Netlink,
  ports: Iterable<readonly [port: ServicePort, endpoints: readonly Endpoint[]]>,
): readonly ConntrackOp[] {
  const byAddress = new Map<string, ReadonlySet<string>>();
  const byNodePort = new Map<number, ReadonlySet<string>>();
  for (const [port, endpoints] of ports) {
    if (port.proto !== IPPROTO_UDP) continue;
    const serving = new Set(endpoints.filter((e) => e.serving).map(endpointName));
    for (const addr of [port.clusterIP, ...port.externalIPs, ...port.loadBalancerIPs])
      byAddress.set(endpointName({ addr, port: port.port }), serving);
    if (port.nodePort !== 0) byNodePort.set(port.nodePort, serving);
  }
  if (byAddress.size === 0) return [];
  const ops: ConntrackOp[] = [];
  for (const { original, reply } of netlink.conntrack({ proto: IPPROTO_UDP })) {
    const { proto, saddr: origSrc, sport: origPortSrc, daddr: origDst, dport: origPortDst } = original;
    const serving = byAddress.get(endpointName({ addr: origDst, port: origPortDst })) ?? byNodePort.get(origPortDst);
    if (!serving || serving.has(endpointName({ addr: reply.saddr, port: reply.sport }))) continue;
    ops.push({ op: 'conntrack-delete', filter: { proto, origSrc, origPortSrc, origDst, origPortDst } });
  }
  return ops;
}
