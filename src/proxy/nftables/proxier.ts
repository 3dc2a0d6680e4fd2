// kube-proxy's nftables mode, after pkg/proxy/nftables/proxier.go, v1.34.
//
// Each service port is compiled (compile.ts) when it or its endpoints changed, and kept. A sync is one transaction: chains of
// changed service ports are made or emptied and filled, elements that differ are changed, chains that nobody has any more are
// emptied. A full sync also makes the frame (frame.ts) and writes everything: the first one, one after a failure, when
// something of the Node changed that rules depend on, and every hour (FullSyncPeriod).
//
// Stale chains: kernels before 6.2 notice only after a while that a deleted element no longer points to its chain, so a stale
// chain is emptied at once and deleted in a sync that comes more than a second later, by a transaction of its own.

import type { Clock } from '../../lib/clock.ts';
import { type IpAddress, type IpFamily, isLoopback, jsonOf, widthOf } from '../../tcpip-ts/wire/ip-address.ts';
import type { KubeProxyConfig } from '../config.ts';
import type { Netlink, NetlinkOp, NftCommand } from '../either-family.ts';
import { addressesIn, isEverything, nodePortRanges } from '../node-ports.ts';
import { FULL_SYNC_PERIOD_US, type Proxier, type ProxierInput, type ProxierOptions } from '../proxier.ts';
import { StaleFlows } from '../stale-flows.ts';
import { type CompileContext, type CompiledPort, compileServicePort } from './compile.ts';
import { Elements } from './elements.ts';
import { frame, TABLE } from './frame.ts';
import { isAffinitySet, isServiceChain } from './names.ts';

const STALE_US = 1e6;

export class NftablesProxier implements Proxier {
  readonly #netlink: Netlink;
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #family: IpFamily;
  readonly #config: KubeProxyConfig;
  readonly #compiled = new Map<string, CompiledPort>();
  readonly #flows = new StaleFlows();
  readonly #elements = new Elements();
  /** Emptied chains, and when they were. */
  readonly #stale = new Map<string, number>();
  /** Timeouts of the affinity sets that the kernel has. */
  #affinity = new Map<string, number>();
  /** False until a sync went through. */
  #known = false;
  #fullSyncUs = 0;
  /** The base chains are of this version. */
  #recreated = false;
  #context = '';

  constructor({ netlink, clock, nodeName, family = 4, config }: ProxierOptions) {
    this.#netlink = netlink;
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#family = family;
    this.#config = config;
  }

  prepare(): void {}

  /** The operations are the transaction's commands, those that delete stale chains aside. */
  sync(input: ProxierInput): number {
    const ctx: CompileContext = {
      nodeName: this.#nodeName,
      zone: input.zone,
      masqueradeAll: this.#config.masqueradeAll,
      local: input.local,
      nodeIP: input.nodeIP,
    };
    const nodePortIPs = this.#nodePortIPs(input.nodeIP);
    const context = jsonOf([ctx, nodePortIPs, input.serviceCIDRs]);
    const now = this.#clock.nowUs();
    const isDue = now - this.#fullSyncUs > FULL_SYNC_PERIOD_US;
    const isFull = !this.#known || context !== this.#context || isDue;
    const keys = isFull ? new Set([...input.ports.keys(), ...this.#compiled.keys()]) : new Set(input.changed);

    if (!this.#known) this.#affinity = new Map();
    this.#known = false; // until it went through
    this.#deleteStale();
    const commands: NftCommand[] = [];
    if (isFull) {
      const mark = 2 ** this.#config.masqueradeBit;
      const { serviceCIDRs } = input;
      commands.push(...frame({ mark, serviceCIDRs, nodePortIPs, family: this.#family, recreate: !this.#recreated }));
      this.#elements.forget();
    }
    this.#write(keys, input, ctx, isFull, commands);
    const ops: NetlinkOp[] = commands.length > 0 ? [{ op: 'nft', table: TABLE, commands }] : [];
    this.#netlink.commit([...ops, ...this.#flows.ops(this.#netlink, input, isFull)]);
    this.#known = true;
    this.#flows.done();
    this.#recreated = true;
    this.#context = context;
    if (isFull) this.#fullSyncUs = now;
    return commands.length;
  }

  cleanup(): void {
    this.#known = false;
    this.#stale.clear();
    if (this.#netlink.nftNames(TABLE, 'chains').length === 0) return;
    this.#netlink.commit([{ op: 'nft', table: TABLE, commands: [{ command: 'delete-table' }] }]);
  }

  close(): void {}

  /** The part of the transaction that is about service ports. */
  #write(
    keys: Iterable<string>,
    input: ProxierInput,
    ctx: CompileContext,
    isFull: boolean,
    commands: NftCommand[],
  ): void {
    const gone = new Set<string>();
    const sets = new Map<string, number>();
    const goneSets = new Set<string>();
    const written: CompiledPort[] = [];
    for (const key of keys) {
      const before = this.#compiled.get(key);
      for (const name of before?.chains ?? []) gone.add(name);
      for (const { name } of before?.affinitySets ?? []) goneSets.add(name);
      const after = this.#compile(key, input, ctx);
      this.#elements.replace(key, before?.elements ?? [], after?.elements ?? []);
      if (after) written.push(after);
    }
    if (isFull) {
      for (const name of this.#netlink.nftNames(TABLE, 'chains')) if (isServiceChain(name)) gone.add(name);
      for (const name of this.#netlink.nftNames(TABLE, 'sets')) if (isAffinitySet(name)) goneSets.add(name);
    }
    for (const port of written) {
      for (const name of port.chains) {
        commands.push({ command: 'add-chain', chain: { name } }, { command: 'flush-chain', name });
        gone.delete(name);
        this.#stale.delete(name);
      }
      for (const { name, timeoutS } of port.affinitySets) {
        goneSets.delete(name);
        sets.set(name, timeoutS);
      }
    }
    for (const name of gone) {
      commands.push({ command: 'flush-chain', name });
      this.#stale.set(name, this.#clock.nowUs());
    }
    const { add, remove } = this.#elements.drain();
    for (const command of add) commands.push(command);
    this.#makeSets(sets, isFull, commands);
    for (const { rules } of written) {
      for (const { chain, rule } of rules) commands.push({ command: 'add-rule', chain, rule });
    }
    for (const name of goneSets) {
      commands.push({ command: 'delete-set', name });
      this.#affinity.delete(name);
    }
    for (const command of remove) commands.push(command);
  }

  /** Compiles a service port anew, or forgets it. */
  #compile(key: string, input: ProxierInput, ctx: CompileContext): CompiledPort | undefined {
    const port = input.ports.get(key);
    if (!port) {
      this.#compiled.delete(key);
      return undefined;
    }
    const compiled = compileServicePort(port, input.endpoints.get(key) ?? [], ctx);
    this.#compiled.set(key, compiled);
    return compiled;
  }

  /**
   * Affinity sets keep their clients. Deviation: one whose timeout changed is made anew; the real one adds it with the new
   * timeout, which the kernel refuses.
   */
  #makeSets(sets: ReadonlyMap<string, number>, isFull: boolean, commands: NftCommand[]): void {
    const there = isFull ? new Set(this.#netlink.nftNames(TABLE, 'sets')) : null;
    for (const [name, timeoutS] of sets) {
      const held = this.#affinity.get(name);
      const isThere = there ? there.has(name) : held !== undefined;
      if (isThere && held !== timeoutS) commands.push({ command: 'delete-set', name });
      commands.push({ command: 'add-set', set: { name, timeoutS } });
      this.#affinity.set(name, timeoutS);
    }
  }

  #deleteStale(): void {
    const now = this.#clock.nowUs();
    const old = [...this.#stale].filter(([, since]) => now - since > STALE_US).map(([name]) => name);
    if (old.length === 0) return;
    for (const name of old) this.#stale.delete(name);
    const commands = old.map((name): NftCommand => ({ command: 'delete-chain', name }));
    this.#netlink.commit([{ op: 'nft', table: TABLE, commands }]);
  }

  /** Null: all of this host's. Loopback addresses never take NodePorts. */
  #nodePortIPs(nodeIP: IpAddress | undefined): readonly IpAddress[] | null {
    const asked = nodePortRanges(this.#config, this.#family, nodeIP);
    const isDefault = this.#config.nodePortAddresses.length === 0 && nodeIP !== undefined;
    const ranges = asked.length === 0 && isDefault ? [[nodeIP, widthOf(this.#family)] as const] : asked;
    if (ranges.length === 0 || isEverything(ranges)) return null;
    return addressesIn(ranges, this.#netlink).filter((addr) => !isLoopback(addr));
  }
}
