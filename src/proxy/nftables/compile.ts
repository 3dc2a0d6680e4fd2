// From one service port and its endpoints to its chains, affinity sets and elements of the shared maps. After the loop over
// service ports in syncProxyRules() of pkg/proxy/nftables/proxier.go, v1.34, rule for rule. A pure function.
//
//   @service-ips ─ ClusterIP ───────────▶ service (policy Cluster) or local (Local) ─▶ endpoint, one of them ─▶ dnat
//                ─ external IPs, LB IPs ▶ external ─▶ service or local
//   @service-nodeports ─ node port ─────▶ external
//   @firewall-ips ─ LB IPs ─────────────▶ firewall ─▶ drop, unless the source is allowed
//   @no-endpoint-services, @no-endpoint-nodeports ─▶ reject without any endpoint, drop without a local one

import type { AddressField, NftVerdict } from '../../kernel/netfilter/nftables/ruleset.ts';
import { familyOf, type IpAddress, isInPrefix, widthOf } from '../../tcpip-ts/wire/ip-address.ts';
import type { Expression, NftRule } from '../either-family.ts';
import type { Endpoint } from '../endpoints.ts';
import type { LocalDetector } from '../local-detector.ts';
import {
  isExternallyAccessible,
  type ServicePort,
  servicePortName,
  usesClusterEndpoints,
  usesLocalEndpoints,
} from '../service-port.ts';
import { categorizeEndpoints, type EndpointCategories, type Topology } from '../topology.ts';
import type { ElementClaim } from './elements.ts';
import { goTo, jump, MARK_MASQ, type MapName, REJECT } from './frame.ts';
import { endpointNames, type ServiceChains, serviceChains } from './names.ts';

export interface CompileContext extends Topology {
  readonly masqueradeAll: boolean;
  readonly local: LocalDetector | undefined;
  readonly nodeIP: IpAddress | undefined;
}

export interface CompiledPort {
  /** In the order they are made; rules are written after all chains are there. */
  readonly chains: readonly string[];
  readonly rules: readonly { readonly chain: string; readonly rule: NftRule }[];
  readonly affinitySets: readonly { readonly name: string; readonly timeoutS: number }[];
  readonly elements: readonly ElementClaim[];
}

export function compileServicePort(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  ctx: CompileContext,
): CompiledPort {
  return new PortCompiler(port, categorizeEndpoints(endpoints, port, ctx), ctx).compile();
}

const DROP: NftVerdict = { kind: 'drop' };
const LOCAL_SOURCE: Expression = { kind: 'fib-local', field: 'saddr' };

class PortCompiler {
  readonly #port: ServicePort;
  readonly #categories: EndpointCategories;
  readonly #ctx: CompileContext;
  readonly #names: ServiceChains;
  readonly #chains: string[] = [];
  readonly #rules: { chain: string; rule: NftRule }[] = [];
  readonly #elements: ElementClaim[] = [];
  readonly #usesFirewall: boolean;

  constructor(port: ServicePort, categories: EndpointCategories, ctx: CompileContext) {
    this.#port = port;
    this.#categories = categories;
    this.#ctx = ctx;
    this.#names = serviceChains(port);
    this.#usesFirewall = port.loadBalancerIPs.length > 0 && port.sourceRanges.length > 0;
  }

  compile(): CompiledPort {
    const { cluster, local, reachable, hasAny } = this.#categories;
    const byCluster = usesClusterEndpoints(this.#port) && cluster?.length ? cluster : null;
    const byLocal = usesLocalEndpoints(this.#port) && local?.length ? local : null;
    const usesExternal = hasAny && isExternallyAccessible(this.#port);
    for (const endpoint of reachable) this.#chains.push(endpointNames(this.#port, endpoint).chain);
    if (byCluster) this.#chains.push(this.#names.service);
    if (byLocal) this.#chains.push(this.#names.local);
    if (usesExternal) this.#chains.push(this.#names.external);
    if (this.#usesFirewall) this.#chains.push(this.#names.firewall);

    this.#capture();
    if (this.#categories.hasInternal) this.#internalTraffic();
    if (usesExternal) this.#externalTraffic();
    if (this.#usesFirewall) this.#firewall();
    if (byCluster) this.#balance(this.#names.service, byCluster);
    if (byLocal) this.#balance(this.#names.local, byLocal);
    for (const endpoint of reachable) this.#endpoint(endpoint);
    const { affinityS: timeoutS } = this.#port;
    const bound = timeoutS > 0 ? reachable : [];
    return {
      chains: this.#chains,
      rules: this.#rules,
      affinitySets: bound.map((endpoint) => ({ name: endpointNames(this.#port, endpoint).affinity, timeoutS })),
      elements: this.#elements,
    };
  }

  /** Elements of the shared set and maps. */
  #capture(): void {
    const { clusterIP, port, nodePort, externalIPs, loadBalancerIPs } = this.#port;
    const { hasAny } = this.#categories;
    const { external, firewall } = this.#names;
    this.#elements.push({ kind: 'cluster-ip', addr: clusterIP });
    if (this.#categories.hasInternal) this.#element('service-ips', clusterIP, port, goto(this.#internalChain()));
    else this.#refuse('no-endpoint-services', clusterIP, port);
    for (const addr of externalIPs) {
      if (hasAny) this.#element('service-ips', addr, port, goto(external));
      if (!this.#categories.hasExternal) this.#refuse('no-endpoint-services', addr, port);
    }
    for (const addr of loadBalancerIPs) {
      if (hasAny) this.#element('service-ips', addr, port, goto(external));
      if (this.#usesFirewall) this.#element('firewall-ips', addr, port, goto(firewall));
      if (!this.#categories.hasExternal) this.#refuse('no-endpoint-services', addr, port);
    }
    if (nodePort === 0) return;
    // For better or worse, source ranges do not guard NodePorts.
    if (hasAny) this.#element('service-nodeports', 0, nodePort, goto(external));
    if (!this.#categories.hasExternal) this.#refuse('no-endpoint-nodeports', 0, nodePort);
  }

  #internalChain(): string {
    return this.#port.internalPolicyLocal ? this.#names.local : this.#names.service;
  }

  /** Traffic to the ClusterIP from elsewhere is masqueraded: it might be sent on to another Node. */
  #internalTraffic(): void {
    const toClusterIP: Expression = only('daddr', this.#port.clusterIP);
    if (this.#ctx.masqueradeAll) this.#rule(this.#internalChain(), [toClusterIP, jump(MARK_MASQ)]);
    else if (this.#ctx.local)
      this.#rule(this.#internalChain(), [toClusterIP, from(this.#ctx.local, true), jump(MARK_MASQ)]);
  }

  #externalTraffic(): void {
    const { external, service, local } = this.#names;
    if (!this.#port.externalPolicyLocal) {
      this.#rule(external, [jump(MARK_MASQ)]);
    } else {
      // Pods and the Node itself may use any endpoint, as if the traffic had gone out and come back in.
      if (this.#ctx.local)
        this.#rule(external, [from(this.#ctx.local, false), goTo(service)], 'short-circuit pod traffic');
      this.#rule(external, [LOCAL_SOURCE, jump(MARK_MASQ)], 'masquerade local traffic');
      this.#rule(external, [LOCAL_SOURCE, goTo(service)], 'short-circuit local traffic');
    }
    if (this.#categories.hasExternal) this.#rule(external, [goTo(this.#port.externalPolicyLocal ? local : service)]);
  }

  #firewall(): void {
    const { sourceRanges, loadBalancerIPs } = this.#port;
    // A Node reaches a load balancer's address that is its own with that very address as source.
    const own = sourceRanges.some((range) => isInPrefix(range, this.#ctx.nodeIP)) ? loadBalancerIPs : [];
    const prefixes = [...sourceRanges, ...own.map((addr) => [addr, widthOf(familyOf(addr))] as const)];
    this.#rule(this.#names.firewall, [
      { kind: 'address-in', field: 'saddr', prefixes, invert: true },
      { kind: 'verdict', verdict: DROP },
    ]);
  }

  #balance(chain: string, endpoints: readonly Endpoint[]): void {
    const names = endpoints.map((endpoint) => endpointNames(this.#port, endpoint));
    if (this.#port.affinityS > 0) {
      for (const name of names)
        this.#rule(chain, [{ kind: 'address-set', field: 'saddr', set: name.affinity }, goTo(name.chain)]);
    }
    this.#rule(chain, [{ kind: 'numgen-vmap', verdicts: names.map((name) => goto(name.chain)) }]);
  }

  #endpoint(endpoint: Endpoint): void {
    const { addr, port } = endpoint;
    const { chain, affinity } = endpointNames(this.#port, endpoint);
    // Hairpin: from itself to itself.
    this.#rule(chain, [only('saddr', addr), jump(MARK_MASQ)]);
    if (this.#port.affinityS > 0) this.#rule(chain, [{ kind: 'update', set: affinity }]);
    this.#rule(chain, [
      { kind: 'l4proto', proto: this.#port.proto },
      { kind: 'dnat', addr, port },
    ]);
  }

  /** Without any endpoint: reject; with none for this traffic: drop. */
  #refuse(map: MapName, addr: IpAddress, port: number): void {
    const verdict: NftVerdict = this.#categories.hasAny ? DROP : goto(REJECT);
    this.#element(map, addr, port, verdict, servicePortName(this.#port));
  }

  #element(map: MapName, addr: IpAddress, port: number, verdict: NftVerdict, comment?: string): void {
    const { proto } = this.#port;
    const element = { addr, proto, port, verdict, ...(comment === undefined ? {} : { comment }) };
    this.#elements.push({ kind: 'map', map, element });
  }

  #rule(chain: string, expressions: readonly Expression[], comment?: string): void {
    this.#rules.push({ chain, rule: { expressions, ...(comment === undefined ? {} : { comment }) } });
  }
}

function goto(chain: string): NftVerdict {
  return { kind: 'goto', chain };
}

/** Traffic from Pods, or from elsewhere. */
function from(local: LocalDetector, elsewhere: boolean): Expression {
  if (local.kind === 'interface') {
    const name = local.name.replace(/\+$/, '*');
    return { kind: 'iifname', name, invert: elsewhere };
  }
  const [addr, prefixLen] = local.cidr;
  return { kind: 'address', field: 'saddr', addr, prefixLen, invert: elsewhere };
}

function only(field: AddressField, addr: IpAddress): Expression {
  return { kind: 'address', field, addr, prefixLen: widthOf(familyOf(addr)) };
}
