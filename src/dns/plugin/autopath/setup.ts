// Reads `autopath [ZONES...] @kubernetes | RESOLV-CONF` (CoreDNS plugin/autopath/setup.go).
import { searchOf } from '../../resolv-conf.ts';
import type { Plugin } from '../plugin.ts';
import { AutoPath, type SearchPath } from './handler.ts';

const NAME = 'autopath';

export const autopathPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const { config, host } = c;
    let zones: string[] = [];
    let source = '';
    while (c.next()) {
      const args = c.remainingArgs();
      if (args.length < 1) throw new Error('no resolv-conf specified');
      source = args.pop()!;
      zones = c.zonesFrom(args);
      while (c.nextBlock()) throw c.err(`unknown property '${c.val()}'`);
    }
    let searchPath: SearchPath;
    if (source.startsWith('@')) {
      const name = source.slice(1);
      // The kubernetes plugin is set up later; it is looked for when the server starts.
      searchPath = (request) => config.links.autoPath?.(request);
      config.startups.push(() => {
        const plugin = config.handlers.find((handler) => handler.name === name);
        if (plugin !== undefined && name !== 'kubernetes')
          throw new Error(`plugin/${NAME}: ${name} does not implement the AutoPather interface`);
      });
    } else {
      const text = source === '/etc/resolv.conf' && host.resolvConf !== '' ? host.resolvConf : host.readFile(source);
      if (text === undefined) throw new Error(`failed to parse "${source}": open ${source}: no such file or directory`);
      const search = [...searchOf(text), ''];
      searchPath = () => search;
    }
    const counter = host.metrics.counter('coredns_autopath_success_total', 'Counter of requests that did autopath.', [
      'server',
    ]);
    c.addHandler(NAME, (next) => {
      const series = counter.with(config.serverLabel);
      const autopath = new AutoPath(zones, searchPath, () => void series.value++, next);
      return (request, writer) => autopath.serve(request, writer);
    });
  },
};
