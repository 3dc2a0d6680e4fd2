// kube-proxy's iptables mode, after pkg/proxy/iptables/proxier.go, v1.31.
//
// Each service port is compiled (compile.ts) when it or its endpoints changed, and kept. A sync restores two tables: the
// top-level chains whole, as they are the sum over all service ports, and of the service ports' own chains those that were
// compiled anew; chains that nobody has any more are deleted. A full sync writes everything: the first one, one after a
// failure, when something of the Node changed that rules depend on, and every hour (FullSyncPeriod).
//
// In large clusters (more than 1,000 endpoints) rules of endpoints go without comments, stale chains, which no rule jumps to, are
// deleted only once a syncPeriod, and there is no full sync every hour (v1.34).
//
// Deviation: service ports are written in the order of their names, the real one's order is that of a Go map.

import type { Clock } from '../../lib/clock.ts';
import { type IpAddress, type IpFamily, jsonOf } from '../../tcpip-ts/wire/ip-address.ts';
import type { KubeProxyConfig } from '../config.ts';
import type { Chain, Netlink, NetlinkOp, Rule } from '../either-family.ts';
import { addressesIn, containsLoopback, isEverything, nodePortRanges } from '../node-ports.ts';
import { FULL_SYNC_PERIOD_US, type Proxier, type ProxierInput, type ProxierOptions } from '../proxier.ts';
import { StaleFlows } from '../stale-flows.ts';
import { type CompileContext, type CompiledPort, compileServicePort } from './compile.ts';
import {
  EXTERNAL_SERVICES,
  filterFrame,
  JUMPS,
  NODEPORTS,
  natFrame,
  nodePortJumps,
  OWN_CHAINS,
  PROXY_FIREWALL,
  SERVICES,
} from './frame.ts';
import { isServiceChain } from './names.ts';
import { TopChain } from './top-chain.ts';

/** largeClusterEndpointsThreshold. */
const LARGE_CLUSTER_ENDPOINTS = 1000;
const TOP_CHAINS = {
  nat: [SERVICES, NODEPORTS],
  filter: [SERVICES, EXTERNAL_SERVICES, NODEPORTS, PROXY_FIREWALL],
} as const;

export class IptablesProxier implements Proxier {
  readonly #netlink: Netlink;
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #family: IpFamily;
  readonly #config: KubeProxyConfig;
  readonly #compiled = new Map<string, CompiledPort>();
  readonly #flows = new StaleFlows();
  readonly #top = {
    nat: new Map<string, TopChain>(TOP_CHAINS.nat.map((name) => [name, new TopChain()])),
    filter: new Map<string, TopChain>(TOP_CHAINS.filter.map((name) => [name, new TopChain()])),
  };
  /** Endpoints of each service port as compiled, and of all of them. */
  readonly #endpointCounts = new Map<string, number>();
  #endpointCount = 0;
  /** Chains of service ports that the kernel has and nobody wants. */
  #stale = new Set<string>();
  #jumps: { readonly key: string | null; readonly rules: readonly Rule[] } | null = null;
  #cleanedUs = 0;
  #fullSyncUs = 0;
  /** False until a sync went through. */
  #known = false;
  #context = '';
  #nodeIP: IpAddress | undefined;

  constructor({ netlink, clock, nodeName, family = 4, config }: ProxierOptions) {
    this.#netlink = netlink;
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#family = family;
    // The kernel has no route_localnet for IPv6, and it is not set when no loopback address takes NodePorts.
    const localhostNodePorts = config.localhostNodePorts && family === 4 && containsLoopback(config);
    this.#config = { ...config, localhostNodePorts };
  }

  /** route_localnet is not needed: the emulated kernel routes 127.0.0.0/8 as it is told. */
  prepare(): void {}

  sync(input: ProxierInput): number {
    this.#nodeIP = input.nodeIP;
    const now = this.#clock.nowUs();
    const context = jsonOf([input.zone, input.local ?? null, input.nodeIP ?? null]);
    const isDue = now - this.#fullSyncUs > FULL_SYNC_PERIOD_US && this.#endpointCount <= LARGE_CLUSTER_ENDPOINTS;
    const isFull = !this.#known || context !== this.#context || isDue;
    const keys = isFull ? new Set([...input.ports.keys(), ...this.#compiled.keys()]) : new Set(input.changed);
    this.#known = false; // until it went through
    for (const key of keys) this.#countEndpoints(key, input);
    const isLarge = this.#endpointCount > LARGE_CLUSTER_ENDPOINTS;
    const ctx: CompileContext = {
      nodeName: this.#nodeName,
      zone: input.zone,
      masqueradeAll: this.#config.masqueradeAll,
      local: input.local,
      nodeIP: input.nodeIP,
      isLarge,
    };
    const ops: NetlinkOp[] = [];
    const chains: Chain[] = [];
    for (const key of keys) chains.push(...this.#compile(key, input, ctx));
    if (isFull) this.#adoptStale();
    ops.push(this.#filterOp(isFull), this.#natOp(isFull, chains, this.#staleToDelete(isLarge)));
    ops.push(...this.#flows.ops(this.#netlink, input, isFull));
    this.#netlink.commit(ops);
    this.#known = true;
    this.#flows.done();
    this.#context = context;
    if (isFull) this.#fullSyncUs = now;
    return ops.length;
  }

  cleanup(): void {
    const nat = this.#netlink.chains('nat').map(({ name }) => name);
    const filter = this.#netlink.chains('filter').map(({ name }) => name);
    const own = {
      nat: nat.filter((name) => OWN_CHAINS.nat.includes(name) || isServiceChain(name)),
      filter: filter.filter((name) => OWN_CHAINS.filter.includes(name)),
    };
    const ops = (['nat', 'filter'] as const).flatMap((table): NetlinkOp[] => {
      const deleteRules = JUMPS[table].filter(({ rule }) => {
        return rule.target?.kind === 'jump' && own[table].includes(rule.target.chain);
      });
      return [
        { op: 'iptables-restore', table, chains: own[table].map((name) => ({ name, rules: [] })) },
        { op: 'iptables-restore', table, deleteRules, deleteChains: own[table] },
      ];
    });
    this.#known = false;
    this.#netlink.commit(ops);
  }

  close(): void {}

  /** Compiles a service port anew, or forgets it; returns the chains to write. */
  #compile(key: string, input: ProxierInput, ctx: CompileContext): readonly Chain[] {
    const before = this.#compiled.get(key);
    const port = input.ports.get(key);
    for (const { name } of before?.chains ?? []) this.#stale.add(name);
    const compiled = port && compileServicePort(port, input.endpoints.get(key) ?? [], ctx);
    for (const table of ['nat', 'filter'] as const)
      for (const [name, chain] of this.#top[table]) chain.set(key, compiled?.top[table].get(name));
    if (!port || !compiled) {
      this.#compiled.delete(key);
      return [];
    }
    for (const { name } of compiled.chains) this.#stale.delete(name);
    this.#compiled.set(key, compiled);
    return compiled.chains;
  }

  /** What an earlier kube-proxy left. */
  #adoptStale(): void {
    const ours = new Set([...this.#compiled.values()].flatMap(({ chains }) => chains.map(({ name }) => name)));
    for (const { name } of this.#netlink.chains('nat'))
      if (isServiceChain(name) && !ours.has(name)) this.#stale.add(name);
  }

  #staleToDelete(isLarge: boolean): readonly string[] {
    const now = this.#clock.nowUs();
    if (isLarge && now - this.#cleanedUs <= this.#config.iptables.syncPeriodUs) return [];
    this.#cleanedUs = now;
    const stale = [...this.#stale];
    this.#stale = new Set();
    return stale;
  }

  #filterOp(isFull: boolean): NetlinkOp {
    const chains = TOP_CHAINS.filter.map((name) => this.#topChain('filter', name));
    return {
      op: 'iptables-restore',
      table: 'filter',
      chains: isFull ? [...chains, ...filterFrame(this.#config)] : chains,
      ...(isFull ? { ensureFirst: JUMPS.filter } : {}),
    };
  }

  #natOp(isFull: boolean, own: readonly Chain[], stale: readonly string[]): NetlinkOp {
    const services = this.#topChain('nat', SERVICES);
    return {
      op: 'iptables-restore',
      table: 'nat',
      chains: [
        { name: SERVICES, rules: [...services.rules, ...this.#nodePortJumps()] },
        this.#topChain('nat', NODEPORTS),
        ...(isFull ? natFrame(this.#config) : []),
        ...own,
        ...stale.map((name) => ({ name, rules: [] })),
      ],
      ...(isFull ? { ensureFirst: JUMPS.nat } : {}),
      deleteChains: stale,
    };
  }

  #topChain(table: 'nat' | 'filter', name: string): Chain {
    return { name, rules: this.#top[table].get(name)!.rules() };
  }

  #countEndpoints(key: string, { ports, endpoints }: ProxierInput): void {
    const count = ports.has(key) ? (endpoints.get(key)?.length ?? 0) : 0;
    this.#endpointCount += count - (this.#endpointCounts.get(key) ?? 0);
    if (count > 0) this.#endpointCounts.set(key, count);
    else this.#endpointCounts.delete(key);
  }

  /** The same rules as long as the addresses are the same: what stays costs the kernel nothing. */
  #nodePortJumps(): readonly Rule[] {
    const addresses = this.#nodePortAddresses();
    const key = addresses?.join() ?? null;
    if (this.#jumps?.key !== key)
      this.#jumps = { key, rules: nodePortJumps(addresses, this.#config.localhostNodePorts, this.#family) };
    return this.#jumps.rules;
  }

  /** Null: all of the Node's. */
  #nodePortAddresses(): readonly IpAddress[] | null {
    const ranges = nodePortRanges(this.#config, this.#family, this.#nodeIP);
    return ranges.length === 0 || isEverything(ranges) ? null : addressesIn(ranges, this.#netlink);
  }
}
