// Reads `file DBFILE [ZONES...] { reload DURATION; fallthrough [ZONES...] }` (CoreDNS plugin/file/setup.go, reload.go). A file is looked at
// every DURATION (1m; 0: never) and taken when its SOA has another serial; one that is missing at the start is waited for.
// Leaves out reload_by_mtime; `upstream` is taken and has no effect, as there.
import type { Timer } from '../../../lib/clock.ts';
import { type Controller, type Plugin, parseDuration } from '../plugin.ts';
import { answerFromFiles } from './handler.ts';
import { Zone } from './zone.ts';
import { parseZoneFile } from './zone-file.ts';

const NAME = 'file';
const DEFAULT_RELOAD_US = 60e6;

/** A zone and the file it comes from; one file may have several. */
interface Source {
  readonly origin: string;
  readonly path: string;
  reloadUs: number;
}

type Zones = Map<string, Zone | undefined>;

export const filePlugin: Plugin = {
  name: NAME,
  setup(c) {
    const zones: Zones = new Map();
    const sources: Source[] = [];
    let fallthrough: string[] | undefined;
    while (c.next()) {
      const parsed = parse(c);
      fallthrough = parsed.fallthrough ?? fallthrough;
      for (const source of parsed.sources) {
        zones.set(source.origin, firstRead(c, source));
        sources.push(source);
      }
    }
    c.addHandler(NAME, (next) =>
      answerFromFiles({ zones, fallthrough, log: (message) => c.log(NAME, 'INFO', message) }, next),
    );
    c.config.transferers.push((zone, serial) => {
      const found = zones.get(zone);
      if (found === undefined) return undefined;
      return serial !== undefined && found.serial === serial ? [[found.soa]] : found.all();
    });
    keepReading(c, sources, zones);
  },
};

/** One `file` directive. */
function parse(c: Controller): { sources: Source[]; fallthrough: string[] | undefined } {
  if (!c.nextArg()) throw c.argErr();
  const { root } = c.config.links;
  const path = besides(root === undefined ? '' : `${root}/`, c.val());
  const sources: Source[] = c
    .zonesFrom(c.remainingArgs())
    .map((origin) => ({ origin, path, reloadUs: DEFAULT_RELOAD_US }));
  let fallthrough: string[] | undefined;
  while (c.nextBlock()) {
    const property = c.val();
    const args = c.remainingArgs();
    if (property === 'fallthrough') {
      fallthrough = args.length === 0 ? ['.'] : c.zonesFrom(args);
    } else if (property === 'reload') {
      if (args.length === 0) throw new Error('reload duration value is expected');
      const us = parseDuration(args[0]!);
      if (us === undefined) throw new Error(`time: invalid duration "${args[0]}"`);
      for (const source of sources) source.reloadUs = us;
    } else if (property !== 'upstream') {
      throw c.err(`unknown property '${property}'`);
    }
  }
  return { sources, fallthrough };
}

/** Undefined when the file is not there. Throws when it is no zone of this origin. */
function read({ host }: Controller, { origin, path }: Source): Zone | undefined {
  const text = host.readFile(path);
  if (text === undefined) return undefined;
  const include = (name: string): string | undefined => host.readFile(besides(path, name));
  return new Zone(origin, parseZoneFile(text, path, origin, include), path);
}

function firstRead(c: Controller, source: Source): Zone | undefined {
  const zone = read(c, source);
  if (zone === undefined) {
    const why = `open ${source.path}: no such file or directory`;
    if (source.reloadUs === 0) throw new Error(why);
    c.log(NAME, 'WARNING', `Failed to open "${why}": trying again in ${source.reloadUs / 1e6}s`);
  }
  return zone;
}

/** From the server's start to its end. */
function keepReading(c: Controller, sources: readonly Source[], zones: Zones): void {
  const { host, config } = c;
  const timers = new Map<Source, Timer>();
  const schedule = (source: Source): void => {
    if (source.reloadUs <= 0) return;
    const look = (): void => {
      schedule(source);
      try {
        const zone = read(c, source);
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
}

/** A path that is not absolute lies beside the file that names it. */
function besides(path: string, name: string): string {
  return name.startsWith('/') ? name : path.slice(0, path.lastIndexOf('/') + 1) + name;
}
