// Reads `errors` (CoreDNS plugin/errors/setup.go). Leaves out `consolidate` and `stacktrace`, as errors that say so.
import type { Plugin } from '../plugin.ts';
import { logErrors } from './handler.ts';

export const errorsPlugin: Plugin = {
  name: 'errors',
  setup(c) {
    c.once(() => {
      c.noMoreArgs();
      while (c.nextBlock()) throw c.err(`property '${c.val()}' is not supported by this server yet`);
    });
    c.addHandler('errors', (next) => logErrors((message) => c.log('errors', 'ERROR', message), next));
  },
};
