// kube-proxy's IPVS mode: makes the kernel hold what the service ports ask for, after pkg/proxy/ipvs/proxier.go and
// graceful_termination.go, v1.31.
//
// A sync compiles the changed service ports (compile.ts), sums up (desired.ts), compares what that touched with what the
// kernel holds, and commits the difference as one batch. The first sync, one after a failure, and one an hour, compares
// everything with what the kernel says it holds, so leftovers of an earlier run are adopted or removed.
// Deviation: the real one compares everything at each sync.
//
// Graceful termination: a real server that is no longer wanted but has connections gets weight 0 and is looked at every
// minute; UDP ones go at once. One that comes back meanwhile is deleted and added again with weight 1.

import type { Clock, Timer } from '../../lib/clock.ts';
import {
  type IpAddress,
  type IpFamily,
  isInPrefix,
  isLinkLocal,
  isLoopback,
  jsonOf,
  widthOf,
} from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import type { KubeProxyConfig } from '../config.ts';
import type { IpSetEntry, Netlink, NetlinkOp, RealServer, RealServerStatus, VirtualServer } from '../either-family.ts';
import { endpointName } from '../endpoints.ts';
import type { LocalDetector } from '../local-detector.ts';
import { nodePortRanges } from '../node-ports.ts';
import { FULL_SYNC_PERIOD_US, type Proxier, type ProxierInput, type ProxierOptions } from '../proxier.ts';
import { StaleFlows } from '../stale-flows.ts';
import { type CompileContext, type CompiledServer, compileServicePort, serverKey } from './compile.ts';
import { DesiredState } from './desired.ts';
import { entryKey, kernelName, SET_NAMES, SETS, type SetName } from './ipsets.ts';
import { CHAINS, JUMPS, kubeChains } from './rules.ts';

export const DUMMY_DEVICE = 'kube-ipvs0';
const TERMINATION_CHECK_US = 60e6; // rsCheckDeleteInterval
// Deviation: the real one leaves ipset's default of 65536, so that it cannot hold more Service addresses than that.
const SET_MAXELEM = 1 << 20;

interface HeldServer {
  readonly server: VirtualServer;
  readonly dests: Map<string, RealServer>;
  /** Made by the batch at hand: the kernel cannot be asked about it yet. */
  fresh: boolean;
}

export class IpvsProxier implements Proxier {
  readonly #netlink: Netlink;
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #family: IpFamily;
  readonly #config: KubeProxyConfig;
  readonly #onError: (error: unknown) => void;
  readonly #desired = new DesiredState();
  readonly #flows = new StaleFlows();
  // What the kernel holds of ours.
  #servers = new Map<string, HeldServer>();
  #addresses = new Set<IpAddress>();
  #entries = new Map<SetName, Map<string, IpSetEntry>>();
  /** Which rules there are, as a text; '' when unknown. */
  #rules = '';
  #local: LocalDetector | undefined;
  /** False until a sync went through: then everything must be compared. */
  #known = false;
  #comparedUs = 0;
  /** Real servers with weight 0 that wait for their connections to end: `server key/address:port`. */
  readonly #terminating = new Map<string, { readonly server: string; readonly dest: RealServer }>();
  #terminationTimer: Timer | null = null;
  #nodeAddresses = '';
  #zone = '';

  constructor({ netlink, clock, nodeName, family = 4, config, onError = () => {} }: ProxierOptions) {
    this.#netlink = netlink;
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#family = family;
    this.#config = config;
    this.#onError = onError;
  }

  /** The sysctls and timeouts that the mode needs. Throws NetlinkError. */
  prepare(): void {
    const { tcpTimeoutS: tcpS, tcpFinTimeoutS: tcpFinS, udpTimeoutS: udpS } = this.#config.ipvs;
    const sysctls = { conntrack: 1, expire_nodest_conn: 1, expire_quiescent_template: 1 }; // conn_reuse_mode stays: 5.9 on
    const ops: NetlinkOp[] = Object.entries(sysctls).map(([name, value]) => ({ op: 'ipvs-sysctl', name, value }));
    if (tcpS > 0 || tcpFinS > 0 || udpS > 0) ops.push({ op: 'ipvs-timeouts', tcpS, tcpFinS, udpS });
    this.#netlink.commit(ops);
  }

  /** Brings the kernel in line; returns how many operations it took. Throws NetlinkError; the next sync then starts over. */
  sync(input: ProxierInput): number {
    const now = this.#clock.nowUs();
    const all = !this.#known || now - this.#comparedUs > FULL_SYNC_PERIOD_US;
    this.#known = false; // until it went through
    const ops = all ? this.#adopt() : [];
    const ctx = this.#context(input);
    for (const key of this.#stale(input, ctx, all)) {
      const port = input.ports.get(key);
      this.#desired.set(key, port && compileServicePort(port, input.endpoints.get(key) ?? [], ctx));
    }
    const touched = this.#desired.drainTouched();
    const servers = all ? new Set([...this.#desired.serverKeys(), ...this.#servers.keys()]) : touched.servers;
    const addresses = all ? new Set([...this.#desired.addresses(), ...this.#addresses]) : touched.addresses;
    for (const addr of addresses) this.#bind(addr, ops);
    for (const key of servers) this.#addServer(key, ops);
    for (const set of SET_NAMES) {
      if (all) this.#restoreSet(set, ops);
      else this.#updateSet(set, touched.entries.get(set) ?? [], ops);
    }
    this.#local = input.local;
    this.#writeRules(ops);
    for (const addr of addresses) this.#unbind(addr, ops);
    for (const key of servers) this.#deleteServer(key, ops);
    ops.push(...this.#flows.ops(this.#netlink, input, all));
    this.#netlink.commit(ops);
    this.#known = true;
    this.#flows.done();
    if (all) this.#comparedUs = now;
    for (const key of servers) {
      const held = this.#servers.get(key);
      if (held) held.fresh = false;
    }
    this.#watchTerminating();
    return ops.length;
  }

  cleanup({ keepConnections = false } = {}): void {
    const ops: NetlinkOp[] = keepConnections ? [] : [{ op: 'ipvs-flush' }, ...removeDevice(this.#netlink)];
    for (const table of ['nat', 'filter'] as const) {
      const chains = CHAINS[table].map((name) => ({ name, rules: [] }));
      ops.push({ op: 'iptables-restore', table, chains });
      ops.push({ op: 'iptables-restore', table, deleteRules: JUMPS[table], deleteChains: CHAINS[table] });
    }
    const there = new Set(this.#netlink.ipsets().map((set) => set.name));
    for (const set of SET_NAMES) {
      const name = this.#nameOf(set);
      if (there.has(name)) ops.push({ op: 'ipset-destroy', name });
    }
    this.close();
    this.#known = false;
    this.#netlink.commit(ops);
  }

  /** Stops looking after terminating real servers; the kernel keeps what it holds. */
  close(): void {
    this.#terminationTimer?.cancel();
    this.#terminationTimer = null;
  }

  /** Learns what the kernel holds, and makes the device and the sets. */
  #adopt(): NetlinkOp[] {
    const ops: NetlinkOp[] = [];
    if (!this.#netlink.links().some((link) => link.name === DUMMY_DEVICE)) {
      ops.push({ op: 'link-add', name: DUMMY_DEVICE, kind: 'dummy' });
      this.#addresses = new Set();
    } else {
      this.#addresses = new Set(this.#netlink.addresses(DUMMY_DEVICE).map(({ addr }) => addr));
    }
    const held = new Map(this.#netlink.ipsets().map((set) => [set.name, set.entries]));
    this.#entries = new Map();
    for (const name of SET_NAMES) {
      const inKernel = this.#nameOf(name);
      if (!held.has(inKernel))
        ops.push({ op: 'ipset-create', name: inKernel, type: SETS[name].type, maxElem: SET_MAXELEM });
      this.#entries.set(name, new Map((held.get(inKernel) ?? []).map((entry) => [entryKey(entry), entry])));
    }
    this.#servers = new Map();
    for (const server of this.#netlink.ipvsServices()) {
      if (this.#config.ipvs.excludeCIDRs.some((cidr) => isInPrefix(cidr, server.addr))) continue;
      const dests = this.#netlink.ipvsDests(server).map(({ addr, port, weight }): [string, RealServer] => {
        return [endpointName({ addr, port }), { addr, port, weight }];
      });
      this.#servers.set(serverKey(server), { server, dests: new Map(dests), fresh: false });
    }
    this.#rules = '';
    return ops;
  }

  #context(input: ProxierInput): CompileContext {
    const own = this.#netlink
      .links()
      .filter(({ name }) => name !== DUMMY_DEVICE)
      .flatMap(({ name }) => this.#netlink.addresses(name))
      .map(({ addr }) => addr)
      .filter((addr) => !isLoopback(addr) && !(this.#family === 6 && isLinkLocal(addr))); // isValidForSet()
    const nodeAddresses = new Set(own);
    const wanted = nodePortRanges(this.#config, this.#family, input.nodeIP);
    return {
      nodeName: this.#nodeName,
      zone: input.zone,
      scheduler: this.#config.ipvs.scheduler,
      nodeAddresses,
      nodePortAddresses: [...nodeAddresses].filter(
        (addr) => wanted.length === 0 || wanted.some((c) => isInPrefix(c, addr)),
      ),
      nodeIP: input.nodeIP,
    };
  }

  /** Service ports to compile: those that changed, and those that the Node's own changes reach; or all, those that are gone, too. */
  #stale(input: ProxierInput, ctx: CompileContext, all: boolean): Iterable<string> {
    const nodeAddresses = `${[...ctx.nodeAddresses].join()} ${ctx.nodeIP}`;
    const everything = all || ctx.zone !== this.#zone;
    const dependents = nodeAddresses !== this.#nodeAddresses;
    this.#zone = ctx.zone;
    this.#nodeAddresses = nodeAddresses;
    if (everything) return new Set([...this.#desired.ports(), ...input.ports.keys()]);
    return dependents ? new Set([...input.changed, ...this.#desired.dependents()]) : input.changed;
  }

  #bind(addr: IpAddress, ops: NetlinkOp[]): void {
    if (!this.#desired.hasAddress(addr) || this.#addresses.has(addr)) return;
    ops.push({ op: 'addr-add', dev: DUMMY_DEVICE, addr, prefixLen: widthOf(this.#family) });
    this.#addresses.add(addr);
  }

  #unbind(addr: IpAddress, ops: NetlinkOp[]): void {
    if (this.#desired.hasAddress(addr) || !this.#addresses.has(addr)) return;
    ops.push({ op: 'addr-del', dev: DUMMY_DEVICE, addr, prefixLen: widthOf(this.#family) });
    this.#addresses.delete(addr);
  }

  #addServer(key: string, ops: NetlinkOp[]): void {
    const wanted = this.#desired.server(key);
    if (!wanted) return;
    let held = this.#servers.get(key);
    if (!held) {
      ops.push({ op: 'ipvs-add-service', service: wanted.server });
      this.#servers.set(key, (held = { server: wanted.server, dests: new Map(), fresh: true }));
    } else if (!sameServer(held.server, wanted.server)) {
      ops.push({ op: 'ipvs-update-service', service: wanted.server });
      this.#servers.set(key, (held = { server: wanted.server, dests: held.dests, fresh: false }));
    }
    this.#syncDests(wanted, held, ops);
  }

  #syncDests(wanted: CompiledServer, held: HeldServer, ops: NetlinkOp[]): void {
    const service = wanted.server;
    for (const [name, dest] of wanted.dests) {
      const old = held.dests.get(name);
      if (old?.weight === dest.weight) continue;
      if (this.#terminating.delete(`${wanted.key}/${name}`)) {
        ops.push({ op: 'ipvs-del-dest', service, dest });
        ops.push({ op: 'ipvs-add-dest', service, dest });
      } else {
        ops.push({ op: old ? 'ipvs-update-dest' : 'ipvs-add-dest', service, dest });
      }
      held.dests.set(name, dest);
    }
    let status: readonly RealServerStatus[] | undefined;
    for (const [name, dest] of held.dests) {
      const term = `${wanted.key}/${name}`;
      if (wanted.dests.has(name) || this.#terminating.has(term)) continue;
      status ??= service.proto === IPPROTO_TCP && !held.fresh ? this.#netlink.ipvsDests(held.server) : [];
      if (isBusy(status, dest)) {
        const quiescent = { ...dest, weight: 0 };
        ops.push({ op: 'ipvs-update-dest', service, dest: quiescent });
        held.dests.set(name, quiescent);
        this.#terminating.set(term, { server: wanted.key, dest: quiescent });
      } else {
        ops.push({ op: 'ipvs-del-dest', service, dest });
        held.dests.delete(name);
      }
    }
  }

  #deleteServer(key: string, ops: NetlinkOp[]): void {
    const held = this.#servers.get(key);
    if (!held || this.#desired.server(key)) return;
    ops.push({ op: 'ipvs-del-service', service: held.server });
    for (const name of held.dests.keys()) this.#terminating.delete(`${key}/${name}`);
    this.#servers.delete(key);
  }

  #nameOf(set: SetName): string {
    return kernelName(set, this.#family);
  }

  #restoreSet(set: SetName, ops: NetlinkOp[]): void {
    const held = this.#entries.get(set)!;
    const wanted = this.#desired.entries(set);
    if (wanted.length === held.size && wanted.every(({ key }) => held.has(key))) return;
    ops.push({ op: 'ipset-restore', name: this.#nameOf(set), entries: wanted.map(({ entry }) => entry) });
    this.#entries.set(set, new Map(wanted.map(({ key, entry }) => [key, entry])));
  }

  #updateSet(set: SetName, touched: Iterable<string>, ops: NetlinkOp[]): void {
    const held = this.#entries.get(set)!;
    for (const key of touched) {
      const wanted = this.#desired.entry(set, key);
      const old = held.get(key);
      if (wanted && !old) {
        ops.push({ op: 'ipset-add', name: this.#nameOf(set), entry: wanted.entry });
        held.set(key, wanted.entry);
      } else if (!wanted && old) {
        ops.push({ op: 'ipset-del', name: this.#nameOf(set), entry: old });
        held.delete(key);
      }
    }
  }

  #writeRules(ops: NetlinkOp[]): void {
    const isEmpty = (set: SetName): boolean => this.#desired.isEmpty(set);
    const sets = SET_NAMES.filter((set) => !isEmpty(set)).join(' ');
    const closed = this.#desired.closed();
    const rules = `${jsonOf([this.#local ?? null, closed])} ${sets}`;
    if (rules === this.#rules) return;
    ops.push(...kubeChains({ config: this.#config, local: this.#local, family: this.#family, isEmpty, closed }));
    this.#rules = rules;
  }

  #watchTerminating(): void {
    if (this.#terminating.size === 0 || this.#terminationTimer) return;
    this.#terminationTimer = this.#clock.after(TERMINATION_CHECK_US, () => {
      this.#terminationTimer = null;
      try {
        this.#endTerminated();
      } catch (error) {
        this.#known = false;
        this.#onError(error);
      }
      this.#watchTerminating();
    });
  }

  /** Deletes terminating real servers whose connections have ended. */
  #endTerminated(): void {
    const ops: NetlinkOp[] = [];
    for (const [term, { server: key, dest }] of this.#terminating) {
      const held = this.#servers.get(key);
      if (held && isBusy(this.#netlink.ipvsDests(held.server), dest)) continue;
      this.#terminating.delete(term);
      if (held?.dests.delete(endpointName(dest))) ops.push({ op: 'ipvs-del-dest', service: held.server, dest });
    }
    this.#netlink.commit(ops);
  }
}

function isBusy(status: readonly RealServerStatus[], { addr, port }: RealServer): boolean {
  const dest = status.find((s) => s.addr === addr && s.port === port);
  return dest !== undefined && dest.activeConns + dest.inactiveConns > 0;
}

function sameServer(a: VirtualServer, b: VirtualServer): boolean {
  return a.scheduler === b.scheduler && a.flags === b.flags && a.timeoutS === b.timeoutS && a.netmask === b.netmask;
}

export function removeDevice(netlink: Netlink): readonly NetlinkOp[] {
  const isThere = netlink.links().some((link) => link.name === DUMMY_DEVICE);
  return isThere ? [{ op: 'link-del', name: DUMMY_DEVICE }] : [];
}
