// Names of the nftables mode's chains and sets, after servicePortChainNameBase(), servicePortEndpointChainNameBase() and
// hashAndTruncate() of pkg/proxy/nftables/proxier.go, v1.34: nft takes `/`, which no Kubernetes name has, so the whole name of a
// service port stands in them, after 8 characters of its hash.
import { formatIpAddress, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { chainHash } from '../chain-hash.ts';
import { protocolName, type ServicePort } from '../service-port.ts';

/** NFT_NAME_MAXLEN of knftables less the longest prefix. */
const MAX_BASE = 240;

export interface ServiceChains {
  /** Cluster policy, Local policy, external traffic, source ranges. */
  readonly service: string;
  readonly local: string;
  readonly external: string;
  readonly firewall: string;
}

export function serviceChains(port: Pick<ServicePort, 'service' | 'portName' | 'proto'>): ServiceChains {
  const base = hashed(nameOf(port));
  return {
    service: `service-${base}`,
    local: `local-${base}`,
    external: `external-${base}`,
    firewall: `firewall-${base}`,
  };
}

/** The endpoint's chain and the set of clients bound to it. */
export function endpointNames(
  port: Pick<ServicePort, 'service' | 'portName' | 'proto'>,
  endpoint: { readonly addr: IpAddress; readonly port: number },
): { readonly chain: string; readonly affinity: string } {
  const base = hashed(`${nameOf(port)}__${formatIpAddress(endpoint.addr).replaceAll(':', '.')}/${endpoint.port}`);
  return { chain: `endpoint-${base}`, affinity: `affinity-${base}` };
}

/** Whether a chain is of a service port: no other has a slash. */
export function isServiceChain(name: string): boolean {
  return name.includes('/');
}

export function isAffinitySet(name: string): boolean {
  return name.startsWith('affinity-');
}

function nameOf({ service, portName, proto }: Pick<ServicePort, 'service' | 'portName' | 'proto'>): string {
  return `${service}/${protocolName(proto)}/${portName}`;
}

function hashed(name: string): string {
  const base = `${chainHash(name).slice(0, 8)}-${name}`;
  return base.length > MAX_BASE ? `${base.slice(0, MAX_BASE - 3)}...` : base;
}
