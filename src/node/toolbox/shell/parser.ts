// The shell language, parsed by recursive descent after the POSIX grammar (XCU 2.10):
//
//   script   := and-or ((';' | '&' | newline) and-or)*          and-or   := pipeline (('&&' | '||') pipeline)*
//   pipeline := '!'? command ('|' command)*                     command  := simple | compound redirection*
//   compound := '(' script ')' | '{' script '}' | if … fi | while/until … do … done | for NAME in … do … done
//   simple   := (NAME=value | redirection)* word (word | redirection)*
//
// Left out: case, functions, here-documents, globs, file descriptors above 2, `${x%y}` and its like.
import {
  type AndOr,
  type Command,
  type Compound,
  type Pipeline,
  type Redirection,
  type Script,
  ShellSyntaxError,
  type Simple,
  type Word,
} from './ast.ts';
import { Lexer, type ParseNested, type Token } from './lexer.ts';

const REDIRECTIONS = {
  '>': 'write',
  '>|': 'write',
  '>>': 'append',
  '<': 'read',
  '>&': 'duplicate',
  '<&': 'duplicate',
} as const;
/** Words that end a list where a command could begin. */
const CLOSING = new Set(['then', 'else', 'elif', 'fi', 'do', 'done', '}', 'esac', 'in']);

/** Throws ShellSyntaxError, nothing else. */
export function parseShell(text: string): Script {
  const parser = new Parser(new Lexer(text, 0, 1, parseNested));
  return parser.script();
}

const parseNested: ParseNested = (text, at, line) => {
  const lexer = new Lexer(text, at, line, parseNested);
  const script = new Parser(lexer).list();
  const close = lexer.next();
  if (close.kind !== 'operator' || close.text !== ')') throw unexpected(close, '")"');
  return { script, end: lexer.position, line: lexer.line };
};

class Parser {
  readonly #lexer: Lexer;

  constructor(lexer: Lexer) {
    this.#lexer = lexer;
  }

  /** The whole text. */
  script(): Script {
    const script = this.list();
    const token = this.#lexer.peek();
    if (token.kind !== 'end') throw unexpected(token);
    return script;
  }

  /** And-ors up to something that cannot begin one. */
  list(): Script {
    const out: AndOr[] = [];
    for (;;) {
      this.#skipNewlines();
      if (this.#atEndOfList()) return out;
      const andOr = this.#andOr();
      const token = this.#lexer.peek();
      const background = isOperator(token, '&');
      out.push({ ...andOr, background });
      if (!background && !isOperator(token, ';') && !isOperator(token, '\n')) return out;
      this.#lexer.next();
    }
  }

  #atEndOfList(): boolean {
    const token = this.#lexer.peek();
    if (token.kind === 'end') return true;
    return token.kind === 'operator' ? token.text === ')' : token.bare !== undefined && CLOSING.has(token.bare);
  }

  #skipNewlines(): void {
    while (isOperator(this.#lexer.peek(), '\n')) this.#lexer.next();
  }

  #andOr(): Omit<AndOr, 'background'> {
    const first = this.#pipeline();
    const rest: AndOr['rest'][number][] = [];
    for (;;) {
      const token = this.#lexer.peek();
      if (!isOperator(token, '&&') && !isOperator(token, '||')) return { first, rest };
      this.#lexer.next();
      this.#skipNewlines();
      rest.push({ when: token.text === '&&' ? 'success' : 'failure', pipeline: this.#pipeline() });
    }
  }

  #pipeline(): Pipeline {
    let negated = false;
    while (isKeyword(this.#lexer.peek(), '!')) {
      this.#lexer.next();
      negated = !negated;
    }
    const commands = [this.#command()];
    while (isOperator(this.#lexer.peek(), '|')) {
      this.#lexer.next();
      this.#skipNewlines();
      commands.push(this.#command());
    }
    return { negated, commands };
  }

  #command(): Command {
    const token = this.#lexer.peek();
    if (isOperator(token, '(')) {
      this.#lexer.next();
      return this.#closed('subshell', ')');
    }
    if (token.kind === 'operator' || token.kind === 'end') {
      if (token.kind === 'operator' && isRedirection(token.text)) return this.#simple();
      throw unexpected(token);
    }
    switch (token.bare) {
      case '{':
        this.#lexer.next();
        return this.#closed('group', '}');
      case 'if':
        return this.#if();
      case 'while':
      case 'until':
        return this.#loop(token.bare);
      case 'for':
        return this.#for();
      case 'case':
        throw new ShellSyntaxError(token.line, 'case is not known to this shell');
      default:
        if (token.bare !== undefined && CLOSING.has(token.bare)) throw unexpected(token);
        return this.#simple();
    }
  }

  #closed(kind: 'subshell' | 'group', close: ')' | '}'): Compound {
    const body = this.#body(close);
    const token = this.#lexer.next();
    if (close === ')' ? !isOperator(token, ')') : !isKeyword(token, '}')) throw unexpected(token, `"${close}"`);
    return { kind, body, redirections: this.#redirections() };
  }

  /** A list that must not be empty, before the word that must follow it. */
  #body(closing: string): Script {
    const script = this.list();
    const token = this.#lexer.peek();
    if (script.length === 0) throw unexpected(token, token.kind === 'end' ? `"${closing}"` : undefined);
    return script;
  }

  #expect(keyword: string): void {
    const token = this.#lexer.next();
    if (!isKeyword(token, keyword)) throw unexpected(token, `"${keyword}"`);
  }

  #if(): Compound {
    const branches: { condition: Script; body: Script }[] = [];
    let otherwise: Script | undefined;
    do {
      this.#lexer.next(); // if, elif
      const condition = this.#body('then');
      this.#expect('then');
      branches.push({ condition, body: this.#body('fi') });
    } while (isKeyword(this.#lexer.peek(), 'elif'));
    if (isKeyword(this.#lexer.peek(), 'else')) {
      this.#lexer.next();
      otherwise = this.#body('fi');
    }
    this.#expect('fi');
    return { kind: 'if', branches, otherwise, redirections: this.#redirections() };
  }

  #loop(kind: 'while' | 'until'): Compound {
    this.#lexer.next();
    const condition = this.#body('do');
    return { kind, condition, body: this.#doGroup(), redirections: this.#redirections() };
  }

  #for(): Compound {
    this.#lexer.next();
    const name = this.#lexer.next();
    if (name.kind !== 'word' || name.bare === undefined || !/^[A-Za-z_]\w*$/.test(name.bare))
      throw new ShellSyntaxError(name.line, 'Bad for loop variable');
    this.#skipNewlines();
    let words: Word[] | undefined;
    if (isKeyword(this.#lexer.peek(), 'in')) {
      this.#lexer.next();
      words = [];
      for (let token = this.#lexer.peek(); token.kind === 'word'; token = this.#lexer.peek()) {
        words.push(token.word);
        this.#lexer.next();
      }
      const end = this.#lexer.next();
      if (!isOperator(end, ';') && !isOperator(end, '\n')) throw unexpected(end);
    } else if (isOperator(this.#lexer.peek(), ';')) this.#lexer.next();
    this.#skipNewlines();
    return { kind: 'for', variable: name.bare, words, body: this.#doGroup(), redirections: this.#redirections() };
  }

  #doGroup(): Script {
    this.#expect('do');
    const body = this.#body('done');
    this.#expect('done');
    return body;
  }

  #redirections(): Redirection[] {
    const out: Redirection[] = [];
    for (let one = this.#redirection(); one; one = this.#redirection()) out.push(one);
    return out;
  }

  #redirection(): Redirection | undefined {
    const token = this.#lexer.peek();
    if (token.kind !== 'operator') return undefined;
    if (/^<[<>]/.test(token.text)) throw new ShellSyntaxError(token.line, `"${token.text}" is not known to this shell`);
    if (!isRedirection(token.text)) return undefined;
    this.#lexer.next();
    const target = this.#lexer.next();
    if (target.kind !== 'word') throw unexpected(target);
    const fd = token.fd ?? (token.text.startsWith('<') ? 0 : 1);
    return { fd, kind: REDIRECTIONS[token.text], target: target.word };
  }

  #simple(): Simple {
    const { line } = this.#lexer.peek();
    const assignments: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (;;) {
      const redirection = this.#redirection();
      if (redirection) {
        redirections.push(redirection);
        continue;
      }
      const token = this.#lexer.peek();
      if (isOperator(token, '(') && words.length > 0) throw unexpected(token);
      if (token.kind !== 'word') return { kind: 'simple', line, assignments, words, redirections };
      this.#lexer.next();
      const assignment = words.length === 0 ? splitAssignment(token.word) : undefined;
      if (assignment) assignments.push(assignment);
      else words.push(token.word);
    }
  }
}

function isOperator<T extends string>(token: Token, text: T): token is Token & { kind: 'operator'; text: T } {
  return token.kind === 'operator' && token.text === text;
}

function isKeyword(token: Token, word: string): boolean {
  return token.kind === 'word' && token.bare === word;
}

function isRedirection(text: string): text is keyof typeof REDIRECTIONS {
  return Object.hasOwn(REDIRECTIONS, text);
}

function splitAssignment(word: Word): { name: string; value: Word } | undefined {
  const [first, ...rest] = word;
  const match = first?.kind === 'text' && !first.quoted ? /^([A-Za-z_]\w*)=(.*)$/s.exec(first.text) : null;
  if (!match) return undefined;
  const value = match[2]!;
  return { name: match[1]!, value: value === '' ? rest : [{ kind: 'text', text: value, quoted: false }, ...rest] };
}

function unexpected(token: Token, expecting?: string): ShellSyntaxError {
  let what = 'end of file';
  if (token.kind === 'operator')
    what = token.text === '\n' ? 'newline' : isRedirection(token.text) ? 'redirection' : `"${token.text}"`;
  else if (token.kind === 'word')
    what = token.bare !== undefined && CLOSING.has(token.bare) ? `"${token.bare}"` : 'word';
  return new ShellSyntaxError(token.line, `${what} unexpected${expecting ? ` (expecting ${expecting})` : ''}`);
}
