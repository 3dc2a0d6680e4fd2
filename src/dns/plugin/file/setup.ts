// Reads `file DBFILE [ZONES...] { reload DURATION; fallthrough [ZONES...] }` (CoreDNS plugin/file/setup.go, reload.go). A file is looked at
// every DURATION (1m; 0: never) and taken when its SOA has another serial; one that is missing at the start is waited for.
// Leaves out reload_by_mtime; `upstream` is taken and has no effect, as there.
import type { Timer } from '../../../lib/clock.ts';
import { type Plugin, parseDuration } from '../plugin.ts';
import { answerFromFiles } from './handler.ts';
import { Zone } from './zone.ts';
import { parseZoneFile } from './zone-file.ts';

const NAME = 'file';
const DEFAULT_RELOAD_US = 60e6;

interface Source {
  readonly origin: string;
  readonly path: string;
  reloadUs: number;
}

export const filePlugin: Plugin = {
  name: NAME,
  setup(c) {
    const { host, config } = c;
    const zones = new Map<string, Zone | undefined>();
    const sources: Source[] = [];
    let fallthrough: string[] | undefined;
    const read = ({ origin, path }: Source): Zone | undefined => {
      const text = host.readFile(path);
      return text === undefined
        ? undefined
        : new Zone(
            origin,
            parseZoneFile(text, path, origin, (name) => host.readFile(besides(path, name))),
            path,
          );
    };
    while (c.next()) {
      if (!c.nextArg()) throw c.argErr();
      const path = besides(config.links.root === undefined ? '' : `${config.links.root}/`, c.val());
      const own: Source[] = c
        .zonesFrom(c.remainingArgs())
        .map((origin) => ({ origin, path, reloadUs: DEFAULT_RELOAD_US }));
      while (c.nextBlock()) {
        const property = c.val();
        const args = c.remainingArgs();
        if (property === 'fallthrough') {
          fallthrough = args.length === 0 ? ['.'] : c.zonesFrom(args);
        } else if (property === 'reload') {
          if (args.length === 0) throw new Error('reload duration value is expected');
          const us = parseDuration(args[0]!);
          if (us === undefined) throw new Error(`time: invalid duration "${args[0]}"`);
          for (const source of own) source.reloadUs = us;
        } else if (property !== 'upstream') {
          throw c.err(`unknown property '${property}'`);
        }
      }
      for (const source of own) {
        const zone = read(source);
        if (zone === undefined) {
          const why = `open ${path}: no such file or directory`;
          if (source.reloadUs === 0) throw new Error(why);
          c.log(NAME, 'WARNING', `Failed to open "${why}": trying again in ${source.reloadUs / 1e6}s`);
        }
        zones.set(source.origin, zone);
        sources.push(source);
      }
    }
    c.addHandler(NAME, (next) =>
      answerFromFiles({ zones, fallthrough, log: (message) => c.log(NAME, 'INFO', message) }, next),
    );
    config.transferers.push((zone, serial) => {
      const found = zones.get(zone);
      if (found === undefined) return undefined;
      return serial !== undefined && found.serial === serial ? [[found.soa]] : found.all();
    });
    const timers = new Map<Source, Timer>();
    const schedule = (source: Source): void => {
      if (source.reloadUs <= 0) return;
      const look = (): void => {
        schedule(source);
        try {
          const zone = read(source);
          if (zone === undefined || zone.serial === zones.get(source.origin)?.serial) return;
          zones.set(source.origin, zone);
          const what = `zone "${source.origin}" in "${source.path}" with ${zone.serial} SOA serial`;
          c.log(NAME, 'INFO', `Successfully reloaded ${what}`);
        } catch (error) {
          c.log(NAME, 'ERROR', `Parsing zone "${source.origin}": ${(error as Error).message}`);
        }
      };
      timers.set(source, host.clock.after(source.reloadUs, look));
    };
    config.startups.push(() => sources.forEach(schedule));
    config.shutdowns.push(() => {
      for (const timer of timers.values()) timer.cancel();
    });
  },
};

/** A path that is not absolute lies beside the file that names it. */
function besides(path: string, name: string): string {
  return name.startsWith('/') ? name : path.slice(0, path.lastIndexOf('/') + 1) + name;
}
