// Reads `rewrite [continue|stop] name [exact|prefix|suffix|substring|regex] FROM TO [answer auto | answer name FROM TO | answer value
// FROM TO]`, also as a block with one field a line, and changes questions and replies (CoreDNS plugin/rewrite). Leaves out the
// fields class, edns0, rcode, ttl, type and cname, as errors that say so.
import { fqdn, isValidName } from '../../name.ts';
import { nextOrFailure, type Reply, type ResponseWriter } from '../../request.ts';
import type { Controller, Plugin } from '../plugin.ts';
import { exact, type NameRewriter, type NameRule, pattern, prefix, rewriteRecord, substring, suffix } from './rules.ts';

const NAME = 'rewrite';
const KINDS = new Set(['exact', 'prefix', 'suffix', 'substring', 'regex']);

export const rewritePlugin: Plugin = {
  name: NAME,
  setup(c) {
    const rules: NameRule[] = [];
    while (c.next()) {
      const args = c.remainingArgs();
      const lines = [args];
      while (c.nextBlock()) lines.push([c.val(), ...c.remainingArgs()]);
      rules.push(parseRule(c, lines));
    }
    c.addHandler(NAME, (next) => (request, writer) => {
      const rewriters: NameRewriter[] = [];
      const values: NameRewriter[] = [];
      let { name } = request;
      let matched = false;
      for (const rule of rules) {
        const to = rule.rewrite(name);
        if (to === undefined || !isValidName(to)) continue;
        matched = true;
        const original = request.question.name;
        if (rule.auto) rewriters.push((owner) => (owner === to ? original : undefined));
        rewriters.push(...rule.owners);
        values.push(...rule.values);
        name = to;
        if (!rule.continues) break;
      }
      if (!matched) return nextOrFailure(NAME, next, request, writer);
      const asked = request.withQuestion(name, request.question.type);
      return nextOrFailure(NAME, next, asked, new Reverter(writer, rewriters, values));
    });
  },
};

/** Turns the names of the reply back; the question is the client's own in any case. */
class Reverter implements ResponseWriter {
  readonly #inner: ResponseWriter;
  readonly #owners: readonly NameRewriter[];
  readonly #values: readonly NameRewriter[];

  constructor(inner: ResponseWriter, owners: readonly NameRewriter[], values: readonly NameRewriter[]) {
    this.#inner = inner;
    this.#owners = owners;
    this.#values = values;
  }

  write(reply: Reply): number {
    if (this.#owners.length === 0 && this.#values.length === 0) return this.#inner.write(reply);
    const turn = (records: Reply['answer']): Reply['answer'] =>
      records.map((record) => rewriteRecord(record, this.#owners, this.#values));
    return this.#inner.write({ ...reply, answer: turn(reply.answer), additional: turn(reply.additional) });
  }
}

function parseRule(c: Controller, lines: readonly (readonly string[])[]): NameRule {
  const words = lines.flat();
  let continues = false;
  if (words[0] === 'continue' || words[0] === 'stop') continues = words.shift() === 'continue';
  const field = words.shift();
  if (field === undefined) throw c.argErr();
  if (field !== 'name') {
    if (['class', 'edns0', 'rcode', 'ttl', 'type', 'cname'].includes(field))
      throw c.err(`rewriting the field '${field}' is not supported by this server yet`);
    throw new Error(`invalid rule type "${field}"`);
  }
  const kind = KINDS.has(words[0] ?? '') && words.length > 2 ? words.shift()! : 'exact';
  const [from, to, ...rest] = words;
  if (from === undefined || to === undefined) throw new Error(`too few arguments for a name rule`);
  const owners: NameRewriter[] = [];
  const values: NameRewriter[] = [];
  // Exact rules turn the owner back without being told.
  let auto = kind === 'exact';
  while (rest.length > 0) {
    if (rest.shift() !== 'answer') throw new Error('exceeded the number of arguments for a non-regex rule');
    const what = rest.shift();
    if (what === 'auto') {
      auto = true;
    } else if (what === 'name' || what === 'value') {
      const [answerFrom, answerTo] = [rest.shift(), rest.shift()];
      if (answerFrom === undefined || answerTo === undefined) throw new Error(`answer ${what} needs two arguments`);
      (what === 'name' ? owners : values).push(regex(answerFrom, absolute(answerTo)));
    } else {
      throw new Error(`invalid arguments for a response rule: answer ${what ?? ''}`);
    }
  }
  return { continues, rewrite: rewriterOf(kind, from, to), auto, owners, values };
}

function rewriterOf(kind: string, from: string, to: string): NameRewriter {
  const [lowFrom, lowTo] = [from.toLowerCase(), to.toLowerCase()];
  switch (kind) {
    case 'prefix':
      return prefix(lowFrom, lowTo);
    case 'suffix':
      return suffix(absolute(lowFrom), absolute(lowTo));
    case 'substring':
      return substring(lowFrom, lowTo);
    case 'regex':
      return regex(from, absolute(lowTo));
    default:
      return exact(absolute(lowFrom), absolute(lowTo));
  }
}

function absolute(name: string): string {
  return fqdn(name.toLowerCase());
}

function regex(from: string, to: string): NameRewriter {
  try {
    return pattern(from, to);
  } catch (cause) {
    throw new Error(`invalid regex pattern in a name rule: ${from}`, { cause });
  }
}
