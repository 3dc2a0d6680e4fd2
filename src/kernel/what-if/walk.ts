// What a rule engine (iptables, nftables) answers when asked to walk a chain for a packet that does not exist: every way through
// it, each with its probability. Where rules roll dice, there is more than one.
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import type { Flow } from './flow.ts';

/** A rule that matched, in its tool's own syntax, and what it did. */
export interface RuleStep {
  readonly rule: string;
  readonly action: string;
}

export interface Walk {
  /** Of this way, given that the packet enters the chain; the ways of one chain sum up to 1. */
  readonly probability: number;
  readonly verdict: 'ACCEPT' | 'DROP' | 'REJECT';
  /** The packet afterwards: its mark may differ. */
  readonly flow: Flow;
  readonly steps: readonly RuleStep[];
  /** A rule said ACCEPT, rather than the policy or the chain's end. */
  readonly explicit: boolean;
  readonly masquerade: { readonly randomFully: boolean } | undefined;
  /** Port 0: kept. */
  readonly dnat: { readonly addr: IpAddress; readonly port: number } | undefined;
}

/** One chain that stands on a hook. */
export interface HookChain {
  /** NF_IP_PRI_*; chains with the same hook and priority run in the order their engines are asked. */
  readonly priority: number;
  /** Asked only for the first packet of a connection, and only while it has no binding of that kind. */
  readonly isNat: boolean;
  walk(flow: Flow): readonly Walk[];
}

export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
