// The subsets of an Endpoints object: addresses grouped by the ports they share. Pure. After
// pkg/controller/endpoint/endpoints_controller.go and pkg/api/v1/endpoints/util.go (RepackSubsets) (1.32).
import type { EndpointAddress, EndpointSubset, Pod, Service } from '../../api/core-v1.ts';
import { isPodReady, podIPs } from '../../api/pod.ts';
import { byHash, portHash, subsetHash } from './go-dump.ts';
import { belongsInEndpoints, findPort, isHeadless, publishesHostname } from './membership.ts';

export const MAX_ADDRESSES = 1000;

type Port = NonNullable<EndpointSubset['ports']>[number];

interface Member {
  readonly address: EndpointAddress;
  readonly key: string;
  readonly ready: boolean;
}

/** The subsets for a Service from the Pods its selector matches, in Kubernetes' order. */
export function endpointSubsets(service: Service, pods: readonly Pod[]): EndpointSubset[] {
  const tolerateUnready = service.spec.publishNotReadyAddresses === true;
  const groups = new Map<string, { port: Port | undefined; members: Map<string, Member> }>();
  const insert = (port: Port | undefined, member: Member) => {
    const key = port ? `${port.name ?? ''}/${port.port}/${port.protocol}/${port.appProtocol ?? ''}` : '';
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { port, members: new Map() }));
    // One address both ready and not ready (a host network's) counts as ready.
    const before = group.members.get(member.key);
    if (!before || member.ready) group.members.set(member.key, member);
  };
  for (const pod of pods) {
    if (!belongsInEndpoints(pod, tolerateUnready)) continue;
    const address = endpointAddress(service, pod);
    if (!address) continue;
    const member = {
      address,
      key: `${address.ip}|${pod.metadata.uid ?? ''}`,
      ready: tolerateUnready || isPodReady(pod),
    };
    const ports = service.spec.ports ?? [];
    if (ports.length === 0 && isHeadless(service)) insert(undefined, member);
    for (const port of ports) {
      const number = findPort(pod, port);
      if (number === undefined) continue;
      insert(
        {
          ...(port.name ? { name: port.name } : {}),
          port: number,
          protocol: port.protocol ?? 'TCP',
          ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}),
        },
        member,
      );
    }
  }
  return repack([...groups.values()]);
}

/** Ports offered by exactly the same addresses share a subset. */
function repack(groups: readonly { port: Port | undefined; members: Map<string, Member> }[]): EndpointSubset[] {
  const bySet = new Map<string, { ports: Port[]; members: Member[] }>();
  for (const { port, members } of groups) {
    const sorted = [...members.values()].sort((a, b) => compare(a.address.ip, b.address.ip) || compare(a.key, b.key));
    const key = sorted.map((m) => `${m.key}|${m.ready}`).join(' ');
    let subset = bySet.get(key);
    if (!subset) bySet.set(key, (subset = { ports: [], members: sorted }));
    if (port) subset.ports.push(port);
  }
  const subsets = [...bySet.values()].map(({ ports, members }): EndpointSubset => {
    const ready = members.filter((m) => m.ready).map((m) => m.address);
    const notReady = members.filter((m) => !m.ready).map((m) => m.address);
    return {
      ...(ready.length > 0 ? { addresses: ready } : {}),
      ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
      ...(ports.length > 0 ? { ports: ports.sort(byHash(portHash)) } : {}),
    };
  });
  return subsets.sort(byHash(subsetHash));
}

function endpointAddress(service: Service, pod: Pod): EndpointAddress | undefined {
  const ipv6 = service.spec.ipFamilies?.[0] === 'IPv6';
  const ip = podIPs(pod).find((a) => a.includes(':') === ipv6);
  if (!ip) return undefined;
  return {
    ip,
    ...(publishesHostname(pod, service) ? { hostname: pod.spec.hostname! } : {}),
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: {
      kind: 'Pod',
      namespace: pod.metadata.namespace!,
      name: pod.metadata.name!,
      uid: pod.metadata.uid!,
    },
  };
}

/** At most 1,000 addresses, shared among the subsets in proportion, ready ones first; undefined when all fit. */
export function truncateSubsets(subsets: readonly EndpointSubset[]): EndpointSubset[] | undefined {
  const ready = total(subsets, (s) => s.addresses);
  const notReady = total(subsets, (s) => s.notReadyAddresses);
  if (ready + notReady <= MAX_ADDRESSES) return undefined;
  const cutReady = ready > MAX_ADDRESSES;
  const room = cutReady ? MAX_ADDRESSES : MAX_ADDRESSES - ready;
  const all = cutReady ? ready : notReady;
  let left = room;
  return subsets.map(({ addresses, notReadyAddresses, ...rest }) => {
    const list = (cutReady ? addresses : notReadyAddresses) ?? [];
    const kept = list.slice(0, Math.min(left, Math.ceil((list.length / all) * room)));
    left -= kept.length;
    const some = kept.length > 0;
    if (cutReady) return { ...(some ? { addresses: kept } : {}), ...rest };
    return { ...(addresses ? { addresses } : {}), ...(some ? { notReadyAddresses: kept } : {}), ...rest };
  });
}

function total(subsets: readonly EndpointSubset[], of: (s: EndpointSubset) => readonly unknown[] | undefined): number {
  return subsets.reduce((n, s) => n + (of(s)?.length ?? 0), 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
