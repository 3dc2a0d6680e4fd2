// What a request for a capture lets through: its filter expression, and the Service that it names, as kube-proxy serves it now.
import { compileFilter, type PacketFilter } from '../capture/filter.ts';
import { type Connections, type ServiceSocket, type ServiceSource, serviceFilter } from '../capture/service-filter.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { IP_CT_DIR_ORIGINAL } from '../kernel/netfilter/conntrack/ctinfo.ts';
import type { KubeProxy } from '../proxy/kube-proxy.ts';
import type { CaptureRequest } from './node-handle.ts';

/** Throws FilterError. */
export function captureFilter({ filter, service }: CaptureRequest, proxy: KubeProxy, kernel: Kernel): PacketFilter {
  const byText = compileFilter(filter);
  if (service === undefined) return byText;
  const byService = serviceFilter(new ProxiedService(service, proxy), connectionsOf(kernel));
  return (skb, ether) => byService(skb, ether) && byText(skb, ether);
}

export function connectionsOf({ conntrack, fib }: Pick<Kernel, 'conntrack' | 'fib'>): Connections {
  return {
    isLocal: (addr) => fib.isLocal(addr),
    firstDestination: (proto, saddr, sport, daddr, dport) => {
      // A translated packet has the tuple of the answer to it, turned round.
      const handle =
        conntrack.find(proto, saddr, sport, daddr, dport) || conntrack.find(proto, daddr, dport, saddr, sport);
      const ct = handle >> 1;
      return ct === 0 ? undefined : [conntrack.daddr(ct, IP_CT_DIR_ORIGINAL), conntrack.dport(ct, IP_CT_DIR_ORIGINAL)];
    },
  };
}

class ProxiedService implements ServiceSource {
  readonly #name: string;
  readonly #proxy: KubeProxy;

  constructor(name: string, proxy: KubeProxy) {
    this.#name = name;
    this.#proxy = proxy;
  }

  get generation(): number {
    return this.#proxy.syncs;
  }

  *sockets(): Generator<ServiceSocket> {
    for (const served of this.#proxy.portsOf(this.#name)) {
      const { proto, port, clusterIP, externalIPs, loadBalancerIPs, nodePort } = served;
      for (const addr of [clusterIP, ...externalIPs, ...loadBalancerIPs]) yield { proto, addr: Number(addr), port };
      if (nodePort !== 0) yield { proto, addr: undefined, port: nodePort };
    }
  }
}
