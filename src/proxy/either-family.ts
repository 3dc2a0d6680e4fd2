// What proxiers write into the kernel and read from it, with addresses of either family: one proxier serves one family, and its
// code is the same for both.
import type * as rule from '../kernel/netfilter/iptables/rule.ts';
import type * as nft from '../kernel/netfilter/nftables/ruleset.ts';
import type * as netlink from '../kernel/netlink.ts';
import type { IpAddress } from '../tcpip-ts/wire/ip-address.ts';

export type Match = rule.Match<IpAddress>;
export type Target = rule.Target<IpAddress>;
export type Rule = rule.Rule<IpAddress>;
export type Chain = rule.Chain<IpAddress>;

export type Expression = nft.Expression<IpAddress>;
export type NftRule = nft.NftRule<IpAddress>;
export type NftCommand = nft.NftCommand<IpAddress>;
export type MapElement = nft.MapElement<IpAddress>;

export type Netlink = netlink.Netlink<IpAddress>;
export type NetlinkOp = netlink.NetlinkOp<IpAddress>;
export type IptablesRestoreOp = netlink.IptablesRestoreOp<IpAddress>;
export type IpSetEntry = netlink.IpSetEntry<IpAddress>;
export type VirtualServer = netlink.VirtualServer<IpAddress>;
export type RealServer = netlink.RealServer<IpAddress>;
export type IpvsConnection = netlink.IpvsConnection<IpAddress>;
export type RealServerStatus = netlink.RealServerStatus<IpAddress>;
