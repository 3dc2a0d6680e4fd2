// Reads `loadbalance [round_robin]` (CoreDNS plugin/loadbalance/setup.go). Leaves out `weighted` and `prefer`.
import type { Plugin } from '../plugin.ts';
import { shuffleReplies } from './handler.ts';

export const loadbalancePlugin: Plugin = {
  name: 'loadbalance',
  setup(c) {
    c.once(() => {
      const args = c.remainingArgs();
      if (args.length > 1) throw c.argErr();
      if (args.length === 1 && args[0] !== 'round_robin')
        throw c.err(`policy '${args[0]}' is not supported by this server yet`);
      while (c.nextBlock()) throw c.err(`unknown property '${c.val()}'`);
    });
    c.addHandler('loadbalance', (next) => shuffleReplies(c.host.rng, next));
  },
};
