// sh: runs the subset of shell/parse.ts over the toolbox; from -c, from a file, or read from stdin. With a terminal it echoes and
// edits the line itself, there being no kernel tty between. Built in: cd, exit, export, unset, pwd, help, :, exec, test-free.
import { PassThrough, Readable, Writable } from 'node:stream';
import type { ProcessContext, Program, ProgramTable } from '../../workloads/program.ts';
import { absolutePath } from '../paths.ts';
import { LineReader } from './line-reader.ts';
import { type Command, type Pipeline, parseShell, ShellSyntaxError, type Word } from './parse.ts';

/** A shell whose commands are those of `table`, which may be completed later: it is looked at when a command runs. */
export function makeShell(table: () => ProgramTable): Program {
  return (ctx) => new Shell(ctx, table()).main();
}

interface Streams {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

class Shell {
  readonly #ctx: ProcessContext;
  readonly #table: ProgramTable;
  readonly #variables: Map<string, string>;
  #cwd: string;
  #status = 0;
  #exiting = false;

  constructor(ctx: ProcessContext, table: ProgramTable) {
    this.#ctx = ctx;
    this.#table = table;
    this.#variables = new Map(Object.entries(ctx.env));
    this.#cwd = ctx.cwd;
  }

  async main(): Promise<number> {
    const args = this.#ctx.argv.slice(1).filter((a) => !/^-[eilux]+$/.test(a));
    if (args[0] === '-c') {
      await this.#runText(args[1] ?? '');
      return this.#status;
    }
    if (args[0] !== undefined) {
      const text = this.#ctx.files.read(absolutePath(this.#cwd, args[0]));
      if (text === undefined) {
        this.#ctx.stderr.write(`sh: 0: cannot open ${args[0]}: No such file\n`);
        return 2;
      }
      await this.#runText(text);
      return this.#status;
    }
    const lines = new LineReader(
      this.#ctx,
      () => `root@${this.#ctx.hostname}:${this.#cwd === '/root' ? '~' : this.#cwd}# `,
    );
    try {
      for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
        await this.#runText(line);
        if (this.#exiting || this.#ctx.signal.aborted) break;
      }
    } finally {
      lines.close();
    }
    if (this.#ctx.tty && !this.#exiting) this.#ctx.stdout.write('exit\r\n');
    return this.#status;
  }

  async #runText(text: string): Promise<void> {
    let pipelines: Pipeline[];
    try {
      pipelines = parseShell(text);
    } catch (error) {
      if (!(error instanceof ShellSyntaxError)) throw error;
      this.#ctx.stderr.write(`sh: 1: ${error.message}\n`);
      this.#status = 2;
      return;
    }
    for (const pipeline of pipelines) {
      if (this.#exiting || this.#ctx.signal.aborted) return;
      if (pipeline.when === 'success' && this.#status !== 0) continue;
      if (pipeline.when === 'failure' && this.#status === 0) continue;
      this.#status = await this.#runPipeline(pipeline);
    }
  }

  async #runPipeline({ commands }: Pipeline): Promise<number> {
    let stdin: Readable = this.#ctx.stdin;
    const running: Promise<number>[] = [];
    for (const [i, command] of commands.entries()) {
      const last = i === commands.length - 1;
      const pipe = last ? null : new PassThrough();
      const streams: Streams = { stdin, stdout: pipe ?? this.#ctx.stdout, stderr: this.#ctx.stderr };
      running.push(this.#runCommand(command, streams).finally(() => pipe?.end()));
      if (pipe) stdin = pipe;
    }
    return (await Promise.all(running)).at(-1)!;
  }

  async #runCommand(command: Command, outer: Streams): Promise<number> {
    const argv = command.words.flatMap((word) => this.#expand(word));
    const set = command.assignments.map(({ name, value }) => [name, this.#expand(value).join(' ')] as const);
    if (argv.length === 0) {
      for (const [name, value] of set) this.#variables.set(name, value);
    }
    const { streams, flush } = this.#redirect(command, outer);
    if (typeof streams === 'string') {
      outer.stderr.write(`sh: 1: ${streams}\n`);
      return 2;
    }
    try {
      if (argv.length === 0) return 0;
      const builtin = this.#builtin(argv, streams);
      if (builtin !== undefined) return builtin;
      const name = argv[0]!;
      const program = this.#table.get(name.slice(name.lastIndexOf('/') + 1));
      if (!program) {
        streams.stderr.write(`sh: 1: ${name}: not found\n`);
        return 127;
      }
      const env = Object.fromEntries([...this.#variables, ...set]);
      return await program({ ...this.#ctx, ...streams, argv, env, cwd: this.#cwd, tty: false });
    } finally {
      flush();
    }
  }

  #builtin(argv: readonly string[], streams: Streams): number | undefined {
    switch (argv[0]) {
      case ':':
        return 0;
      case 'exit':
        this.#exiting = true;
        return Number(argv[1] ?? this.#status);
      case 'cd':
        this.#cwd = absolutePath(this.#cwd, argv[1] ?? this.#variables.get('HOME') ?? '/');
        return 0;
      case 'pwd':
        streams.stdout.write(`${this.#cwd}\n`);
        return 0;
      case 'export':
        for (const word of argv.slice(1)) {
          const [name = '', value] = word.split(/=(.*)/s, 2);
          if (value !== undefined) this.#variables.set(name, value);
        }
        return 0;
      case 'unset':
        for (const name of argv.slice(1)) this.#variables.delete(name);
        return 0;
      default:
        return undefined;
    }
  }

  /** Words of one word: an unquoted variable is split at blanks and vanishes when empty. */
  #expand(word: Word): string[] {
    const out: string[] = [];
    let current = '';
    let present = word.length === 0 || word.some((p) => p.kind === 'text' || p.quoted);
    for (const part of word) {
      if (part.kind === 'text') {
        current += part.text;
        continue;
      }
      const value = part.name === '?' ? String(this.#status) : (this.#variables.get(part.name) ?? '');
      if (part.quoted) {
        current += value;
        continue;
      }
      const pieces = value.split(/\s+/).filter((p) => p !== '');
      for (const [i, piece] of pieces.entries()) {
        if (i > 0) {
          out.push(current);
          current = '';
        }
        current += piece;
        present = true;
      }
    }
    if (present) out.push(current);
    return out;
  }

  /** Streams with the command's redirections; files are written when the command has ended. */
  #redirect(command: Command, outer: Streams): { streams: Streams | string; flush: () => void } {
    let streams = outer;
    const writes: (() => void)[] = [];
    for (const { fd, kind, target } of command.redirections) {
      const name = this.#expand(target).join(' ');
      const key = fd === 2 ? 'stderr' : 'stdout';
      if (kind === 'duplicate') {
        streams = { ...streams, [key]: name === '1' ? streams.stdout : streams.stderr };
        continue;
      }
      const path = absolutePath(this.#cwd, name);
      if (kind === 'read') {
        const text = path === '/dev/null' ? '' : this.#ctx.files.read(path);
        if (text === undefined) return { streams: `cannot open ${name}: No such file`, flush: () => {} };
        streams = { ...streams, stdin: Readable.from([Buffer.from(text)], { objectMode: false }) };
        continue;
      }
      const chunks: Buffer[] = [];
      const before = kind === 'append' ? (this.#ctx.files.read(path) ?? '') : '';
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          chunks.push(chunk);
          done();
        },
      });
      streams = { ...streams, [key]: sink };
      if (path !== '/dev/null')
        writes.push(() => this.#ctx.files.write(path, before + Buffer.concat(chunks).toString()));
    }
    const flush = (): void => {
      for (const write of writes) write();
    };
    return { streams, flush };
  }
}
