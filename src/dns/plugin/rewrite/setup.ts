// Reads `rewrite [continue|stop] FIELD ...`, also as a block with one rule in several lines, and changes questions and replies
// (CoreDNS plugin/rewrite). FIELD is `name [exact|prefix|suffix|substring|regex] FROM TO [answer auto | answer name FROM TO | answer
// value FROM TO]`, `type FROM TO`, `class FROM TO` or `ttl [exact|...] NAME SECONDS|MIN-MAX`. Leaves out the fields edns0, rcode and
// cname, as errors that say so.
import { CLASS_IN, typeNumber } from '../../constants.ts';
import type { Question } from '../../message-writer.ts';
import { fqdn, isValidName } from '../../name.ts';
import { nextOrFailure, type Reply, type ResponseWriter } from '../../request.ts';
import type { Controller, Plugin } from '../plugin.ts';
import {
  exact,
  type NameRewriter,
  NO_REPLY_RULES,
  pattern,
  prefix,
  type Rule,
  rewriteRecord,
  substring,
  suffix,
  type TtlBounds,
  within,
} from './rules.ts';

const NAME = 'rewrite';
const CLASSES: Readonly<Record<string, number>> = { IN: CLASS_IN, CH: 3, HS: 4, NONE: 254, ANY: 255 };
const MOST_SECONDS = 2 ** 31 - 1;
const KINDS = new Set(['exact', 'prefix', 'suffix', 'substring', 'regex']);

export const rewritePlugin: Plugin = {
  name: NAME,
  setup(c) {
    const rules: Rule[] = [];
    while (c.next()) {
      const args = c.remainingArgs();
      const lines = [args];
      while (c.nextBlock()) lines.push([c.val(), ...c.remainingArgs()]);
      rules.push(parseRule(c, lines));
    }
    c.addHandler(NAME, (next) => (request, writer) => {
      const owners: NameRewriter[] = [];
      const values: NameRewriter[] = [];
      const bounds: TtlBounds[] = [];
      const original = request.question.name;
      let question: Question = { ...request.question, name: request.name };
      let matched = false;
      for (const { rewrite, reply, continues } of rules) {
        const to = rewrite(question);
        if (to === undefined || !isValidName(to.name)) continue;
        matched = true;
        question = to;
        if (reply.auto) owners.push((owner) => (owner === to.name ? original : undefined));
        owners.push(...reply.owners);
        values.push(...reply.values);
        if (reply.ttl !== undefined) bounds.push(reply.ttl);
        if (!continues) break;
      }
      if (!matched) return nextOrFailure(NAME, next, request, writer);
      // What was written in capitals stays so while the name is the same.
      const name = question.name === request.name ? original : question.name;
      const asked = request.withQuestion(name, question.type, question.class);
      const isPlain = owners.length + values.length + bounds.length === 0;
      return nextOrFailure(NAME, next, asked, isPlain ? writer : new Reverter(writer, owners, values, bounds));
    });
  },
};

/** Turns the records of the reply back; the question is the client's own in any case. */
class Reverter implements ResponseWriter {
  readonly #inner: ResponseWriter;
  readonly #owners: readonly NameRewriter[];
  readonly #values: readonly NameRewriter[];
  readonly #bounds: readonly TtlBounds[];

  constructor(
    inner: ResponseWriter,
    owners: readonly NameRewriter[],
    values: readonly NameRewriter[],
    bounds: readonly TtlBounds[],
  ) {
    this.#inner = inner;
    this.#owners = owners;
    this.#values = values;
    this.#bounds = bounds;
  }

  write(reply: Reply): number {
    const turn = (records: Reply['answer']): Reply['answer'] =>
      records.map((record) => rewriteRecord(record, this.#owners, this.#values, this.#bounds));
    const [answer, authority, additional] = [turn(reply.answer), turn(reply.authority), turn(reply.additional)];
    const ttl = reply.ttl === undefined ? undefined : within(reply.ttl, this.#bounds);
    return this.#inner.write({ ...reply, answer, authority, additional, ttl });
  }
}

function parseRule(c: Controller, lines: readonly (readonly string[])[]): Rule {
  const words = lines.flat();
  let continues = false;
  if (words[0] === 'continue' || words[0] === 'stop') continues = words.shift() === 'continue';
  const field = words.shift();
  if (field === undefined) throw c.argErr();
  switch (field) {
    case 'name':
      return { continues, ...nameRule(words) };
    case 'type':
    case 'class':
      return { continues, ...numberRule(field, words) };
    case 'ttl':
      return { continues, ...ttlRule(words) };
    case 'edns0':
    case 'rcode':
    case 'cname':
      throw c.err(`rewriting the field '${field}' is not supported by this server yet`);
    default:
      throw new Error(`invalid rule type "${field}"`);
  }
}

function nameRule(words: string[]): Omit<Rule, 'continues'> {
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
      (what === 'name' ? owners : values).push(regex('name', answerFrom, absolute(answerTo)));
    } else {
      throw new Error(`invalid arguments for a response rule: answer ${what ?? ''}`);
    }
  }
  const rename = rewriterOf('name', kind, from, to);
  const rewrite = (question: Question): Question | undefined => {
    const name = rename(question.name);
    return name === undefined ? undefined : { ...question, name };
  };
  return { rewrite, reply: { ...NO_REPLY_RULES, auto, owners, values } };
}

function numberRule(field: 'type' | 'class', words: readonly string[]): Omit<Rule, 'continues'> {
  if (words.length !== 2) throw new Error(`${field} rules must have exactly two arguments`);
  const [from, to] = words.map((word) => {
    const number = field === 'type' ? typeNumber(word) : CLASSES[word.toUpperCase()];
    if (number === undefined) throw new Error(`invalid ${field} "${word.toUpperCase()}"`);
    return number;
  });
  const rewrite = (question: Question): Question | undefined =>
    question[field] === from ? { ...question, [field]: to! } : undefined;
  return { rewrite, reply: NO_REPLY_RULES };
}

function ttlRule(words: string[]): Omit<Rule, 'continues'> {
  if (words.length < 2) throw new Error(`too few (${words.length}) arguments for a ttl rule`);
  if (words.length > 3) throw new Error('many few arguments for a ttl rule');
  const kind = words.length === 3 ? words.shift()!.toLowerCase() : 'exact';
  if (!KINDS.has(kind))
    throw new Error('ttl rule supports only exact, prefix, suffix, substring, and regex name matching');
  const [name, seconds] = words as [string, string];
  const [min, max = min, more] = seconds.split('-');
  const isWrong = more !== undefined || seconds === '-' || !/^\d*$/.test(min! + max!) || seconds === '';
  const ttl = { min: Number(min), max: max === '' ? MOST_SECONDS : Number(max) };
  if (isWrong || ttl.min > ttl.max) throw new Error(`invalid TTL '${seconds}' for a ttl rule`);
  // Of a name that is only begun or inside of another, CoreDNS too makes an absolute one.
  const matches = rewriterOf('ttl', kind, kind === 'regex' ? name : absolute(name), '');
  return {
    rewrite: (question) => (matches(question.name) === undefined ? undefined : question),
    reply: { ...NO_REPLY_RULES, ttl },
  };
}

function rewriterOf(field: string, kind: string, from: string, to: string): NameRewriter {
  const [lowFrom, lowTo] = [from.toLowerCase(), to.toLowerCase()];
  switch (kind) {
    case 'prefix':
      return prefix(lowFrom, lowTo);
    case 'suffix':
      return suffix(absolute(lowFrom), absolute(lowTo));
    case 'substring':
      return substring(lowFrom, lowTo);
    case 'regex':
      return regex(field, from, absolute(lowTo));
    default:
      return exact(absolute(lowFrom), absolute(lowTo));
  }
}

function absolute(name: string): string {
  return fqdn(name.toLowerCase());
}

function regex(field: string, from: string, to: string): NameRewriter {
  try {
    return pattern(from, to);
  } catch (cause) {
    throw new Error(`invalid regex pattern in a ${field} rule: ${from}`, { cause });
  }
}
