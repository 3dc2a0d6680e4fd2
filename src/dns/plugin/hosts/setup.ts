// Reads `hosts [FILE [ZONES...]] { [ADDRESS NAMES...]; ttl SECONDS; no_reverse; reload DURATION; fallthrough [ZONES...] }` (CoreDNS
// plugin/hosts/setup.go). The file is looked at again every DURATION (5s).
import type { Timer } from '../../../lib/clock.ts';
import { addressBytes } from '../../reverse.ts';
import { type Plugin, parseDuration, parseInteger } from '../plugin.ts';
import { answerFromHosts } from './handler.ts';
import { HostTable } from './table.ts';

const NAME = 'hosts';
const DEFAULT_TTL = 3600;
const DEFAULT_RELOAD_US = 5e6;

export const hostsPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const { host, config } = c;
    let path = '/etc/hosts';
    let zones: string[] = [];
    let fallthrough: string[] | undefined;
    let ttl = DEFAULT_TTL;
    let withReverse = true;
    let reloadUs = DEFAULT_RELOAD_US;
    const lines: string[] = [];
    c.once(() => {
      const args = c.remainingArgs();
      path = args.shift() ?? path;
      zones = c.zonesFrom(args);
      while (c.nextBlock()) {
        const property = c.val();
        const rest = c.remainingArgs();
        if (property === 'fallthrough') {
          fallthrough = rest.length === 0 ? ['.'] : c.zonesFrom(rest);
        } else if (property === 'no_reverse') {
          withReverse = false;
        } else if (property === 'ttl') {
          const value = rest.length === 1 ? parseInteger(rest[0]!) : undefined;
          if (rest.length < 1) throw c.err('ttl needs a time in second');
          if (value === undefined || value <= 0 || value > 65535) throw c.err('ttl provided is invalid');
          ttl = value;
        } else if (property === 'reload') {
          const us = rest.length === 1 ? parseDuration(rest[0]!) : undefined;
          if (us === undefined || us < 0) throw c.err(`invalid duration for reload '${rest[0] ?? ''}'`);
          reloadUs = us;
        } else if (rest.length > 0 && addressBytes(property) !== undefined) {
          lines.push([property, ...rest].join(' '));
        } else {
          throw c.err(`unknown property '${property}'`);
        }
      }
    });
    let text = host.readFile(path);
    if (text === undefined && lines.length === 0) c.log(NAME, 'WARNING', `File does not exist: ${path}`);
    const inline = new HostTable(lines.join('\n'), zones, withReverse);
    let tables = [new HostTable(text ?? '', zones, withReverse), inline];
    const entries = host.metrics.gauge(
      'coredns_hosts_entries',
      'The combined number of entries in hosts and Corefile.',
    );
    const readAt = host.metrics.gauge(
      'coredns_hosts_reload_timestamp_seconds',
      'The timestamp of the last reload of hosts file.',
    );
    const show = (): void => {
      entries.with().value = tables.reduce((sum, table) => sum + table.size, 0);
      readAt.with().value = Math.floor(host.clock.unixMs() / 1000);
    };
    show();
    let timer: Timer | undefined;
    const look = (): void => {
      const now = host.readFile(path);
      if (now !== text) {
        text = now;
        tables = [new HostTable(text ?? '', zones, withReverse), inline];
        show();
      }
      timer = host.clock.after(reloadUs, look);
    };
    if (reloadUs > 0) {
      config.startups.push(() => {
        timer = host.clock.after(reloadUs, look);
      });
      config.shutdowns.push(() => timer?.cancel());
    }
    c.addHandler(NAME, (next) => answerFromHosts({ zones, ttl, fallthrough, tables: () => tables }, next));
  },
};
