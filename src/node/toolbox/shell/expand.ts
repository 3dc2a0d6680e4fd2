// Word expansion (POSIX XCU 2.6): tilde, parameters, command substitution, arithmetic, field splitting, quote removal.
// Left out: pathname expansion (no globs), IFS other than blanks and newlines.

import { evaluate } from './arithmetic.ts';
import type { Parameter, Script, Word, WordPart } from './ast.ts';

/** What expansion needs of the shell. */
export interface Expansions {
  /** `?`, `#`, `0`, `1`, names; undefined when not set. `@` and `*` are asked for as `positional`. */
  parameter(name: string): string | undefined;
  readonly positional: readonly string[];
  /** Whether an unset parameter is an error (set -u). */
  readonly nounset: boolean;
  assign(name: string, value: string): void;
  /** Output of a script without its last newlines. */
  substitute(script: Script): Promise<string>;
}

/** Ends the shell: a parameter that must be set is not. */
export class ExpansionError extends Error {}

/** Collects fields: what is quoted joins, what is not is split at blanks. */
class Fields {
  readonly done: string[] = [];
  #current = '';
  #present = false;

  join(text: string): void {
    this.#current += text;
    this.#present = true;
  }

  split(text: string): void {
    const pieces = text.split(/[ \t\n]+/);
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) this.end();
      if (piece !== '') this.join(piece);
    }
  }

  end(): void {
    if (this.#present) this.done.push(this.#current);
    this.#current = '';
    this.#present = false;
  }
}

/** The fields of a word: none when it is unquoted and empty. */
export async function expandWord(word: Word, shell: Expansions): Promise<string[]> {
  const fields = new Fields();
  for (const [i, part] of word.entries()) {
    if (part.kind === 'parameter' && part.quoted && part.name === '@' && part.operator === undefined) {
      // "$@": each positional parameter is a field of its own.
      for (const [n, value] of shell.positional.entries()) {
        if (n > 0) fields.end();
        fields.join(value);
      }
      continue;
    }
    const value = await expandPart(part, i === 0, shell);
    if (part.quoted || part.kind === 'text') fields.join(value);
    else fields.split(value);
  }
  fields.end();
  return fields.done;
}

/** A word as one text, unsplit: the value of an assignment, the target of a redirection. */
export async function expandText(word: Word, shell: Expansions): Promise<string> {
  let out = '';
  for (const [i, part] of word.entries()) out += await expandPart(part, i === 0, shell);
  return out;
}

async function expandPart(part: WordPart & { quoted?: boolean }, isFirst: boolean, shell: Expansions): Promise<string> {
  switch (part.kind) {
    case 'text': {
      if (part.quoted || !isFirst) return part.text;
      return part.text.replace(/^~(?=\/|$)/, () => shell.parameter('HOME') ?? '~');
    }
    case 'parameter':
      return expandParameter(part, shell);
    case 'substitution':
      return shell.substitute(part.script);
    case 'arithmetic':
      return evaluate(await expandText(part.expression, shell), {
        get: (name) => shell.parameter(name),
        set: (name, value) => shell.assign(name, value),
      });
  }
}

async function expandParameter({ name, operator, argument = [] }: Parameter, shell: Expansions): Promise<string> {
  const isAll = name === '@' || name === '*';
  const value = isAll ? shell.positional.join(' ') : shell.parameter(name);
  const isMissing = value === undefined || (operator?.startsWith(':') && value === '');
  switch (operator?.replace(':', '')) {
    case '#':
      return String((value ?? '').length);
    case '-':
      return isMissing ? expandText(argument, shell) : value;
    case '+':
      return isMissing ? '' : expandText(argument, shell);
    case '=': {
      if (!isMissing) return value;
      const assigned = await expandText(argument, shell);
      shell.assign(name, assigned);
      return assigned;
    }
    case '?':
      if (!isMissing) return value;
      throw new ExpansionError(`${name}: ${(await expandText(argument, shell)) || 'parameter not set'}`);
    default:
      if (value === undefined && shell.nounset) throw new ExpansionError(`${name}: parameter not set`);
      return value ?? '';
  }
}
