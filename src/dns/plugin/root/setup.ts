// Reads `root PATH`: where the plugin file looks for files without an absolute path (CoreDNS plugin/root).
import type { Plugin } from '../plugin.ts';

export const rootPlugin: Plugin = {
  name: 'root',
  setup(c) {
    while (c.next()) {
      if (!c.nextArg()) throw c.argErr();
      c.config.links.root = c.val().replace(/(?<=.)\/$/, '');
      c.noMoreArgs();
    }
  },
};
