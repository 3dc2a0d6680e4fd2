// The proxier of each mode.
import { IptablesProxier } from './iptables/proxier.ts';
import { IpvsProxier } from './ipvs/proxier.ts';
import { NftablesProxier } from './nftables/proxier.ts';
import type { Proxier, ProxierOptions } from './proxier.ts';

export function createProxier(options: ProxierOptions): Proxier {
  switch (options.config.mode) {
    case 'iptables':
      return new IptablesProxier(options);
    case 'ipvs':
      return new IpvsProxier(options);
    case 'nftables':
      return new NftablesProxier(options);
  }
}
