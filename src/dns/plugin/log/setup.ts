// Reads `log [NAMES...] [FORMAT] { class CLASSES... }` (CoreDNS plugin/log/setup.go).
import type { ResponseClass } from '../../response-type.ts';
import type { Controller, Plugin } from '../plugin.ts';
import { COMBINED_FORMAT, COMMON_FORMAT, type LogRule, logQueries } from './handler.ts';

const CLASSES = new Set(['all', 'success', 'denial', 'error']);

export const logPlugin: Plugin = {
  name: 'log',
  setup(c) {
    const rules: LogRule[] = [];
    while (c.next()) rules.push(...parse(c));
    const { host } = c;
    c.addHandler('log', (next) => logQueries(rules, host.clock, (line) => host.log(`[INFO] ${line}`), next));
  },
};

function parse(c: Controller): LogRule[] {
  const args = c.remainingArgs();
  const last = args.at(-1);
  let format = COMMON_FORMAT;
  if (last?.includes('{')) {
    format = last.replaceAll('{common}', COMMON_FORMAT).replaceAll('{combined}', COMBINED_FORMAT);
    args.pop();
  }
  const classes = new Set<ResponseClass>();
  let all = true;
  while (c.nextBlock()) {
    if (c.val() !== 'class') throw c.argErr();
    const names = c.remainingArgs();
    if (names.length === 0) throw c.argErr();
    all = false;
    for (const name of names) {
      if (!CLASSES.has(name)) throw c.err(`invalid Class: ${name}`);
      if (name === 'all') all = true;
      else classes.add(name as ResponseClass);
    }
  }
  const scopes = args.length === 0 ? ['.'] : c.zonesFrom(args);
  return scopes.map((zone) => ({ zone, format, classes: all ? undefined : classes }));
}
