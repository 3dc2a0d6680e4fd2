// Lines for an interactive shell. Without a terminal: stdin split at newlines. With one: a prompt, echo, and the editing a kernel
// tty does in its cooked mode (backspace, ^U, ^W, ^C, ^D).
import type { ProcessContext } from '../../workloads/program.ts';

export class LineReader {
  readonly #ctx: ProcessContext;
  readonly #prompt: () => string;
  readonly #lines: string[] = [];
  #partial = '';
  #ended = false;
  #wake: () => void = () => {};

  constructor(ctx: ProcessContext, prompt: () => string) {
    this.#ctx = ctx;
    this.#prompt = prompt;
    ctx.stdin.on('data', this.#data);
    ctx.stdin.on('end', this.#end);
    ctx.signal.addEventListener('abort', this.#end);
  }

  /** The next line without its newline; undefined at the end of input. */
  async next(): Promise<string | undefined> {
    if (this.#ctx.tty && !this.#ended) this.#ctx.stdout.write(this.#prompt());
    while (this.#lines.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#lines.length > 0) return this.#lines.shift();
    const rest = this.#partial;
    this.#partial = '';
    return rest === '' ? undefined : rest;
  }

  close(): void {
    this.#ctx.stdin.off('data', this.#data);
    this.#ctx.stdin.off('end', this.#end);
    this.#ctx.signal.removeEventListener('abort', this.#end);
  }

  readonly #data = (chunk: Buffer): void => {
    if (this.#ctx.tty) for (const character of chunk.toString()) this.#key(character);
    else {
      const lines = (this.#partial + chunk.toString()).split('\n');
      this.#partial = lines.pop()!;
      this.#lines.push(...lines);
    }
    this.#wake();
  };

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake();
  };

  #key(character: string): void {
    const { stdout } = this.#ctx;
    const erase = (keep: number): void => {
      stdout.write('\b \b'.repeat(this.#partial.length - keep));
      this.#partial = this.#partial.slice(0, keep);
    };
    switch (character) {
      case '\r':
      case '\n':
        stdout.write('\r\n');
        this.#lines.push(this.#partial);
        this.#partial = '';
        break;
      case '\x7f':
      case '\b':
        if (this.#partial.length > 0) erase(this.#partial.length - 1);
        break;
      case '\x15': // ^U
        erase(0);
        break;
      case '\x17': // ^W
        erase(this.#partial.replace(/\S*\s*$/, '').length);
        break;
      case '\x03': // ^C
        stdout.write(`^C\r\n${this.#prompt()}`);
        this.#partial = '';
        break;
      case '\x04': // ^D
        if (this.#partial === '') this.#ended = true;
        break;
      default:
        if (character >= ' ') {
          stdout.write(character);
          this.#partial += character;
        }
    }
  }
}
