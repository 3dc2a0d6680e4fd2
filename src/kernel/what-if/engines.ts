// All chains on a hook, of whichever rule engine, in the order in which the kernel runs them.
import { iptablesChains } from './iptables.ts';
import type { WhatIfNet } from './net.ts';
import { nftablesChains } from './nftables.ts';
import type { HookChain, HookName } from './walk.ts';

export function hookChains(net: WhatIfNet, hook: HookName): readonly HookChain[] {
  return [...iptablesChains(net, hook), ...nftablesChains(net, hook)].toSorted((a, b) => a.priority - b.priority);
}
