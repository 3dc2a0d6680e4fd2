// Reads `header { query|response set|clear FLAGS... }`: sets or clears aa, ra and rd of questions as the plugins after it see them, and
// of replies (CoreDNS plugin/header). A question's aa and ra mean nothing to any plugin.
import { FLAG_RD } from '../../message-writer.ts';
import { nextOrFailure, type Reply, type Request } from '../../request.ts';
import type { Controller, Plugin } from '../plugin.ts';

const NAME = 'header';
type Flag = 'aa' | 'ra' | 'rd';

interface Rule {
  readonly flag: Flag;
  readonly on: boolean;
}

export const headerPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const rules: Record<'query' | 'response', Rule[]> = { query: [], response: [] };
    while (c.next()) {
      while (c.nextBlock()) {
        const selector = c.val().toLowerCase();
        if (selector !== 'query' && selector !== 'response')
          throw new Error(`setting up rule: invalid selector=${selector} should be query or response`);
        rules[selector].push(...rulesFrom(c));
      }
    }
    c.addHandler(NAME, (next) => (request, writer) => {
      desire(request, rules.query);
      return nextOrFailure(NAME, next, request, {
        write(reply) {
          desire(request, rules.response);
          return writer.write(changed(reply, rules.response));
        },
      });
    });
  },
};

function rulesFrom(c: Controller): Rule[] {
  const [action, ...flags] = c.remainingArgs();
  if (action === undefined) throw new Error('setting up rule: no flag action provided');
  if (flags.length === 0) throw new Error('setting up rule: invalid length for flags, at least one should be provided');
  const on = action.toLowerCase();
  if (on !== 'set' && on !== 'clear')
    throw new Error(`setting up rule: unknown flag action=${on}, should be set or clear`);
  return flags.map((text) => {
    const flag = text.toLowerCase();
    if (flag !== 'aa' && flag !== 'ra' && flag !== 'rd')
      throw new Error(`setting up rule: unknown/unsupported flag=${flag}`);
    return { flag, on: on === 'set' };
  });
}

/** Replies copy this bit from the question. */
function desire(request: Request, rules: readonly Rule[]): void {
  for (const { flag, on } of rules) {
    if (flag === 'rd') request.flags = on ? request.flags | FLAG_RD : request.flags & ~FLAG_RD;
  }
}

function changed(reply: Reply, rules: readonly Rule[]): Reply {
  let { authoritative, recursionAvailable } = reply;
  for (const { flag, on } of rules) {
    if (flag === 'aa') authoritative = on;
    else if (flag === 'ra') recursionAvailable = on;
  }
  return { ...reply, authoritative, recursionAvailable };
}
