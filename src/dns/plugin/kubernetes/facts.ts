// What DNS needs to know of Services and EndpointSlices, and nothing else of them. Names are in lower case, as the API has them.
import type { Epoch } from '../../answer-memo.ts';

export interface PortFacts {
  /** In lower case. */
  readonly name: string;
  readonly protocol: string;
  /** -1: the object declares no ports; such a port has addresses but no SRV record. */
  readonly port: number;
}

export interface EndpointFacts {
  readonly address: Uint8Array;
  /** Canonical text. */
  readonly text: string;
  /** Its label under the Service's name. */
  readonly hostname: string;
  /** Whether the endpoint says itself what it is called. */
  readonly hasHostname: boolean;
  /** Topology zone; '' is none. */
  readonly zone: string;
}

export interface SliceFacts {
  readonly entry: ServiceEntry;
  readonly ports: readonly PortFacts[];
  readonly endpoints: readonly EndpointFacts[];
}

export interface ServiceFacts {
  readonly kind: 'clusterIP' | 'headless' | 'externalName';
  /** Target of an ExternalName Service, as written; undefined when it is an address, which gives no records. */
  readonly externalName: string | undefined;
  readonly clusterIPs: readonly { readonly address: Uint8Array; readonly text: string }[];
  readonly ports: readonly PortFacts[];
  /** externalIPs and what load balancers gave: addresses, or host names as text. */
  readonly externalHosts: readonly (Uint8Array | string)[];
}

export interface ServiceEntry {
  /** Raised whenever anything about it changes. */
  readonly epoch: Epoch;
  readonly name: string;
  readonly namespace: string;
  service: ServiceFacts | undefined;
  readonly slices: Map<string, SliceFacts>;
  /** Ready endpoints of all slices. */
  endpoints: number;
  /** What A and AAAA questions for the Service's own name get: the ClusterIPs, or a headless Service's endpoints, each once. */
  ipv4: readonly Uint8Array[];
  ipv6: readonly Uint8Array[];
}
