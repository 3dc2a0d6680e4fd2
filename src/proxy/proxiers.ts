// The proxier of each mode.
import { IptablesProxier } from './iptables/proxier.ts';
import { IpvsProxier } from './ipvs/proxier.ts';
import type { Proxier, ProxierOptions } from './proxier.ts';

/** Throws TypeError for a mode that does not exist here. */
export function createProxier(options: ProxierOptions): Proxier {
  switch (options.config.mode) {
    case 'iptables':
      return new IptablesProxier(options);
    case 'ipvs':
      return new IpvsProxier(options);
    default:
      throw new TypeError(`proxy mode ${options.config.mode} is not there`);
  }
}
