// Names of the iptables mode's chains, after portProtoHash() and its kin in pkg/proxy/iptables/proxier.go, v1.31: chain names
// have at most 28 characters, so a service port stands in one as the first 16 of base32(sha256(its name and protocol)).
import { createHash } from 'node:crypto';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';
import type { ServicePort } from '../service-port.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'; // RFC 4648
const HASH_LENGTH = 16;

export interface ServiceChains {
  /** Cluster policy, Local policy, external traffic, source ranges. */
  readonly svc: string;
  readonly svl: string;
  readonly ext: string;
  readonly fw: string;
}

/** `ns/name:port`; `ns/name` for a port without a name. */
export function servicePortName(port: Pick<ServicePort, 'service' | 'portName'>): string {
  return port.portName === '' ? port.service : `${port.service}:${port.portName}`;
}

export function protocolName(proto: number): 'tcp' | 'udp' | 'sctp' {
  return proto === IPPROTO_TCP ? 'tcp' : proto === IPPROTO_UDP ? 'udp' : 'sctp';
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

export function chainHash(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let out = '';
  for (let bit = 0; out.length < HASH_LENGTH; bit += 5) {
    const pair = (digest[bit >> 3]! << 8) | digest[(bit >> 3) + 1]!;
    out += ALPHABET[(pair >> (11 - (bit & 7))) & 31];
  }
  return out;
}

/** Of the i-th of n endpoints, with n - i of them left: the 10 decimals that kube-proxy hands to iptables. */
export function probabilityText(left: number): string {
  return (1 / left).toFixed(10);
}
