// The terminal of a userspace process: what the kernel's line discipline does between a user's raw bytes and a program, after
// Linux's drivers/tty/n_tty.c in its cooked mode (ICANON, ECHO, ECHOE, ECHOCTL, ICRNL, ISIG, ONLCR). A netns Pod has a real one.
// Left out: ^S ^Q ^V ^Z ^\, tab stops, wide characters, raw mode.
//
// Input is edited line by line and waits until the program in the foreground reads it, so that what is typed ahead reaches the next
// one. The foreground is a stack: a shell below, the command that it runs on top. ^C goes to the top.
import { Readable, type Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { terminalOutput } from './terminal-output.ts';

export interface Foreground {
  /** Lines, each with its newline; ends at ^D on an empty line, and with the user's input. */
  readonly input: Readable;
  /** What is underneath is in the foreground again. */
  leave(): void;
}

interface Entry {
  readonly input: Readable;
  readonly interrupt: () => void;
  wantsData: boolean;
}

const DEFAULT_COLUMNS = 80;

export class Terminal {
  /** For all that programs write: a newline also returns to the first column. */
  readonly output: Writable;
  columns = DEFAULT_COLUMNS;
  readonly #screen: Writable;
  readonly #decoder = new StringDecoder();
  readonly #stack: Entry[] = [];
  /** Complete lines that nobody has read; null is an end of file. */
  readonly #lines: (string | null)[] = [];
  #line: string[] = [];
  #ended = false;

  /** `keys`: what the user types, null when there is nobody. */
  constructor(keys: Readable | null, screen: Writable) {
    this.#screen = screen;
    this.output = terminalOutput(screen);
    keys?.on('data', (chunk: Buffer) => {
      for (const key of this.#decoder.write(chunk)) this.#key(key);
    });
    keys?.on('end', () => {
      this.#ended = true;
      this.#serve();
    });
    if (!keys) this.#ended = true;
  }

  /** Puts a process in the foreground; `interrupt` is called at ^C. */
  enter(interrupt: () => void): Foreground {
    const input = new Readable({
      highWaterMark: 0, // lines stay with the terminal until they are really read
      read: () => {
        entry.wantsData = true;
        this.#serve();
      },
    });
    const entry: Entry = { input, interrupt, wantsData: false };
    this.#stack.push(entry);
    return {
      input,
      leave: () => {
        const at = this.#stack.indexOf(entry);
        if (at < 0) return;
        this.#stack.splice(at, 1);
        input.destroy();
        this.#serve();
      },
    };
  }

  /** Resolves when all output has been handed on. */
  async flush(): Promise<void> {
    if (this.output.writableLength > 0) await new Promise<void>((resolve) => this.output.write('', () => resolve()));
  }

  #serve(): void {
    const entry = this.#stack.at(-1);
    while (entry?.wantsData) {
      const line = this.#lines.shift();
      if (line === undefined && !this.#ended) return;
      entry.wantsData = false;
      entry.input.push(line ?? null); // may ask for the next line at once
      if (line === undefined) return;
    }
  }

  #key(key: string): void {
    switch (key) {
      case '\r':
      case '\n':
        this.#echo('\r\n');
        this.#lines.push(`${this.#line.join('')}\n`);
        this.#line = [];
        this.#serve();
        break;
      case '\x7f':
      case '\b':
        this.#erase(this.#line.length - 1);
        break;
      case '\x15': // ^U
        this.#erase(0);
        break;
      case '\x17': // ^W
        this.#erase(this.#line.join('').replace(/\S*\s*$/u, '').length);
        break;
      case '\x03': // ^C
        this.#echo('^C');
        this.#line = [];
        this.#stack.at(-1)?.interrupt();
        break;
      case '\x04': // ^D: what is typed so far, or the end
        this.#lines.push(this.#line.length > 0 ? this.#line.join('') : null);
        this.#line = [];
        this.#serve();
        break;
      default:
        this.#line.push(key);
        this.#echo(key < ' ' && key !== '\t' ? `^${String.fromCharCode(key.charCodeAt(0) ^ 0x40)}` : key);
    }
  }

  /** Takes the last characters off the line until `keep` are left. */
  #erase(keep: number): void {
    while (this.#line.length > Math.max(0, keep)) {
      const gone = this.#line.pop()!;
      this.#echo('\b \b'.repeat(gone < ' ' && gone !== '\t' ? 2 : 1));
    }
  }

  #echo(text: string): void {
    if (!this.#screen.destroyed) this.#screen.write(text);
  }
}
