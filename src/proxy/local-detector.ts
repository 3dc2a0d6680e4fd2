// How kube-proxy tells traffic of this Node's or cluster's own Pods from that of others, after pkg/proxy/util/localdetector.go,
// v1.31. The same match means "from a Pod" and, inverted, "from elsewhere".

import { familyOf, type IpFamily } from '../tcpip-ts/wire/ip-address.ts';
import type { Cidr, KubeProxyConfig } from './config.ts';
import type { Match } from './either-family.ts';

export type LocalDetector =
  | { readonly kind: 'cidr'; readonly cidr: Cidr }
  /** A name that ends in `+` stands for all that begin so. */
  | { readonly kind: 'interface'; readonly name: string };

/** For traffic of `family`. Undefined: cannot be told, as with a NoOp detector. `podCIDRs` are the Node's. */
export function localDetectorOf(
  config: KubeProxyConfig,
  podCIDRs: readonly Cidr[],
  family: IpFamily = 4,
): LocalDetector | undefined {
  const cidr = (ranges: readonly Cidr[]): LocalDetector | undefined => {
    const range = ranges.find(([addr]) => familyOf(addr) === family);
    return range && { kind: 'cidr', cidr: range };
  };
  switch (config.detectLocalMode) {
    case 'ClusterCIDR':
      return cidr(config.clusterCIDRs);
    case 'NodeCIDR':
      return cidr(podCIDRs);
    case 'BridgeInterface':
      return { kind: 'interface', name: config.bridgeInterface };
    case 'InterfaceNamePrefix':
      return { kind: 'interface', name: `${config.interfaceNamePrefix}+` };
  }
}

export function fromPods(local: LocalDetector): Match {
  if (local.kind === 'interface') return { kind: 'in-interface', name: local.name };
  const [addr, prefixLen] = local.cidr;
  return { kind: 'source', addr, prefixLen };
}

export function fromElsewhere(local: LocalDetector): Match {
  if (local.kind === 'interface') return { kind: 'in-interface', name: local.name, invert: true };
  const [addr, prefixLen] = local.cidr;
  return { kind: 'source', addr, prefixLen, invert: true };
}
