// The rule-commit interface: what kube-proxy and the kubelet may do to the emulated kernel, and all they know of it. Types
// only; core/netlink.ts implements it over the Kernel. Stands for rtnetlink (links, addresses), the iptables-restore,
// ipset and conntrack programs, and IPVS' generic netlink.
//
// commit(ops) runs synchronously between breaths: no packet sees a state in between. Ops apply in order; one that fails
// throws a NetlinkError with its index, what came before it stays (as with the separate system calls of a real proxy), and
// each op by itself is all or nothing (an iptables-restore table is compiled before anything of it is swapped in).
// Addresses (A) are host-order numbers, or bigints where the rules of IPv6 are held (ip6/); protocols IPPROTO_* numbers.
import type { ConntrackEntry, ConntrackFilter } from './netfilter/conntrack/entry.ts';
import type { Timeouts } from './netfilter/conntrack/timeouts.ts';
import type { Chain, Rule, TableName } from './netfilter/iptables/rule.ts';
import type { NftCommand } from './netfilter/nftables/ruleset.ts';

export type LinkOp<A = number> =
  | { readonly op: 'link-add'; readonly name: string; readonly kind: 'dummy' }
  | { readonly op: 'link-del'; readonly name: string }
  /** Adding an address the device has fails with EEXIST, deleting one it has not with EADDRNOTAVAIL. */
  | { readonly op: 'addr-add' | 'addr-del'; readonly dev: string; readonly addr: A; readonly prefixLen: number };

export interface IptablesRestoreOp<A = number> {
  readonly op: 'iptables-restore';
  readonly table: TableName;
  /**
   * As with --noflush: user-defined chains named here are created or emptied, then filled; built-in ones keep their rules,
   * take the policy given, and get these rules appended. Chains not named are left alone.
   */
  readonly chains?: readonly Chain<A>[];
  /** `-I CHAIN 1`, unless the chain has an equal rule (as `iptables -C || iptables -I`). In order: the last ends up first. */
  readonly ensureFirst?: readonly { readonly chain: string; readonly rule: Rule<A> }[];
  /** `-D CHAIN rule`; a rule that is not there is no error. */
  readonly deleteRules?: readonly { readonly chain: string; readonly rule: Rule<A> }[];
  /** `-F` then `-X`, last of all; a chain still jumped to is an error, one that does not exist is none. */
  readonly deleteChains?: readonly string[];
}

export type IpSetType =
  | 'hash:ip'
  | 'hash:net'
  | 'hash:ip,port'
  | 'hash:ip,port,ip'
  | 'hash:ip,port,net'
  | 'bitmap:port';

/** Fields that the set's type has; the others are ignored. */
export interface IpSetEntry<A = number> {
  readonly ip?: A;
  readonly proto?: number;
  readonly port?: number;
  readonly ip2?: A;
  /** hash:net's ip, or the `net` of hash:ip,port,net. */
  readonly prefixLen?: number;
}

export type IpSetOp<A = number> =
  /** Creating a set that is there with the same type is no error (-exist). Ports of bitmap:port: 0-65535 when left out. */
  | {
      readonly op: 'ipset-create';
      readonly name: string;
      readonly type: IpSetType;
      readonly hashSize?: number;
      readonly maxElem?: number;
      readonly portRange?: readonly [number, number];
      readonly comment?: boolean;
    }
  /** With -exist: adding what is there, or deleting what is not, is no error. */
  | { readonly op: 'ipset-add' | 'ipset-del'; readonly name: string; readonly entry: IpSetEntry<A> }
  | { readonly op: 'ipset-flush' | 'ipset-destroy'; readonly name: string }
  /** `ipset swap`: the two sets exchange their contents; rules keep looking at the name. */
  | { readonly op: 'ipset-swap'; readonly name: string; readonly with: string }
  /** Makes the set hold exactly these entries. */
  | { readonly op: 'ipset-restore'; readonly name: string; readonly entries: readonly IpSetEntry<A>[] };

/** `nft -f`: one transaction on one table of the family, all or nothing. */
export interface NftOp<A = number> {
  readonly op: 'nft';
  readonly table: string;
  readonly commands: readonly NftCommand<A>[];
}

export type ConntrackOp =
  | { readonly op: 'conntrack-delete'; readonly filter: ConntrackFilter }
  | { readonly op: 'conntrack-timeouts'; readonly timeouts: Partial<Timeouts> };

/** A virtual server's key. */
export interface VirtualServerKey<A = number> {
  readonly proto: number;
  readonly addr: A;
  readonly port: number;
}

export interface VirtualServer<A = number> extends VirtualServerKey<A> {
  readonly scheduler: string;
  /** IP_VS_SVC_F_*: 1 persistent, 8 sched-1, 16 sched-2, 32 sched-3. */
  readonly flags: number;
  /** Persistence, 0 without. */
  readonly timeoutS: number;
  /** Persistence granularity, 0xffffffff for single clients; of IPv6 the prefix length, 128. */
  readonly netmask: number;
}

export interface RealServer<A = number> {
  readonly addr: A;
  readonly port: number;
  readonly weight: number;
}

export interface RealServerStatus<A = number> extends RealServer<A> {
  readonly activeConns: number;
  readonly inactiveConns: number;
  readonly persistConns: number;
}

/** A connection of IPVS, which is no template. */
export interface IpvsConnection<A = number> {
  readonly proto: number;
  /** The client, the virtual server and the real one. */
  readonly caddr: A;
  readonly cport: number;
  readonly vaddr: A;
  readonly vport: number;
  readonly daddr: A;
  readonly dport: number;
  /** As in /proc/net/ip_vs_conn: `ESTABLISHED`, `UDP`. */
  readonly state: string;
  /** Conntrack knows it: its packets are not new, and come to IPVS. */
  readonly tracked: boolean;
  /** Conntrack has seen a reply. */
  readonly answered: boolean;
}

export type IpvsOp<A = number> =
  | { readonly op: 'ipvs-add-service' | 'ipvs-update-service'; readonly service: VirtualServer<A> }
  | { readonly op: 'ipvs-del-service'; readonly service: VirtualServerKey<A> }
  | {
      readonly op: 'ipvs-add-dest' | 'ipvs-update-dest' | 'ipvs-del-dest';
      readonly service: VirtualServerKey<A>;
      readonly dest: RealServer<A>;
    }
  | { readonly op: 'ipvs-flush' }
  | { readonly op: 'ipvs-sysctl'; readonly name: string; readonly value: number }
  | { readonly op: 'ipvs-timeouts'; readonly tcpS: number; readonly tcpFinS: number; readonly udpS: number };

/** IPVS as netlink sees it (ipvs/, and ip6/ipvs.ts). Failing calls throw NetlinkError. */
export interface IpvsControl<A = number> {
  addService(service: VirtualServer<A>): void;
  updateService(service: VirtualServer<A>): void;
  deleteService(key: VirtualServerKey<A>): void;
  addDest(key: VirtualServerKey<A>, dest: RealServer<A>): void;
  updateDest(key: VirtualServerKey<A>, dest: RealServer<A>): void;
  deleteDest(key: VirtualServerKey<A>, dest: RealServer<A>): void;
  flush(): void;
  /** net.ipv4.vs.NAME. */
  setSysctl(name: string, value: number): void;
  /** `ipvsadm --set`; 0 leaves a value as it is. */
  setTimeouts(tcpS: number, tcpFinS: number, udpS: number): void;
  services(): readonly VirtualServer<A>[];
  /** In the order the scheduler walks them. */
  dests(key: VirtualServerKey<A>): readonly RealServerStatus<A>[];
  connections(): readonly IpvsConnection<A>[];
}

export type NetlinkOp<A = number> = LinkOp<A> | IptablesRestoreOp<A> | IpSetOp<A> | NftOp<A> | ConntrackOp | IpvsOp<A>;

export interface LinkInfo {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: string;
  readonly up: boolean;
}

export interface AddressInfo<A = number> {
  readonly dev: string;
  readonly addr: A;
  readonly prefixLen: number;
}

export interface Netlink<A = number> {
  commit(ops: readonly NetlinkOp<A>[]): void;
  links(): readonly LinkInfo[];
  addresses(dev?: string): readonly AddressInfo<A>[];
  /** A table's chains, built-in ones first. */
  chains(table: TableName): readonly Chain<A>[];
  /** All tables that hold anything, or one, as iptables-save prints them; `counters` as with -c. */
  iptablesSave(table?: TableName, counters?: boolean): string;
  ipsets(): readonly { readonly name: string; readonly type: IpSetType; readonly entries: readonly IpSetEntry<A>[] }[];
  ipsetSave(): string;
  /** As `nft list ruleset`. */
  nftList(): string;
  /** Names of a table's chains, or of its sets and maps; none without the table. */
  nftNames(table: string, kind: 'chains' | 'sets'): readonly string[];
  conntrack(filter?: ConntrackFilter): readonly ConntrackEntry[];
  ipvsServices(): readonly VirtualServer<A>[];
  ipvsDests(key: VirtualServerKey<A>): readonly RealServerStatus<A>[];
  /** O(connections). */
  ipvsConnections(): readonly IpvsConnection<A>[];
}

/** `code` is the errno name. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly code: string;
  /** The message without the code. */
  readonly what: string;
  /** Of the op in commit()'s list, when it came from there. */
  readonly index: number | undefined;

  constructor(code: string, what: string, index?: number, options?: ErrorOptions) {
    super(`${what}: ${code}`, options);
    this.code = code;
    this.what = what;
    this.index = index;
  }
}
