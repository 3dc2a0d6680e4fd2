// What runs in a Node's kernel, in the real tools' own formats.
import type { Ipvs } from '../kernel/ipvs/ipvs.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { ProxyMode } from '../proxy/config.ts';
import type { RulesFormat } from './node-handle.ts';

/** What a proxy mode's rules are looked at with. */
export const RULES_FORMATS: Readonly<Record<ProxyMode, RulesFormat>> = {
  ipvs: 'ipvsadm-save',
  iptables: 'iptables-save',
  nftables: 'nft',
};

export function rulesOf(kernel: Kernel, ipvs: Ipvs, format: RulesFormat): string {
  kernel.nowUs = kernel.clock.nowUs(); // nft tells what time is left
  switch (format) {
    case 'ipvsadm-save':
      return ipvs.save();
    case 'ipset-save':
      return kernel.ipset.save();
    case 'iptables-save':
      return kernel.iptables.save();
    case 'nft':
      return kernel.nftables.list();
  }
}
