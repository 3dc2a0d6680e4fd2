// Reads `errors { consolidate DURATION REGEXP [LEVEL] }` (CoreDNS plugin/errors/setup.go). Leaves out `stacktrace` and
// `show_first`, as errors that say so.
import { type Controller, type Plugin, parseDuration } from '../plugin.ts';
import { Consolidation, logErrors } from './handler.ts';

const NAME = 'errors';
const LEVELS: Record<string, 'ERROR' | 'WARNING' | 'INFO' | 'DEBUG'> = {
  error: 'ERROR',
  warning: 'WARNING',
  info: 'INFO',
  debug: 'DEBUG',
};

export const errorsPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const consolidations: Consolidation[] = [];
    c.once(() => {
      const [file, ...more] = c.remainingArgs();
      if (more.length > 0) throw c.argErr();
      if (file !== undefined && file !== 'stdout') throw new Error(`invalid log file: ${file}`);
      while (c.nextBlock()) {
        if (c.val() === 'consolidate') consolidations.push(parseConsolidate(c));
        else if (c.val() === 'stacktrace') throw c.err(`property '${c.val()}' is not supported by this server yet`);
        else throw c.syntaxErr('consolidate or stacktrace');
      }
    });
    c.config.shutdowns.push(() => {
      for (const one of consolidations) one.flush();
    });
    c.addHandler(NAME, (next) => logErrors((message) => c.log(NAME, 'ERROR', message), consolidations, next));
  },
};

function parseConsolidate(c: Controller): Consolidation {
  const [duration, pattern, level = 'error', ...rest] = c.remainingArgs();
  if (duration === undefined || pattern === undefined) throw c.argErr();
  if (rest.length > 0 || level === 'show_first')
    throw c.err(`option '${rest[0] ?? level}' of consolidate is not supported by this server yet`);
  const us = parseDuration(duration);
  if (us === undefined) throw c.err(`time: invalid duration "${duration}"`);
  const name = LEVELS[level];
  if (name === undefined) throw c.err(`unknown log level argument in consolidate: ${level}`);
  try {
    const log = (message: string): void => (name === 'DEBUG' ? undefined : c.log(NAME, name, message));
    return new Consolidation(c.host.clock, us, pattern, log);
  } catch (cause) {
    throw c.err(`error parsing regexp: ${(cause as Error).message}`);
  }
}
