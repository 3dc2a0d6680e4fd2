// Reads `prometheus [ADDRESS]`: counts questions and answers and shows all metrics at /metrics (CoreDNS plugin/metrics).
// Deviation: the default address is `localhost:9153` as in CoreDNS, which in a Pod only the Pod itself reaches.
import { RCODE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import type { Handler } from '../../request.ts';
import type { Controller, Plugin } from '../plugin.ts';
import { Monitor } from './handler.ts';

const DEFAULT_ADDRESS = 'localhost:9153';
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export const prometheusPlugin: Plugin = {
  name: 'prometheus',
  setup(c) {
    let address = DEFAULT_ADDRESS;
    c.once(() => {
      const args = c.remainingArgs();
      if (args.length > 1) throw c.argErr();
      address = args[0] ?? DEFAULT_ADDRESS;
      while (c.nextBlock()) throw c.err(`unknown property '${c.val()}'`);
    });
    const { host, config } = c;
    const { zones } = config;
    c.addHandler('prometheus', (next) => {
      const handlers = new Map(zones.map((zone) => [zone, monitored(c, zone, next)]));
      if (zones.length === 1) return handlers.get(zones[0]!)!;
      return (request, writer) => handlers.get(matchZone(zones, request.name) ?? zones[0]!)!(request, writer);
    });
    // What no block is for is counted too.
    config.links.dropped = monitored(c, 'dropped', () => RCODE.REFUSED);
    const respond = () => ({ status: 200, body: host.metrics.text(), contentType: CONTENT_TYPE });
    config.startups.push(async () => {
      const enabled = host.metrics.gauge(
        'coredns_plugin_enabled',
        'A metric that indicates whether a plugin is enabled on per server and zone basis.',
        ['server', 'zone', 'view', 'name'],
      );
      for (const zone of zones)
        for (const { name } of config.handlers) enabled.with(config.serverLabel, zone, '', name).value = 1;
      await host.http.serve(address, '/metrics', respond);
    });
    config.shutdowns.push(() => host.http.release(address, '/metrics', respond));
  },
};

function monitored({ host, config }: Controller, zone: string, next: Handler | undefined): Handler {
  return new Monitor(host.metrics, host.clock, config.serverLabel, zone).handler(next);
}
