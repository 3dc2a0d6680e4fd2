// A small subset of the shell language, parsed into pipelines:
//   list := pipeline ((';' | '&&' | '||' | newline) pipeline)*      pipeline := command ('|' command)*
//   command := (NAME=value)* word* redirections (`> f`, `>> f`, `< f`, `2>&1`, `2>/dev/null`)
// Words have '…', "…" and \ quoting, $NAME, ${NAME}, $?. Left out: control flow, functions, globs, substitution.

export type WordPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly quoted: boolean };
export type Word = readonly WordPart[];

export interface Redirection {
  readonly fd: number;
  readonly kind: 'read' | 'write' | 'append' | 'duplicate';
  readonly target: Word;
}

export interface Command {
  readonly assignments: readonly { readonly name: string; readonly value: Word }[];
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

export interface Pipeline {
  readonly commands: readonly Command[];
  /** When it runs: always, or depending on the exit code before it. */
  readonly when: 'always' | 'success' | 'failure';
}

export class ShellSyntaxError extends Error {}

const OPERATORS = ['&&', '||', '>>', '>&', ';', '|', '>', '<', '\n', '&', '(', ')'] as const;
type Token =
  | { readonly word: Word; readonly literal: string }
  | { readonly operator: string; readonly fd: number | undefined };

/** Throws ShellSyntaxError, worded as dash words it. */
export function parseShell(text: string): Pipeline[] {
  const tokens = tokenize(text);
  const pipelines: Pipeline[] = [];
  let when: Pipeline['when'] = 'always';
  for (let at = 0; at < tokens.length; ) {
    const token = tokens[at]!;
    if ('operator' in token && (token.operator === ';' || token.operator === '\n')) {
      if (token.operator === ';' && (pipelines.length === 0 || when !== 'always')) throw unexpected(';');
      at++;
      continue;
    }
    const commands: Command[] = [];
    for (;;) {
      const [command, next] = parseCommand(tokens, at);
      commands.push(command);
      at = next;
      const pipe = tokens[at];
      if (!pipe || !('operator' in pipe) || pipe.operator !== '|') break;
      at++;
    }
    pipelines.push({ commands, when });
    const joint = tokens[at];
    when = 'always';
    if (!joint) break;
    if (!('operator' in joint)) throw unexpected('word');
    if (joint.operator === '&&' || joint.operator === '||') when = joint.operator === '&&' ? 'success' : 'failure';
    else if (joint.operator !== ';' && joint.operator !== '\n') throw unexpected(joint.operator);
    at++;
    if (when !== 'always' && at >= tokens.length) throw new ShellSyntaxError('Syntax error: end of file unexpected');
  }
  return pipelines;
}

function parseCommand(tokens: readonly Token[], from: number): [Command, number] {
  const assignments: { name: string; value: Word }[] = [];
  const words: Word[] = [];
  const redirections: Redirection[] = [];
  let at = from;
  for (; at < tokens.length; at++) {
    const token = tokens[at]!;
    if ('word' in token) {
      const assignment = words.length === 0 ? splitAssignment(token.word) : undefined;
      if (assignment) assignments.push(assignment);
      else words.push(token.word);
      continue;
    }
    const { operator } = token;
    if (operator !== '>' && operator !== '>>' && operator !== '<' && operator !== '>&') break;
    const target = tokens[++at];
    if (!target || !('word' in target))
      throw unexpected(target && 'operator' in target ? target.operator : 'end of file');
    const kind = { '>': 'write', '>>': 'append', '<': 'read', '>&': 'duplicate' } as const;
    redirections.push({ fd: token.fd ?? (operator === '<' ? 0 : 1), kind: kind[operator], target: target.word });
  }
  if (words.length + assignments.length + redirections.length === 0) {
    const token = tokens[at];
    throw unexpected(token && 'operator' in token ? token.operator : 'end of file');
  }
  return [{ assignments, words, redirections }, at];
}

function splitAssignment(word: Word): { name: string; value: Word } | undefined {
  const [first, ...rest] = word;
  const match = first?.kind === 'text' ? /^([A-Za-z_]\w*)=(.*)$/s.exec(first.text) : null;
  if (!match) return undefined;
  return { name: match[1]!, value: match[2] === '' ? rest : [{ kind: 'text', text: match[2]! }, ...rest] };
}

function unexpected(what: string): ShellSyntaxError {
  return new ShellSyntaxError(
    `Syntax error: ${what === 'end of file' || what === 'word' ? what : `"${what === '\n' ? 'newline' : what}"`} unexpected`,
  );
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let parts: WordPart[] = [];
  let inWord = false;
  let at = 0;
  const literal = (chunk: string): void => {
    const last = parts.at(-1);
    if (last?.kind === 'text') parts[parts.length - 1] = { kind: 'text', text: last.text + chunk };
    else parts.push({ kind: 'text', text: chunk });
    inWord = true;
  };
  const endWord = (): void => {
    if (inWord) tokens.push({ word: parts, literal: parts.map((p) => (p.kind === 'text' ? p.text : '')).join('') });
    parts = [];
    inWord = false;
  };
  const variable = (quoted: boolean): void => {
    const match = /^\$(?:\{(\w+|\?)\}|([A-Za-z_]\w*|[?$0-9#]))/.exec(text.slice(at));
    if (!match) {
      literal('$');
      at++;
      return;
    }
    parts.push({ kind: 'variable', name: (match[1] ?? match[2])!, quoted });
    inWord = true;
    at += match[0].length;
  };
  while (at < text.length) {
    const c = text[at]!;
    if (c === ' ' || c === '\t' || c === '\r') {
      endWord();
      at++;
    } else if (c === '#' && !inWord) {
      while (at < text.length && text[at] !== '\n') at++;
    } else if (c === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) throw new ShellSyntaxError('Syntax error: Unterminated quoted string');
      literal(text.slice(at + 1, end));
      at = end + 1;
    } else if (c === '"') {
      literal('');
      for (at++; text[at] !== '"'; ) {
        if (at >= text.length) throw new ShellSyntaxError('Syntax error: Unterminated quoted string');
        if (text[at] === '$') variable(true);
        else if (text[at] === '\\' && '"\\$`\n'.includes(text[at + 1] ?? '')) {
          literal(text[at + 1]!);
          at += 2;
        } else literal(text[at++]!);
      }
      at++;
    } else if (c === '\\') {
      if (text[at + 1] !== '\n') literal(text[at + 1] ?? '');
      at += 2;
    } else if (c === '$') {
      variable(false);
    } else {
      const operator = OPERATORS.find((o) => text.startsWith(o, at));
      if (!operator) {
        literal(c);
        at++;
        continue;
      }
      const only: WordPart | undefined = inWord && parts.length === 1 ? parts[0] : undefined;
      // A digit right before a redirection is its file descriptor.
      const fdText: string | undefined =
        only?.kind === 'text' && /^\d$/.test(only.text) && /^[<>]/.test(operator) ? only.text : undefined;
      if (fdText === undefined) endWord();
      parts = fdText === undefined ? parts : [];
      inWord = fdText === undefined ? inWord : false;
      tokens.push({ operator, fd: fdText === undefined ? undefined : Number(fdText) });
      at += operator.length;
    }
  }
  endWord();
  return tokens;
}
