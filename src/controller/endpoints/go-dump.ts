// The order of ports and subsets in an Endpoints object. Kubernetes sorts both by the MD5 of a textual dump of the Go value
// (pkg/api/v1/endpoints/util.go, DeepHashObject; format of go-spew's %#v), which users see in `kubectl get endpoints`: kube-dns
// lists dns-tcp, dns, metrics. So we write the same dump. Field order is that of k8s.io/api/core/v1 (1.32).
import { createHash } from 'node:crypto';
import type { EndpointAddress, EndpointSubset } from '../../api/core-v1.ts';

type EndpointSubsetPort = NonNullable<EndpointSubset['ports']>[number];

export function portHash(port: EndpointSubsetPort): string {
  return md5(dumpPort(port, true));
}

export function subsetHash(subset: EndpointSubset): string {
  return md5(
    `(v1.EndpointSubset){Addresses:${dumpAddresses(subset.addresses)} NotReadyAddresses:${dumpAddresses(subset.notReadyAddresses)} Ports:${dumpPorts(subset.ports)}}`,
  );
}

/** By bytes of the digest; hex compares the same way. */
export function byHash<T>(hash: (item: T) => string): (a: T, b: T) => number {
  const known = new Map<T, string>();
  const of = (item: T) => {
    let h = known.get(item);
    if (h === undefined) known.set(item, (h = hash(item)));
    return h;
  };
  return (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0);
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

const pointer = (value: string | undefined): string => `(*string)${value ?? '<nil>'}`;

/** The type of a slice's elements is not repeated before each. */
function dumpPort(p: EndpointSubsetPort, typed: boolean): string {
  const body = `{Name:(string)${p.name ?? ''} Port:(int32)${p.port} Protocol:(v1.Protocol)${p.protocol ?? 'TCP'} AppProtocol:${pointer(p.appProtocol)}}`;
  return typed ? `(v1.EndpointPort)${body}` : body;
}

function dumpPorts(ports: readonly EndpointSubsetPort[] | undefined): string {
  return `([]v1.EndpointPort)${ports ? `[${ports.map((p) => dumpPort(p, false)).join(' ')}]` : '<nil>'}`;
}

function dumpAddresses(addresses: readonly EndpointAddress[] | undefined): string {
  return `([]v1.EndpointAddress)${addresses ? `[${addresses.map(dumpAddress).join(' ')}]` : '<nil>'}`;
}

function dumpAddress(a: EndpointAddress): string {
  const t = a.targetRef;
  const ref = t
    ? `{Kind:(string)${t.kind ?? ''} Namespace:(string)${t.namespace ?? ''} Name:(string)${t.name ?? ''} UID:(types.UID)${t.uid ?? ''} APIVersion:(string)${t.apiVersion ?? ''} ResourceVersion:(string)${t.resourceVersion ?? ''} FieldPath:(string)${t.fieldPath ?? ''}}`
    : '<nil>';
  return `{IP:(string)${a.ip} Hostname:(string)${a.hostname ?? ''} NodeName:${pointer(a.nodeName)} TargetRef:(*v1.ObjectReference)${ref}}`;
}
