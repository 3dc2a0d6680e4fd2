// All chains on a hook, of whichever rule engine, in the order in which the kernel runs them.
import { type IptablesNet, iptablesChains } from './iptables.ts';
import { type NftablesNet, nftablesChains } from './nftables.ts';
import type { HookChain, HookName } from './walk.ts';

export type RulesNet = IptablesNet & NftablesNet;

export function hookChains(net: RulesNet, hook: HookName): readonly HookChain[] {
  return [...iptablesChains(net, hook), ...nftablesChains(net, hook)].toSorted((a, b) => a.priority - b.priority);
}
