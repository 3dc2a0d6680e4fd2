// `debug`: taken and without effect; CoreDNS then lets panics end it and logs debug lines, of which we have none.
import type { Plugin } from '../plugin.ts';

export const debugPlugin: Plugin = {
  name: 'debug',
  setup(c) {
    while (c.next()) c.noMoreArgs();
  },
};
