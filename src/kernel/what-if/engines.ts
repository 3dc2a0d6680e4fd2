// All chains on a hook, of whichever rule engine, in the order in which the kernel runs them.
import { type IptablesNet, iptablesChains } from './iptables.ts';
import type { HookChain, HookName } from './walk.ts';

export type RulesNet = IptablesNet;

export function hookChains(net: RulesNet, hook: HookName): readonly HookChain[] {
  return iptablesChains(net, hook).toSorted((a, b) => a.priority - b.priority);
}
