// Walks over the tokens of a directive (coredns/caddy caddyfile/dispenser.go): every plugin's setup reads its part of the
// Corefile through one of these. Errors are worded as CoreDNS words them and know file, line and column.
import type { Token } from './lexer.ts';

export class CorefileError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(message: string, file: string, line: number, column: number) {
    super(message);
    this.file = file;
    this.line = line;
    this.column = column;
  }
}

export class Dispenser {
  readonly #filename: string;
  protected tokens: Token[];
  protected cursor = -1;
  #nesting = 0;

  constructor(filename: string, tokens: readonly Token[]) {
    this.#filename = filename;
    this.tokens = [...tokens];
  }

  /** Moves to the next token, whatever line it is on. */
  next(): boolean {
    if (this.cursor >= this.tokens.length - 1) {
      this.cursor = this.tokens.length;
      return false;
    }
    this.cursor++;
    return true;
  }

  /** Moves to the next token if it is on the same line. */
  nextArg(): boolean {
    if (this.cursor < 0) return this.next();
    const here = this.tokens[this.cursor];
    const there = this.tokens[this.cursor + 1];
    if (here === undefined || there === undefined || here.file !== there.file) return false;
    if (here.line + lineBreaks(here) !== there.line) return false;
    this.cursor++;
    return true;
  }

  /** Enters the block that opens on this line, then moves to each of its lines in turn; false when it has ended. */
  nextBlock(): boolean {
    if (this.#nesting > 0) {
      this.next();
      if (this.val() !== '}') return true;
      this.#nesting--;
      return false;
    }
    if (!this.nextArg()) return false;
    if (this.val() !== '{') {
      this.cursor--;
      return false;
    }
    this.next();
    if (this.val() === '}') return false;
    this.#nesting++;
    return true;
  }

  /** Text of the current token; '' before the first and after the last. */
  val(): string {
    return this.tokens[this.cursor]?.text ?? '';
  }

  /** The tokens left on this line, up to an opening brace. */
  remainingArgs(): string[] {
    const args: string[] = [];
    while (this.nextArg()) {
      if (this.val() === '{') {
        this.cursor--;
        break;
      }
      args.push(this.val());
    }
    return args;
  }

  file(): string {
    return this.#current()?.file || this.#filename;
  }

  line(): number {
    return this.#current()?.line ?? 0;
  }

  isNewLine(): boolean {
    const here = this.tokens[this.cursor];
    const before = this.tokens[this.cursor - 1];
    if (here === undefined || before === undefined) return true;
    return before.file !== here.file || before.line + lineBreaks(before) < here.line;
  }

  err(message: string): CorefileError {
    return this.#error(`Error during parsing: ${message}`);
  }

  argErr(): CorefileError {
    if (this.val() === '{') return this.err("Unexpected token '{', expecting argument");
    return this.err(`Wrong argument count or unexpected line ending after '${this.val()}'`);
  }

  syntaxErr(expected: string): CorefileError {
    return this.#error(`Syntax error: Unexpected token '${this.val()}', expecting '${expected}'`);
  }

  eofErr(): CorefileError {
    return this.err('Unexpected EOF');
  }

  #error(text: string): CorefileError {
    const token = this.#current();
    return new CorefileError(`${this.file()}:${this.line()} - ${text}`, this.file(), this.line(), token?.column ?? 0);
  }

  /** The current token; past the end the last one, so that errors there have a place. */
  #current(): Token | undefined {
    return this.tokens[Math.min(this.cursor, this.tokens.length - 1)];
  }
}

function lineBreaks(token: Token): number {
  return token.text.includes('\n') ? token.text.split('\n').length - 1 : 0;
}
