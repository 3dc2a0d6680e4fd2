// How kube-proxy tells traffic of this Node's or cluster's own Pods from that of others, after pkg/proxy/util/localdetector.go,
// v1.31. The same match means "from a Pod" and, inverted, "from elsewhere".
// Deviation: only one range is kept; the real one too has one an address family.
import type { Match } from '../kernel/netfilter/iptables/rule.ts';
import type { Cidr, KubeProxyConfig } from './config.ts';

export type LocalDetector =
  | { readonly kind: 'cidr'; readonly cidr: Cidr }
  /** A name that ends in `+` stands for all that begin so. */
  | { readonly kind: 'interface'; readonly name: string };

/** Undefined: cannot be told, as with a NoOp detector. `podCIDR` is the Node's. */
export function localDetectorOf(config: KubeProxyConfig, podCIDR: Cidr | undefined): LocalDetector | undefined {
  const cidr = (range: Cidr | undefined): LocalDetector | undefined => range && { kind: 'cidr', cidr: range };
  switch (config.detectLocalMode) {
    case 'ClusterCIDR':
      return cidr(config.clusterCIDR);
    case 'NodeCIDR':
      return cidr(podCIDR);
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
