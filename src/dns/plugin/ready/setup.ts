// `ready [ADDRESS]`: 200 "OK" at /ready once every plugin that can tell has been ready, 503 and their names before
// (CoreDNS plugin/ready). A plugin that has been ready once is not asked again. Leaves out `monitor`.
import type { Plugin } from '../plugin.ts';

const DEFAULT_ADDRESS = ':8181';

export const readyPlugin: Plugin = {
  name: 'ready',
  setup(c) {
    let address = DEFAULT_ADDRESS;
    c.once(() => {
      const args = c.remainingArgs();
      if (args.length > 1) throw c.argErr();
      address = args[0] ?? DEFAULT_ADDRESS;
      while (c.nextBlock()) throw c.argErr();
    });
    const { host, config } = c;
    const seenReady = new Set<object>();
    const respond = () => {
      const waiting: string[] = [];
      for (const plugin of config.readiness) {
        if (seenReady.has(plugin)) continue;
        if (plugin.ready()) seenReady.add(plugin);
        else waiting.push(plugin.name);
      }
      if (waiting.length === 0) return { status: 200, body: 'OK' };
      const names = waiting.sort().join(',');
      c.log('ready', 'INFO', `Plugins not ready: "${names}"`);
      return { status: 503, body: names };
    };
    config.startups.push(async () => {
      await host.http.serve(address, '/ready', respond);
    });
    const release = (): void => host.http.release(address, '/ready', respond);
    config.finalShutdowns.push(release);
    config.shutdowns.push(release);
  },
};
