// Tokens of the shell language: operators, and words with their quoting, parameters and substitutions. What stands in `$(…)` is
// parsed by the parser that the lexer was given, which tells where it stopped.
import { type Parameter, type Script, ShellSyntaxError, type Word, type WordPart } from './ast.ts';

export type Token =
  | { readonly kind: 'operator'; readonly text: string; readonly fd: number | undefined; readonly line: number }
  | {
      readonly kind: 'word';
      readonly word: Word;
      /** The word when nothing of it is quoted or expanded: it may be a keyword. */
      readonly bare: string | undefined;
      readonly line: number;
    }
  | { readonly kind: 'end'; readonly line: number };

/** Parses a script from `at` up to the closing parenthesis; returns the place behind that. */
export type ParseNested = (text: string, at: number, line: number) => { script: Script; end: number; line: number };

// Longest first.
const OPERATORS = [
  '<<-',
  '&&',
  '||',
  ';;',
  '>>',
  '>&',
  '<&',
  '<<',
  '<>',
  '>|',
  ';',
  '&',
  '|',
  '<',
  '>',
  '(',
  ')',
  '\n',
] as const;
const NAME = /^[A-Za-z_]\w*/;
const SPECIAL = /^[?#@*$!0-9-]/;

export class Lexer {
  readonly #text: string;
  readonly #parseNested: ParseNested;
  #at: number;
  #line: number;
  #peeked: Token | undefined;

  constructor(text: string, at: number, line: number, parseNested: ParseNested) {
    this.#text = text;
    this.#at = at;
    this.#line = line;
    this.#parseNested = parseNested;
  }

  get line(): number {
    return this.#line;
  }

  /** Behind the last token taken; only right when none is peeked at. */
  get position(): number {
    return this.#at;
  }

  peek(): Token {
    this.#peeked ??= this.#lex();
    return this.#peeked;
  }

  next(): Token {
    const token = this.peek();
    this.#peeked = undefined;
    return token;
  }

  #lex(): Token {
    this.#skipBlanks();
    const line = this.#line;
    const text = this.#text;
    if (this.#at >= text.length) return { kind: 'end', line };
    const fd = /^\d(?=[<>])/.exec(text.slice(this.#at, this.#at + 2));
    if (fd) this.#at++;
    const operator = OPERATORS.find((o) => text.startsWith(o, this.#at));
    if (operator) {
      this.#at += operator.length;
      if (operator === '\n') this.#line++;
      return { kind: 'operator', text: operator, fd: fd ? Number(fd[0]) : undefined, line: this.#line };
    }
    const word = this.#word((c) => ' \t\r\n;&|<>()'.includes(c));
    const only = word[0];
    const bare = word.length === 1 && only?.kind === 'text' && !only.quoted ? only.text : undefined;
    return { kind: 'word', word, bare, line };
  }

  #skipBlanks(): void {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === ' ' || c === '\t' || c === '\r') this.#at++;
      else if (c === '\\' && this.#text[this.#at + 1] === '\n') {
        this.#at += 2;
        this.#line++;
      } else if (c === '#') {
        while (this.#at < this.#text.length && this.#text[this.#at] !== '\n') this.#at++;
      } else return;
    }
  }

  /** Up to an unquoted character that `ends` it. */
  #word(ends: (c: string) => boolean): Word {
    const parts: WordPart[] = [];
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || ends(c)) return parts;
      if (c === "'") append(parts, this.#singleQuoted(), true);
      else if (c === '"') {
        this.#at++;
        if (this.#text[this.#at] === '"') append(parts, '', true); // an empty word is a word too
        this.#doubleQuoted(parts);
      } else if (c === '\\') {
        const next = this.#text[this.#at + 1];
        this.#at += 2;
        if (next === '\n') this.#line++;
        else append(parts, next ?? '\\', true);
      } else if (c === '$') this.#dollar(parts, false);
      else if (c === '`') parts.push(this.#backquoted(false));
      else {
        if (c === '\n') this.#line++;
        append(parts, c, false);
        this.#at++;
      }
    }
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw this.#unterminated();
    const text = this.#text.slice(this.#at + 1, end);
    this.#line += text.split('\n').length - 1;
    this.#at = end + 1;
    return text;
  }

  #doubleQuoted(parts: WordPart[]): void {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined) throw this.#unterminated();
      if (c === '"') {
        this.#at++;
        return;
      }
      if (c === '$') this.#dollar(parts, true);
      else if (c === '`') parts.push(this.#backquoted(true));
      else if (c === '\\' && '"\\$`\n'.includes(this.#text[this.#at + 1] ?? ' ')) {
        const next = this.#text[this.#at + 1]!;
        if (next === '\n') this.#line++;
        else append(parts, next, true);
        this.#at += 2;
      } else {
        if (c === '\n') this.#line++;
        append(parts, c, true);
        this.#at++;
      }
    }
  }

  #dollar(parts: WordPart[], quoted: boolean): void {
    const text = this.#text;
    const rest = text.slice(this.#at + 1, this.#at + 257);
    if (text.startsWith('$((', this.#at)) parts.push(this.#arithmetic(quoted));
    else if (rest.startsWith('(')) {
      const { script, end, line } = this.#parseNested(text, this.#at + 2, this.#line);
      this.#at = end;
      this.#line = line;
      parts.push({ kind: 'substitution', script, quoted });
    } else if (rest.startsWith('{')) {
      this.#at += 2;
      parts.push(this.#braced(quoted));
    } else {
      const name = NAME.exec(rest)?.[0] ?? SPECIAL.exec(rest)?.[0];
      this.#at += 1 + (name?.length ?? 0);
      if (name === undefined) append(parts, '$', quoted);
      else parts.push({ kind: 'parameter', name, quoted });
    }
  }

  /** Behind `${`. */
  #braced(quoted: boolean): Parameter {
    const rest = this.#text.slice(this.#at);
    const length = /^#([A-Za-z_]\w*|[?#@*$!0-9])\}/.exec(rest);
    if (length) {
      this.#at += length[0].length;
      return { kind: 'parameter', name: length[1]!, quoted, operator: '#' };
    }
    const match = /^([A-Za-z_]\w*|\d+|[?#@*$!-])(:?[-=?+])?/.exec(rest);
    if (!match) throw new ShellSyntaxError(this.#line, 'Bad substitution');
    this.#at += match[0].length;
    const name = match[1]!;
    const operator = match[2] as Parameter['operator'];
    const argument = operator ? this.#word((c) => c === '}') : undefined;
    if (this.#at >= this.#text.length) throw new ShellSyntaxError(this.#line, "Missing '}'");
    if (this.#text[this.#at] !== '}') throw new ShellSyntaxError(this.#line, 'Bad substitution');
    this.#at++;
    return { kind: 'parameter', name, quoted, ...(operator ? { operator, argument: argument! } : {}) };
  }

  /** `$((…))`: its inside is a word of its own, in which parameters are expanded. */
  #arithmetic(quoted: boolean): WordPart {
    this.#at += 3;
    let depth = 0;
    const expression = this.#word((c) => {
      if (c === '(') depth++;
      if (c === ')' && depth-- === 0) return true;
      return false;
    });
    if (!this.#text.startsWith('))', this.#at)) throw new ShellSyntaxError(this.#line, "Missing '))'");
    this.#at += 2;
    return { kind: 'arithmetic', expression, quoted };
  }

  #backquoted(quoted: boolean): WordPart {
    let inner = '';
    for (this.#at++; this.#text[this.#at] !== '`'; this.#at++) {
      if (this.#at >= this.#text.length) throw new ShellSyntaxError(this.#line, 'EOF in backquote substitution');
      if (this.#text[this.#at] === '\\' && '`\\$'.includes(this.#text[this.#at + 1] ?? ' ')) this.#at++;
      inner += this.#text[this.#at];
    }
    this.#at++;
    const { script } = this.#parseNested(`${inner}\n)`, 0, this.#line);
    this.#line += inner.split('\n').length - 1;
    return { kind: 'substitution', script, quoted };
  }

  #unterminated(): ShellSyntaxError {
    return new ShellSyntaxError(this.#line, 'Unterminated quoted string');
  }
}

function append(parts: WordPart[], text: string, quoted: boolean): void {
  const last = parts.at(-1);
  if (last?.kind === 'text' && last.quoted === quoted) parts[parts.length - 1] = { ...last, text: last.text + text };
  else parts.push({ kind: 'text', text, quoted });
}
