// From one service port and its endpoints to its rules: its part of the top-level chains, and its own chains in the nat table.
// After the loop over service ports in syncProxyRules() of pkg/proxy/iptables/proxier.go, v1.31, rule for rule.
//
//   KUBE-SERVICES ── ClusterIP ──────────────▶ SVC (policy Cluster) or SVL (Local) ─▶ SEP, one an endpoint ─▶ DNAT
//                 ── external IPs, LB IPs ───▶ [FW ─▶] EXT ─▶ SVC or SVL
//   KUBE-NODEPORTS ── node port ─────────────▶ EXT
//
// Services without an endpoint to give have rules in the filter table instead: REJECT without any, DROP when the policy is
// Local and the endpoints are elsewhere.

import { familyOf, type IpAddress, isInPrefix, widthOf } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import type { Chain, Match, Rule, Target } from '../either-family.ts';
import { type Endpoint, endpointName } from '../endpoints.ts';
import { fromElsewhere, fromPods, type LocalDetector } from '../local-detector.ts';
import {
  isExternallyAccessible,
  type ServicePort,
  servicePortName,
  usesClusterEndpoints,
  usesLocalEndpoints,
} from '../service-port.ts';
import { categorizeEndpoints, type EndpointCategories, type Topology } from '../topology.ts';
import { comment, EXTERNAL_SERVICES, jump, MARK_MASQ, NODEPORTS, PROXY_FIREWALL, SERVICES } from './frame.ts';
import { endpointChain, probabilityText, type ServiceChains, serviceChains } from './names.ts';

export interface CompileContext extends Topology {
  readonly masqueradeAll: boolean;
  readonly local: LocalDetector | undefined;
  readonly nodeIP: IpAddress | undefined;
  /** Many endpoints on the cluster: rules of endpoints go without comments. */
  readonly isLarge: boolean;
}

export interface CompiledPort {
  /** Rules for the top-level chains of the tables. */
  readonly top: {
    readonly nat: ReadonlyMap<string, readonly Rule[]>;
    readonly filter: ReadonlyMap<string, readonly Rule[]>;
  };
  /** Its own chains, in the nat table. */
  readonly chains: readonly Chain[];
}

export function compileServicePort(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  ctx: CompileContext,
): CompiledPort {
  return new PortCompiler(port, categorizeEndpoints(endpoints, port, ctx), ctx).compile();
}

const LOCAL_SOURCE: Match = { kind: 'addrtype', side: 'src', type: 'LOCAL' };
const LOCAL_DESTINATION: Match = { kind: 'addrtype', side: 'dst', type: 'LOCAL' };
const MARK: Target = jump(MARK_MASQ);

class PortCompiler {
  readonly #port: ServicePort;
  readonly #name: string;
  readonly #categories: EndpointCategories;
  readonly #ctx: CompileContext;
  readonly #names: ServiceChains;
  readonly #nat = new Map<string, Rule[]>();
  readonly #filter = new Map<string, Rule[]>();
  readonly #chains = new Map<string, Rule[]>();
  readonly #usesFirewall: boolean;

  constructor(port: ServicePort, categories: EndpointCategories, ctx: CompileContext) {
    this.#port = port;
    this.#name = servicePortName(port);
    this.#categories = categories;
    this.#ctx = ctx;
    this.#names = serviceChains(port);
    this.#usesFirewall = categories.hasAny && port.loadBalancerIPs.length > 0 && port.sourceRanges.length > 0;
  }

  compile(): CompiledPort {
    this.#captureClusterIP();
    for (const ip of this.#port.externalIPs) this.#captureExternal(ip, 'external IP', this.#names.ext);
    this.#captureLoadBalancer();
    this.#captureNodePort();
    this.#healthCheck();
    if (this.#categories.hasInternal) this.#internalTraffic();
    if (this.#categories.hasAny && isExternallyAccessible(this.#port)) this.#externalTraffic();
    if (this.#usesFirewall) this.#firewall();
    const { cluster, local, reachable } = this.#categories;
    if (usesClusterEndpoints(this.#port) && cluster?.length) this.#balance(this.#names.svc, cluster);
    if (usesLocalEndpoints(this.#port) && local?.length) this.#balance(this.#names.svl, local);
    if (this.#categories.hasAny) for (const endpoint of reachable) this.#endpoint(endpoint);
    return {
      top: { nat: this.#nat, filter: this.#filter },
      chains: [...this.#chains].map(([name, rules]) => ({ name, rules })),
    };
  }

  // The top-level chains.

  #captureClusterIP(): void {
    const { clusterIP } = this.#port;
    if (this.#categories.hasInternal) {
      const toClusterIP = this.#to(clusterIP, this.#comment('cluster IP'));
      this.#top(this.#nat, SERVICES, jump(this.#internalChain()), ...toClusterIP);
    } else {
      this.#top(this.#filter, SERVICES, this.#refusal(), ...this.#to(clusterIP, this.#refusalComment()));
    }
  }

  #internalChain(): string {
    return this.#port.internalPolicyLocal ? this.#names.svl : this.#names.svc;
  }

  #captureExternal(ip: IpAddress, kind: 'external IP' | 'loadbalancer IP', chain: string): void {
    if (this.#categories.hasAny) this.#top(this.#nat, SERVICES, jump(chain), ...this.#to(ip, this.#comment(kind)));
    if (!this.#categories.hasExternal && kind === 'external IP') this.#refuseExternal(ip);
  }

  #captureLoadBalancer(): void {
    const { loadBalancerIPs } = this.#port;
    for (const ip of loadBalancerIPs) {
      this.#captureExternal(ip, 'loadbalancer IP', this.#usesFirewall ? this.#names.fw : this.#names.ext);
      if (!this.#usesFirewall) continue;
      const why = this.#comment(`traffic not accepted by ${this.#names.fw}`);
      this.#top(this.#filter, PROXY_FIREWALL, { kind: 'DROP' }, ...this.#to(ip, why));
    }
    if (!this.#categories.hasExternal) for (const ip of loadBalancerIPs) this.#refuseExternal(ip);
  }

  #captureNodePort(): void {
    const { nodePort } = this.#port;
    if (nodePort === 0) return;
    const { proto } = this.#port;
    const dport: Match = { kind: 'dport', first: nodePort, last: nodePort };
    // For better or worse, source ranges do not guard NodePorts.
    if (this.#categories.hasAny)
      this.#top(this.#nat, NODEPORTS, jump(this.#names.ext), { kind: 'protocol', proto }, comment(this.#name), dport);
    if (!this.#categories.hasExternal) {
      const matches: Match[] = [{ kind: 'protocol', proto }, this.#refusalComment(), LOCAL_DESTINATION, dport];
      this.#top(this.#filter, EXTERNAL_SERVICES, this.#refusal(), ...matches);
    }
  }

  #healthCheck(): void {
    const { healthCheckNodePort: port } = this.#port;
    if (port === 0) return;
    this.#top(
      this.#filter,
      NODEPORTS,
      { kind: 'ACCEPT' },
      { kind: 'protocol', proto: IPPROTO_TCP },
      this.#comment('health check node port'),
      { kind: 'dport', first: port, last: port },
    );
  }

  #refuseExternal(ip: IpAddress): void {
    this.#top(this.#filter, EXTERNAL_SERVICES, this.#refusal(), ...this.#to(ip, this.#refusalComment()));
  }

  #refusal(): Target {
    return this.#categories.hasAny ? { kind: 'DROP' } : reject(this.#port.clusterIP);
  }

  #refusalComment(): Match {
    return this.#comment(this.#categories.hasAny ? 'has no local endpoints' : 'has no endpoints');
  }

  // Its own chains.

  #internalTraffic(): void {
    const chain = this.#internalChain();
    const { masqueradeAll, local } = this.#ctx;
    const toClusterIP = this.#to(this.#port.clusterIP, this.#comment('cluster IP'));
    if (masqueradeAll) this.#add(chain, MARK, ...toClusterIP);
    // Traffic from off the cluster may be answered by an endpoint on another Node: the answer has to come back here.
    else if (local) this.#add(chain, MARK, fromElsewhere(local), ...toClusterIP);
  }

  #externalTraffic(): void {
    const { ext, svc, svl } = this.#names;
    const { local } = this.#ctx;
    const why = (before: string): Match => comment(`${before} ${this.#name} external destinations`);
    this.#chain(ext);
    if (!this.#port.externalPolicyLocal) {
      this.#add(ext, MARK, why('masquerade traffic for'));
    } else {
      // Pods and the Node itself are cut short to any endpoint, as if they had gone out to a load balancer and come back.
      if (local) this.#add(ext, jump(svc), fromPods(local), why('pod traffic for'));
      this.#add(ext, MARK, why('masquerade LOCAL traffic for'), LOCAL_SOURCE);
      this.#add(ext, jump(svc), why('route LOCAL traffic for'), LOCAL_SOURCE);
    }
    if (this.#categories.hasExternal) this.#add(ext, jump(this.#port.externalPolicyLocal ? svl : svc));
  }

  #firewall(): void {
    const { fw, ext } = this.#names;
    const { nodeIP } = this.#ctx;
    const why = this.#comment('loadbalancer IP');
    this.#chain(fw);
    for (const [addr, prefixLen] of this.#port.sourceRanges)
      this.#add(fw, jump(ext), { kind: 'source', addr, prefixLen }, why);
    // The Node reaches an address that is bound here with that very address as source.
    if (this.#port.sourceRanges.some((range) => isInPrefix(range, nodeIP))) {
      for (const addr of this.#port.loadBalancerIPs) this.#add(fw, jump(ext), from(addr), why);
    }
    const rest = comment(`other traffic to ${this.#name} will be dropped by KUBE-PROXY-FIREWALL`);
    this.#chain(fw).push({ matches: [rest] });
  }

  #balance(chain: string, endpoints: readonly Endpoint[]): void {
    const { affinityS } = this.#port;
    this.#chain(chain);
    if (affinityS > 0) {
      for (const endpoint of endpoints) {
        const name = endpointChain(this.#port, endpointName(endpoint));
        const seen: Match = { kind: 'recent', name, op: 'rcheck', seconds: affinityS };
        this.#add(chain, jump(name), ...this.#endpointComment(endpoint), seen);
      }
    }
    endpoints.forEach((endpoint, i) => {
      const left = endpoints.length - i;
      const dice: Match[] = left > 1 ? [{ kind: 'statistic', probability: Number(probabilityText(left)) }] : [];
      const name = endpointChain(this.#port, endpointName(endpoint));
      this.#add(chain, jump(name), ...this.#endpointComment(endpoint), ...dice);
    });
  }

  #endpoint(endpoint: Endpoint): void {
    const { proto, affinityS } = this.#port;
    const chain = endpointChain(this.#port, endpointName(endpoint));
    const why: Match[] = this.#ctx.isLarge ? [] : [comment(this.#name)];
    // What loops back to its sender must come back here.
    this.#add(chain, MARK, from(endpoint.addr), ...why);
    const remember: Match[] = affinityS > 0 ? [{ kind: 'recent', name: chain, op: 'set' }] : [];
    const target: Target = { kind: 'DNAT', addr: endpoint.addr, port: endpoint.port };
    this.#add(chain, target, { kind: 'protocol', proto }, ...why, ...remember, { kind: 'transport' });
  }

  #endpointComment(endpoint: Endpoint): readonly Match[] {
    if (this.#ctx.isLarge) return [];
    return [comment(`${this.#name} -> ${endpointName(endpoint)}`)];
  }

  #to(ip: IpAddress, why: Match): Match[] {
    const { proto, port } = this.#port;
    return [
      { kind: 'destination', addr: ip, prefixLen: widthOf(familyOf(ip)) },
      { kind: 'protocol', proto },
      why,
      { kind: 'dport', first: port, last: port },
    ];
  }

  #comment(what: string): Match {
    return comment(`${this.#name} ${what}`);
  }

  #top(table: Map<string, Rule[]>, chain: string, target: Target, ...matches: Match[]): void {
    const rules = table.get(chain);
    if (rules) rules.push({ matches, target });
    else table.set(chain, [{ matches, target }]);
  }

  #add(chain: string, target: Target, ...matches: Match[]): void {
    this.#chain(chain).push({ matches, target });
  }

  #chain(name: string): Rule[] {
    let rules = this.#chains.get(name);
    if (!rules) this.#chains.set(name, (rules = []));
    return rules;
  }
}

function from(addr: IpAddress): Match {
  return { kind: 'source', addr, prefixLen: widthOf(familyOf(addr)) };
}

function reject(addr: IpAddress): Target {
  return { kind: 'REJECT', rejectWith: familyOf(addr) === 6 ? 'icmp6-port-unreachable' : 'icmp-port-unreachable' };
}
