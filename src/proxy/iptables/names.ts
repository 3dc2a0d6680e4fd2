// Names of the iptables mode's chains, after portProtoHash() and its kin in pkg/proxy/iptables/proxier.go, v1.31: chain names
// have at most 28 characters, so a service port stands in one as the first 16 of base32(sha256(its name and protocol)).
import { chainHash } from '../chain-hash.ts';
import { protocolName, type ServicePort, servicePortName } from '../service-port.ts';

export interface ServiceChains {
  /** Cluster policy, Local policy, external traffic, source ranges. */
  readonly svc: string;
  readonly svl: string;
  readonly ext: string;
  readonly fw: string;
}

export function serviceChains(port: ServicePort): ServiceChains {
  const hash = chainHash(servicePortName(port) + protocolName(port.proto));
  return { svc: `KUBE-SVC-${hash}`, svl: `KUBE-SVL-${hash}`, ext: `KUBE-EXT-${hash}`, fw: `KUBE-FW-${hash}` };
}

/** `endpoint` is `address:port`. */
export function endpointChain(port: ServicePort, endpoint: string): string {
  return `KUBE-SEP-${chainHash(servicePortName(port) + protocolName(port.proto) + endpoint)}`;
}

/** Whether a chain is one of those above, of whatever service port. */
export function isServiceChain(name: string): boolean {
  return /^KUBE-(SVC|SVL|EXT|FW|SEP)-/.test(name);
}

/** Of the i-th of n endpoints, with n - i of them left: the 10 decimals that kube-proxy hands to iptables. */
export function probabilityText(left: number): string {
  return (1 / left).toFixed(10);
}
