// An nftables table of family ip, or ip6, as data: what netlink's commands carry, what runs is compiled from (compile.ts), and what
// `nft list ruleset` prints (list.ts). Holds the part of nftables that kube-proxy uses.
// Leaves out: other families, named interval sets, counters and other stateful objects, flowtables, policies but accept.
// Addresses (A) are host-order numbers, in family ip6 bigints (wire/ip-address.ts); protocols IPPROTO_* numbers. `invert` is the `!=` of a match.

/** Network address and prefix length. */
export type Prefix<A = number> = readonly [addr: A, prefixLen: number];

export type ChainType = 'filter' | 'nat';
export type ChainHook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export interface BaseChain {
  readonly type: ChainType;
  readonly hook: ChainHook;
  readonly priority: number;
}

export type NftVerdict =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

export type AddressField = 'saddr' | 'daddr';

/** What the keys of a map are made of: `ipv4_addr . inet_proto . inet_service` or `inet_proto . inet_service`. */
export type MapKey = 'addr.proto.port' | 'proto.port';

export type Expression<A = number> =
  /** `ip saddr != 10.0.0.0/8` */
  | {
      readonly kind: 'address';
      readonly field: AddressField;
      readonly addr: A;
      readonly prefixLen: number;
      readonly invert?: boolean;
    }
  /** `ip saddr != { 10.0.0.0/8, 192.0.2.1 }` */
  | {
      readonly kind: 'address-in';
      readonly field: AddressField;
      readonly prefixes: readonly Prefix<A>[];
      readonly invert?: boolean;
    }
  /** `ip daddr @cluster-ips` */
  | { readonly kind: 'address-set'; readonly field: AddressField; readonly set: string; readonly invert?: boolean }
  /** `meta l4proto tcp` */
  | { readonly kind: 'l4proto'; readonly proto: number }
  /** `tcp dport 80` */
  | { readonly kind: 'dport'; readonly proto: number; readonly port: number }
  /** `iifname "veth*"` */
  | { readonly kind: 'iifname'; readonly name: string; readonly invert?: boolean }
  /** `ct state new` */
  | { readonly kind: 'ct-state-new' }
  /** `fib saddr type local` */
  | { readonly kind: 'fib-local'; readonly field: AddressField }
  /** `mark and 0x4000 == 0` */
  | { readonly kind: 'mark'; readonly mask: number; readonly value: number }
  /** `mark set mark or 0x4000` */
  | { readonly kind: 'mark-set'; readonly operator: 'and' | 'or' | 'xor'; readonly value: number }
  /** `ip daddr . meta l4proto . th dport vmap @service-ips`, or without the address, as the map's key is. */
  | { readonly kind: 'vmap'; readonly map: string }
  /** `numgen random mod N vmap { 0 : goto a, 1 : goto b }`, N being the number of verdicts. */
  | { readonly kind: 'numgen-vmap'; readonly verdicts: readonly NftVerdict[] }
  /** `update @affinity { ip saddr }` */
  | { readonly kind: 'update'; readonly set: string }
  | { readonly kind: 'dnat'; readonly addr: A; readonly port: number }
  | { readonly kind: 'masquerade'; readonly fullyRandom: boolean }
  /** With ICMP port unreachable. */
  | { readonly kind: 'reject' }
  | { readonly kind: 'verdict'; readonly verdict: NftVerdict };

export interface NftRule<A = number> {
  readonly expressions: readonly Expression<A>[];
  readonly comment?: string;
}

export interface NftChain {
  readonly name: string;
  readonly base?: BaseChain;
  readonly comment?: string;
}

export interface NftSet {
  readonly name: string;
  /** Flags dynamic,timeout: packets add to it, what they add goes after so many seconds. */
  readonly timeoutS?: number;
  readonly comment?: string;
}

export interface NftMap {
  readonly name: string;
  readonly key: MapKey;
  readonly comment?: string;
}

/** `addr` 0 in a map whose key has none. */
export interface MapElementKey<A = number> {
  readonly addr: A;
  readonly proto: number;
  readonly port: number;
}

export interface MapElement<A = number> extends MapElementKey<A> {
  readonly verdict: NftVerdict;
  readonly comment?: string;
}

/** One line of a transaction, on the table it names. Adding a table, chain, set or map that is there as it is does nothing. */
export type NftCommand<A = number> =
  | { readonly command: 'add-table'; readonly comment?: string }
  /** With all that is in it. */
  | { readonly command: 'delete-table' }
  | { readonly command: 'add-chain'; readonly chain: NftChain }
  | { readonly command: 'flush-chain' | 'delete-chain'; readonly name: string }
  | { readonly command: 'add-rule'; readonly chain: string; readonly rule: NftRule<A> }
  | { readonly command: 'add-set'; readonly set: NftSet }
  | { readonly command: 'add-map'; readonly map: NftMap }
  /** Of a set or a map. */
  | { readonly command: 'flush-set' | 'delete-set'; readonly name: string }
  | { readonly command: 'add-set-element' | 'delete-set-element'; readonly set: string; readonly addr: A }
  | { readonly command: 'add-map-element'; readonly map: string; readonly element: MapElement<A> }
  | { readonly command: 'delete-map-element'; readonly map: string; readonly key: MapElementKey<A> };

/** Words by which a map's table finds an element. */
export function portWord({ proto, port }: { readonly proto: number; readonly port: number }): number {
  return (proto << 16) | port;
}
