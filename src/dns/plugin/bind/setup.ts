// Reads `bind ADDRESS...`: where the servers of the block listen (CoreDNS plugin/bind). The addresses are also what the
// kubernetes plugin takes for its own. Where listening is settled elsewhere (`podwire dns --listen`) only that remains of it.
// Leaves out: names of interfaces and `except`, as errors that say so.
import { addressBytes } from '../../reverse.ts';
import type { Plugin } from '../plugin.ts';

export const bindPlugin: Plugin = {
  name: 'bind',
  setup(c) {
    while (c.next()) {
      const args = c.remainingArgs();
      if (args.length === 0) throw new Error('at least one address or interface name is expected');
      for (const address of args) {
        if (addressBytes(address) === undefined)
          throw new Error(`not a valid IP address: ${address} (names of interfaces are not supported by this server)`);
        c.config.bound.push(address);
      }
      while (c.nextBlock()) throw c.err(`property '${c.val()}' is not supported by this server yet`);
    }
  },
};
