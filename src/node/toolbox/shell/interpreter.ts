// Runs the tree of a script over the programs of a table. Each part of a pipeline and each subshell is an interpreter of its own over
// a copy of the state; a program is told to end when its shell is (SIGINT, SIGTERM) or when nobody reads its output (SIGPIPE).
import { PassThrough } from 'node:stream';
import type { ProcessContext, Program, ProgramTable } from '../../workloads/program.ts';
import { absolutePath, isDirectory } from '../paths.ts';
import { exitBySignal } from '../wait.ts';
import { ArithmeticError } from './arithmetic.ts';
import {
  type AndOr,
  type Command,
  type Compound,
  type Pipeline,
  type Redirection,
  type Script,
  ShellSyntaxError,
  type Simple,
} from './ast.ts';
import { BUILTINS } from './builtins.ts';
import { ExpansionError, type Expansions, expandText, expandWord } from './expand.ts';
import { Exit, LoopJump } from './jumps.ts';
import { parseShell } from './parser.ts';
import { emptyInput, RedirectionError, redirect, type Streams } from './redirect.ts';
import type { ShellState } from './state.ts';

/** What a command runs in. */
export interface Scope extends Streams {
  readonly signal: AbortSignal;
}

interface Background {
  readonly done: Promise<number>;
  isRunning: boolean;
  readonly kill: (signal: string) => void;
}

/** What an interpreter shares with its subshells. */
export interface ShellKind {
  readonly ctx: ProcessContext;
  readonly programs: ProgramTable;
  /** `sh` or `bash`: how it words its complaints. */
  readonly name: string;
  readonly interactive: boolean;
  /** $0 */
  readonly title: string;
  nextPid: number;
}

const BIN = /^(\/usr)?(\/local)?\/s?bin\/[^/]+$/;

export class Interpreter implements Expansions {
  readonly kind: ShellKind;
  readonly state: ShellState;
  /** Kept after their end until somebody waits for them. */
  readonly background = new Map<number, Background>();
  loopDepth = 0;
  #scope: Scope;

  constructor(kind: ShellKind, state: ShellState, scope: Scope) {
    this.kind = kind;
    this.state = state;
    this.#scope = scope;
  }

  /** Parses and runs; what is wrong is said on stderr. Throws Exit. */
  async runText(text: string, scope: Scope): Promise<number> {
    try {
      return await this.run(parseShell(text), scope);
    } catch (error) {
      if (!(error instanceof ShellSyntaxError)) throw error;
      this.complain(scope, error.message, error.line);
      throw new Exit(2);
    }
  }

  /** `tested`: its result decides something, so that set -e does not apply. */
  async run(script: Script, scope: Scope, tested = false): Promise<number> {
    for (const andOr of script) {
      if (scope.signal.aborted) throw new Exit(exitBySignal(scope.signal));
      this.#scope = scope;
      if (andOr.background) this.#start(andOr, scope);
      else await this.#andOr(andOr, scope, tested);
    }
    return this.state.status;
  }

  complain(scope: Scope, message: string, line: number): void {
    const { name, interactive } = this.kind;
    const where = name !== 'bash' ? `${line}: ` : interactive ? '' : `line ${line}: `;
    scope.stderr.write(`${name}: ${where}${message}\n`);
  }

  parameter(name: string): string | undefined {
    const { status, positional, lastBackground, variables } = this.state;
    if (name === '?') return String(status);
    if (name === '#') return String(positional.length);
    if (name === '!') return lastBackground === undefined ? '' : String(lastBackground);
    if (name === '$') return '1';
    if (name === '-') return '';
    if (name === '0') return this.kind.title;
    return /^\d+$/.test(name) ? positional[Number(name) - 1] : variables.get(name);
  }

  get positional(): readonly string[] {
    return this.state.positional;
  }

  get nounset(): boolean {
    return this.state.nounset;
  }

  assign(name: string, value: string): void {
    this.state.variables.set(name, value);
  }

  async substitute(script: Script): Promise<string> {
    const output = new PassThrough();
    const chunks: Buffer[] = [];
    output.on('data', (chunk: Buffer) => chunks.push(chunk));
    this.state.status = await this.#subshell({ ...this.#scope, stdout: output }, (shell, scope) =>
      shell.run(script, scope),
    );
    await new Promise<void>((resolve) => output.on('end', resolve).end());
    return Buffer.concat(chunks).toString().replace(/\n+$/, '');
  }

  /** Resolves with the exit code of what `body` does in a copy of this shell. */
  async #subshell(scope: Scope, body: (shell: Interpreter, scope: Scope) => Promise<number>): Promise<number> {
    const shell = new Interpreter(this.kind, this.state.copy(), scope);
    try {
      return await body(shell, scope);
    } catch (error) {
      if (error instanceof Exit) return error.code;
      if (error instanceof LoopJump) return shell.state.status;
      throw error;
    }
  }

  #start(andOr: AndOr, scope: Scope): void {
    const abort = new AbortController();
    const signal = AbortSignal.any([scope.signal, abort.signal]);
    const inner = { ...scope, stdin: emptyInput(), signal };
    const done = this.#subshell(inner, (shell) => shell.run([{ ...andOr, background: false }], inner));
    const pid = this.kind.nextPid++;
    const job: Background = { done, isRunning: true, kill: (reason) => abort.abort(reason) };
    this.background.set(pid, job);
    void done.then(() => {
      job.isRunning = false;
    });
    if (this.kind.interactive) scope.stderr.write(`[${this.background.size}] ${pid}\n`);
    this.state.lastBackground = pid;
    this.state.status = 0;
  }

  async #andOr({ first, rest }: AndOr, scope: Scope, tested: boolean): Promise<void> {
    await this.#pipeline(first, scope, tested || rest.length > 0);
    for (const [i, { when, pipeline }] of rest.entries()) {
      if ((this.state.status === 0) !== (when === 'success')) continue;
      await this.#pipeline(pipeline, scope, tested || i < rest.length - 1);
    }
  }

  async #pipeline({ commands, negated }: Pipeline, scope: Scope, tested: boolean): Promise<void> {
    const isTested = tested || negated;
    const status =
      commands.length === 1
        ? await this.#command(commands[0]!, scope, isTested)
        : await this.#connected(commands, scope, isTested);
    this.state.status = negated ? Number(status === 0) : status;
    if (this.state.errexit && status !== 0 && !isTested) throw new Exit(status);
  }

  /** Each command in a subshell, its output the next one's input. */
  async #connected(commands: readonly Command[], scope: Scope, tested: boolean): Promise<number> {
    let stdin = scope.stdin;
    let hangUp: (() => void) | undefined;
    const running: Promise<number>[] = [];
    for (const [i, command] of commands.entries()) {
      const pipe = i < commands.length - 1 ? new PassThrough() : undefined;
      const unread = new AbortController();
      const signal = AbortSignal.any([scope.signal, unread.signal]);
      const inner: Scope = { ...scope, stdin, stdout: pipe ?? scope.stdout, signal };
      const hangUpBefore = hangUp;
      const done = this.#subshell(inner, (shell) => shell.#command(command, inner, tested)).finally(() => {
        pipe?.end();
        hangUpBefore?.();
      });
      running.push(done);
      if (!pipe) continue;
      hangUp = () => {
        pipe.resume();
        unread.abort('SIGPIPE');
      };
      stdin = pipe;
    }
    return (await Promise.all(running)).at(-1)!;
  }

  async #command(command: Command, scope: Scope, tested: boolean): Promise<number> {
    const line = command.kind === 'simple' ? command.line : 1;
    this.#scope = scope;
    try {
      const status =
        command.kind === 'simple' ? await this.#simple(command, scope) : await this.#compound(command, scope, tested);
      this.state.status = status;
      return status;
    } catch (error) {
      if (error instanceof RedirectionError) {
        this.complain(scope, error.message, line);
        return 2;
      }
      if (error instanceof ExpansionError || error instanceof ArithmeticError) {
        this.complain(scope, error.message, line);
        if (!this.kind.interactive) throw new Exit(2);
        return 2;
      }
      throw error;
    }
  }

  async #redirected(redirections: readonly Redirection[], scope: Scope): Promise<Scope> {
    if (redirections.length === 0) return scope;
    const open = [];
    for (const { fd, kind, target } of redirections) open.push({ fd, kind, target: await expandText(target, this) });
    return { ...scope, ...redirect(scope, open, this.kind.ctx.files, this.state.cwd) };
  }

  async #compound(command: Compound, outer: Scope, tested: boolean): Promise<number> {
    const scope = await this.#redirected(command.redirections, outer);
    switch (command.kind) {
      case 'group':
        return this.run(command.body, scope, tested);
      case 'subshell':
        return this.#subshell(scope, (shell) => shell.run(command.body, scope, tested));
      case 'if': {
        for (const { condition, body } of command.branches)
          if ((await this.run(condition, scope, true)) === 0) return this.run(body, scope, tested);
        return command.otherwise ? this.run(command.otherwise, scope, tested) : 0;
      }
      case 'while':
      case 'until': {
        const wanted = command.kind === 'while';
        const goesOn = async (): Promise<boolean> =>
          ((await this.run(command.condition, scope, true)) === 0) === wanted;
        return this.#loop(goesOn, () => this.run(command.body, scope, tested), scope);
      }
      case 'for': {
        const words = [];
        if (command.words) for (const word of command.words) words.push(...(await expandWord(word, this)));
        const values = (command.words ? words : this.state.positional).values();
        const goesOn = async (): Promise<boolean> => {
          const { value, done } = values.next();
          if (!done) this.assign(command.variable, value);
          return !done;
        };
        return this.#loop(goesOn, () => this.run(command.body, scope, tested), scope);
      }
    }
  }

  async #loop(goesOn: () => Promise<boolean>, body: () => Promise<number>, scope: Scope): Promise<number> {
    let status = 0;
    this.loopDepth++;
    try {
      for (;;) {
        try {
          if (!(await goesOn())) return status;
          status = await body();
        } catch (error) {
          if (!(error instanceof LoopJump)) throw error;
          status = 0;
          if (error.levels > 1 && this.loopDepth > 1) {
            error.levels--;
            throw error;
          }
          if (error.kind === 'break') return 0;
        }
        // A loop of builtins alone would never let anything else run.
        await new Promise((resolve) => setImmediate(resolve));
        if (scope.signal.aborted) throw new Exit(exitBySignal(scope.signal));
      }
    } finally {
      this.loopDepth--;
    }
  }

  async #simple({ assignments, words, redirections, line }: Simple, outer: Scope): Promise<number> {
    const { state } = this;
    const substituted = words.length === 0;
    if (substituted) state.status = 0; // unless a substitution in an assignment leaves its own
    const argv: string[] = [];
    for (const word of words) argv.push(...(await expandWord(word, this)));
    const values: [string, string][] = [];
    for (const { name, value } of assignments) values.push([name, await expandText(value, this)]);
    const [name] = argv;
    if (state.xtrace) outer.stderr.write(`+ ${[...values.map(([n, v]) => `${n}=${v}`), ...argv].join(' ')}\n`);
    const scope = await this.#redirected(redirections, outer);
    if (name === undefined) {
      for (const [variable, value] of values) this.assign(variable, value);
      return substituted ? state.status : 0;
    }
    const builtin = BUILTINS.get(name);
    if (builtin) {
      for (const [variable, value] of values) this.assign(variable, value);
      return builtin({ shell: this, argv, scope, line });
    }
    return this.launch(argv, scope, line, Object.fromEntries(values));
  }

  /** Runs a program of the table to its end. */
  async launch(
    argv: readonly string[],
    scope: Scope,
    line: number,
    extra: Record<string, string> = {},
  ): Promise<number> {
    const name = argv[0]!;
    const program = this.find(name);
    if (!program) {
      const { status, message } = this.#whyNot(name);
      this.complain(scope, message, line);
      return status;
    }
    const { ctx } = this.kind;
    const { stdin, stdout, stderr, signal } = scope;
    const env = { ...this.state.environment(), ...extra };
    const tty = ctx.tty && stdout === ctx.stdout;
    try {
      return (await program({ ...ctx, argv, env, stdin, stdout, stderr, signal, cwd: this.state.cwd, tty })) & 0xff;
    } catch (error) {
      if (signal.aborted) return exitBySignal(signal);
      stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
      return 1;
    }
  }

  find(name: string): Program | undefined {
    return this.kind.programs.get(BIN.test(name) ? name.slice(name.lastIndexOf('/') + 1) : name);
  }

  #whyNot(name: string): { status: number; message: string } {
    const bash = this.kind.name === 'bash';
    if (!name.includes('/')) return { status: 127, message: `${name}: ${bash ? 'command not found' : 'not found'}` };
    const { files } = this.kind.ctx;
    const path = absolutePath(this.state.cwd, name);
    if (files.read(path) === undefined && !isDirectory(files, path))
      return { status: 127, message: `${name}: ${bash ? 'No such file or directory' : 'not found'}` };
    return { status: 126, message: `${name}: Permission denied` };
  }
}
