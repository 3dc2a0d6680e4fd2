// Label and field selectors: the text forms of `kubectl -l` and `--field-selector`, and the LabelSelector object.
// Semantics of k8s.io/apimachinery/pkg/labels (selector.go) and pkg/fields: an empty selector selects everything; `!=` and
// `notin` also select objects without the key. Parsing throws SelectorError, which the API server answers as 400 BadRequest.

import type { LabelSelector } from './meta.ts';
import { labelValueErrors, qualifiedNameErrors } from './names.ts';

export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

export type LabelOperator = '=' | '!=' | 'in' | 'notin' | 'exists' | '!' | '>' | '<';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

export type Labels = Readonly<Record<string, string>> | undefined;

/** A parsed label selector. */
export interface LabelMatcher {
  readonly requirements: readonly LabelRequirement[];
  matches(labels: Labels): boolean;
}

const EVERYTHING: LabelMatcher = { requirements: [], matches: () => true };
const NOTHING: LabelMatcher = { requirements: [], matches: () => false };

/** Reads `app=web,tier in (a,b),!x`. Absent or empty text selects everything. */
export function parseLabelSelector(text: string | undefined): LabelMatcher {
  if (text === undefined || text.trim() === '') return EVERYTHING;
  return matcher(new LabelParser(text).parse());
}

/** The selector of a workload. Absent selects nothing, `{}` everything. */
export function labelSelectorMatcher(selector: LabelSelector | undefined | null): LabelMatcher {
  if (selector === undefined || selector === null) return NOTHING;
  const requirements: LabelRequirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    requirements.push({ key, operator: '=', values: [value] });
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    switch (operator) {
      case 'In':
        requirements.push({ key, operator: 'in', values });
        break;
      case 'NotIn':
        requirements.push({ key, operator: 'notin', values });
        break;
      case 'Exists':
        requirements.push({ key, operator: 'exists', values: [] });
        break;
      case 'DoesNotExist':
        requirements.push({ key, operator: '!', values: [] });
        break;
      default:
        throw new SelectorError(`"${String(operator)}" is not a valid label selector operator`);
    }
  }
  return requirements.length === 0 ? EVERYTHING : matcher(requirements);
}

export function matchesLabelSelector(selector: LabelSelector | undefined | null, labels: Labels): boolean {
  return labelSelectorMatcher(selector).matches(labels);
}

/** Service-style selector: every pair must be there. Absent selects nothing; an empty one too, as a Service reads it. */
export function matchesSet(selector: Labels, labels: Labels): boolean {
  const pairs = Object.entries(selector ?? {});
  if (pairs.length === 0) return false;
  return pairs.every(([key, value]) => labels?.[key] === value);
}

/** The text form of a LabelSelector, as `-l` takes it; `list` with it selects the same objects. */
export function formatLabelSelector(selector: LabelSelector): string {
  return labelSelectorMatcher(selector).requirements.map(formatRequirement).join(',');
}

function formatRequirement({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists':
      return key;
    case '!':
      return `!${key}`;
    case 'in':
    case 'notin':
      return `${key} ${operator} (${[...values].sort().join(',')})`;
    default:
      return `${key}${operator}${values[0]}`;
  }
}

function matcher(requirements: readonly LabelRequirement[]): LabelMatcher {
  return { requirements, matches: (labels) => requirements.every((r) => meets(r, labels)) };
}

function meets({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const has = labels !== undefined && Object.hasOwn(labels, key);
  const value = has ? labels[key]! : '';
  switch (operator) {
    case '=':
      return has && value === values[0];
    case 'in':
      return has && values.includes(value);
    case '!=':
      return !has || value !== values[0];
    case 'notin':
      return !has || !values.includes(value);
    case 'exists':
      return has;
    case '!':
      return !has;
    default: {
      if (!has || !/^[+-]?\d+$/.test(value)) return false;
      const difference = BigInt(value) - BigInt(values[0]!);
      return operator === '>' ? difference > 0n : difference < 0n;
    }
  }
}

const TOKEN = /\s*(?:(==|!=|[=!(),<>])|([^\s=!(),<>]+))/y;
const END = '';

/** Recursive descent over `requirement {',' requirement}`, after the grammar in labels/selector.go. */
class LabelParser {
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    const end = text.trimEnd().length;
    while (TOKEN.lastIndex < end) {
      const match = TOKEN.exec(text);
      if (!match) break;
      this.#tokens.push(match[1] ?? match[2]!);
    }
  }

  parse(): LabelRequirement[] {
    const out: LabelRequirement[] = [];
    for (;;) {
      out.push(this.#requirement());
      const token = this.#next();
      if (token === END) return out;
      if (token !== ',') throw new SelectorError(`found '${token}', expected: ',' or 'end of string'`);
      const following = this.#peek();
      if (following === END || following === ',' || (!isWord(following) && following !== '!')) {
        throw new SelectorError(`found '${following}', expected: identifier after ','`);
      }
    }
  }

  #requirement(): LabelRequirement {
    let token = this.#next();
    const negated = token === '!';
    if (negated) token = this.#next();
    if (!isWord(token)) throw new SelectorError(`unable to parse requirement: found '${token}', expected: identifier`);
    const key = token;
    checkAll(key, qualifiedNameErrors(key));
    if (negated) return { key, operator: '!', values: [] };
    const operator = this.#peek();
    if (operator === END || operator === ',') return { key, operator: 'exists', values: [] };
    this.#next();
    switch (operator) {
      case '=':
      case '==':
        return { key, operator: '=', values: [this.#value()] };
      case '!=':
        return { key, operator: '!=', values: [this.#value()] };
      case '>':
      case '<': {
        const value = this.#value();
        if (!/^[+-]?\d+$/.test(value)) {
          throw new SelectorError(
            `unable to parse requirement: values[0][${key}]: Invalid value: "${value}": for 'Gt', 'Lt' operators, the value must be an integer`,
          );
        }
        return { key, operator, values: [value] };
      }
      case 'in':
      case 'notin':
        return { key, operator, values: this.#values() };
      default:
        throw new SelectorError(
          `unable to parse requirement: found '${operator}', expected: in, notin, =, ==, !=, gt, lt`,
        );
    }
  }

  #value(): string {
    const token = this.#peek();
    if (token === END || token === ',') return '';
    if (!isWord(token)) throw new SelectorError(`unable to parse requirement: found '${token}', expected: identifier`);
    this.#next();
    checkAll(token, labelValueErrors(token));
    return token;
  }

  /** `(a,b)`; nothing before, between or after commas is the empty value. */
  #values(): string[] {
    const unexpected = (found: string, expected: string): SelectorError =>
      new SelectorError(`unable to parse requirement: found '${found}'${expected}`);
    const open = this.#next();
    if (open !== '(') throw unexpected(open, " expected: '('");
    const first = this.#peek();
    if (first !== ')' && first !== ',' && !isWord(first)) throw unexpected(first, ", expected: ',', ')' or identifier");
    const values = new Set<string>(first === ')' ? [''] : []);
    while (this.#peek() !== ')') {
      const token = this.#next();
      const following = this.#peek();
      if (isWord(token)) {
        checkAll(token, labelValueErrors(token));
        values.add(token);
        if (following !== ',' && following !== ')') throw unexpected(following, ", expected: ',' or ')'");
      } else if (token === ',') {
        if (values.size === 0 || following === ')' || following === ',') values.add('');
      } else throw unexpected(token, ", expected: ',', or identifier");
    }
    this.#next();
    return [...values];
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? END;
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? END;
  }
}

function isWord(token: string): boolean {
  return token !== END && !/^(==|!=|[=!(),<>])$/.test(token);
}

function checkAll(value: string, errors: readonly string[]): void {
  if (errors.length === 0) return;
  throw new SelectorError(`unable to parse requirement: <nil>: Invalid value: "${value}": ${errors.join('; ')}`);
}

export interface FieldRequirement {
  readonly path: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

export interface FieldMatcher {
  readonly requirements: readonly FieldRequirement[];
  /** `field(path)` gives the value of a field as text, '' when it is not set. */
  matches(field: (path: string) => string): boolean;
}

/** Reads `metadata.name=x,status.phase!=Failed`; `\`, `,` and `=` in values are escaped with a backslash. */
export function parseFieldSelector(text: string | undefined): FieldMatcher {
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text ?? '')) {
    if (term === '') continue;
    const match = /^([^=!]+)(!=|==|=)(.*)$/s.exec(term);
    if (!match) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    requirements.push({
      path: match[1]!,
      operator: match[2] === '!=' ? '!=' : '=',
      value: unescapeValue(match[3]!, text!),
    });
  }
  return {
    requirements,
    matches: (field) => requirements.every((r) => (field(r.path) === r.value) === (r.operator === '=')),
  };
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

function unescapeValue(value: string, whole: string): string {
  return value.replace(/\\(.?)|[,=]/gs, (found, escaped: string | undefined) => {
    if (escaped === undefined || !['\\', ',', '='].includes(escaped)) {
      throw new SelectorError(
        `invalid field selector: invalid ${escaped === undefined ? 'unescaped character' : 'escape sequence'} in "${value}": found '${found}' in "${whole}"`,
      );
    }
    return escaped;
  });
}

/** The value of a dotted path in an object, as field selectors compare it: '' when absent. */
export function fieldValue(object: unknown, path: string): string {
  let at: unknown = object;
  for (const step of path.split('.')) {
    if (at === null || typeof at !== 'object') return '';
    at = (at as Record<string, unknown>)[step];
  }
  return at === undefined || at === null ? '' : String(at);
}
