// Reads `hosts [FILE [ZONES...]] { [ADDRESS NAMES...]; ttl SECONDS; no_reverse; reload DURATION; fallthrough [ZONES...] }` (CoreDNS
// plugin/hosts/setup.go). The file is looked at again every DURATION (5s).
import type { Timer } from '../../../lib/clock.ts';
import { addressBytes } from '../../reverse.ts';
import { type Controller, type Plugin, parseDuration, parseInteger } from '../plugin.ts';
import { answerFromHosts } from './handler.ts';
import { HostTable } from './table.ts';

const NAME = 'hosts';
const DEFAULT_TTL = 3600;
const DEFAULT_RELOAD_US = 5e6;

export const hostsPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const { host, config } = c;
    const { path, zones, lines, withReverse, ttl, reloadUs, fallthrough } = parse(c);
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

interface Settings {
  path: string;
  zones: string[];
  /** Entries in the Corefile itself, as they would stand in the file. */
  readonly lines: string[];
  withReverse: boolean;
  ttl: number;
  /** 0: the file is read once. */
  reloadUs: number;
  fallthrough: string[] | undefined;
}

function parse(c: Controller): Settings {
  const settings: Settings = {
    path: '/etc/hosts',
    zones: [],
    lines: [],
    withReverse: true,
    ttl: DEFAULT_TTL,
    reloadUs: DEFAULT_RELOAD_US,
    fallthrough: undefined,
  };
  c.once(() => {
    const args = c.remainingArgs();
    settings.path = args.shift() ?? settings.path;
    settings.zones = c.zonesFrom(args);
    while (c.nextBlock()) {
      const property = c.val();
      const rest = c.remainingArgs();
      if (property === 'fallthrough') {
        settings.fallthrough = rest.length === 0 ? ['.'] : c.zonesFrom(rest);
      } else if (property === 'no_reverse') {
        settings.withReverse = false;
      } else if (property === 'ttl') {
        const value = rest.length === 1 ? parseInteger(rest[0]!) : undefined;
        if (rest.length < 1) throw c.err('ttl needs a time in second');
        if (value === undefined || value <= 0 || value > 65535) throw c.err('ttl provided is invalid');
        settings.ttl = value;
      } else if (property === 'reload') {
        const us = rest.length === 1 ? parseDuration(rest[0]!) : undefined;
        if (us === undefined || us < 0) throw c.err(`invalid duration for reload '${rest[0] ?? ''}'`);
        settings.reloadUs = us;
      } else if (rest.length > 0 && addressBytes(property) !== undefined) {
        settings.lines.push([property, ...rest].join(' '));
      } else {
        throw c.err(`unknown property '${property}'`);
      }
    }
  });
  return settings;
}
