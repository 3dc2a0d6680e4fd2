// Reads `reload [INTERVAL] [JITTER]`: the Corefile is looked at every so often and taken when it has changed (CoreDNS
// plugin/reload/setup.go). The work is done in ../../instance.ts, which owns the running configuration.
import { type Controller, type Plugin, parseDuration } from '../plugin.ts';

const DEFAULT_INTERVAL_US = 30e6;
const MIN_INTERVAL_US = 2e6;
const DEFAULT_JITTER_US = 15e6;
const MIN_JITTER_US = 1e6;

export const reloadPlugin: Plugin = {
  name: 'reload',
  setup(c) {
    c.next();
    const args = c.remainingArgs();
    if (args.length > 2) throw c.argErr();
    const interval = duration(c, args[0], DEFAULT_INTERVAL_US);
    if (interval < MIN_INTERVAL_US) throw new Error('interval value must be greater or equal to 2s');
    const given = duration(c, args[1], DEFAULT_JITTER_US);
    if (given < MIN_JITTER_US) throw new Error('jitter value must be greater or equal to 1s');
    const jitter = Math.min(given, interval / 2);
    c.host.watchCorefile(interval + c.host.rng.float() * jitter - jitter / 2);
  },
};

function duration(c: Controller, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const us = parseDuration(text);
  if (us === undefined) throw c.err(`time: invalid duration "${text}"`);
  return us;
}
