// sh, worded as dash (called as bash: its prompt and `command not found`, the rest as dash). From -c, from a file, or read line by line
// from stdin; at a terminal with a prompt. The language is that of parser.ts.
// Deviation: a script is parsed as a whole before it runs, not line by line.
import type { ProcessContext, Program, ProgramTable } from '../../workloads/program.ts';
import { absolutePath } from '../paths.ts';
import { exitBySignal } from '../wait.ts';
import { ShellSyntaxError } from './ast.ts';
import { Interpreter, type Scope, type ShellKind } from './interpreter.ts';
import { Exit } from './jumps.ts';
import { readLine } from './line-reader.ts';
import { parseShell } from './parser.ts';
import { ShellState } from './state.ts';

const FIRST_PID = 2;
const SIGINT_EXIT = 130;

/** A shell whose commands are those of `table`, which may be completed later: it is looked at when a shell starts. */
export function makeShell(table: () => ProgramTable): Program {
  return (ctx) => main(ctx, table());
}

async function main(ctx: ProcessContext, programs: ProgramTable): Promise<number> {
  const { command, operands, options, unknown } = parse(ctx.argv.slice(1));
  const called = (ctx.argv[0] ?? 'sh').replace(/^.*\//, '');
  const name = called === 'bash' ? 'bash' : 'sh';
  if (unknown) {
    ctx.stderr.write(`${name}: 0: Illegal option ${unknown}\n`);
    return 2;
  }
  const fromFile = command === undefined ? operands[0] : undefined;
  let text = command;
  if (fromFile !== undefined) {
    text = ctx.files.read(absolutePath(ctx.cwd, fromFile));
    if (text === undefined) {
      ctx.stderr.write(`${name}: 0: cannot open ${fromFile}: No such file\n`);
      return 2;
    }
  }
  const kind: ShellKind = {
    ctx,
    programs,
    name: fromFile ?? name,
    interactive: text === undefined && ctx.tty,
    title: operands[0] ?? called,
    nextPid: FIRST_PID,
  };
  const state = new ShellState(ctx, operands.slice(1));
  for (const option of options) state.setOptions(option);
  const { stdin, stdout, stderr, signal } = ctx;
  const scope: Scope = { stdin, stdout, stderr, signal };
  const shell = new Interpreter(kind, state, scope);
  try {
    if (text !== undefined) return await shell.runText(text, scope);
    return kind.interactive ? await converse(shell, ctx) : await readScript(shell, scope);
  } catch (error) {
    if (error instanceof Exit) return error.code;
    throw error;
  }
}

interface ShellArguments {
  readonly command: string | undefined;
  /** After -c: $0 and the positional parameters; else the script's file and those. */
  readonly operands: readonly string[];
  readonly options: readonly string[];
  readonly unknown?: string;
}

function parse(args: readonly string[]): ShellArguments {
  const options: string[] = [];
  let takesCommand = false;
  let i = 0;
  for (; i < args.length && /^-[a-z]+$/.test(args[i]!); i++) {
    const letters = args[i]!.slice(1);
    if (letters.includes('c')) takesCommand = true;
    const unknown = /[^ceilsux]/.exec(letters);
    if (unknown) return { command: undefined, operands: [], options, unknown: `-${unknown[0]}` };
    const kept = letters.replace(/[cils]/g, '');
    if (kept) options.push(`-${kept}`);
  }
  const rest = args.slice(args[i] === '--' ? i + 1 : i);
  return takesCommand
    ? { command: rest[0] ?? '', operands: rest.slice(1), options }
    : { command: undefined, operands: rest, options };
}

/** Commands from stdin, which they share. An unfinished one goes on in the next line. */
async function readScript(shell: Interpreter, scope: Scope): Promise<number> {
  let pending = '';
  for (
    let line = await readLine(scope.stdin, scope.signal);
    line !== undefined;
    line = await readLine(scope.stdin, scope.signal)
  ) {
    pending += `${line}\n`;
    if (isUnfinished(pending)) continue;
    const text = pending;
    pending = '';
    await shell.runText(text, scope);
  }
  if (scope.signal.aborted) return exitBySignal(scope.signal);
  return pending === '' ? shell.state.status : shell.runText(pending, scope);
}

async function converse(shell: Interpreter, ctx: ProcessContext): Promise<number> {
  const { stdout, stderr, signal, terminal } = ctx;
  let interrupted = new AbortController();
  const own = terminal?.enter(() => interrupted.abort('SIGINT'));
  const input = own?.input ?? ctx.stdin;
  let pending = '';
  try {
    while (!signal.aborted) {
      interrupted = new AbortController();
      stdout.write(pending === '' ? promptOf(shell) : '> ');
      const line = await readLine(input, AbortSignal.any([signal, interrupted.signal]));
      if (interrupted.signal.aborted) {
        pending = '';
        shell.state.status = SIGINT_EXIT;
        stdout.write('\n');
        continue;
      }
      if (line === undefined) break;
      pending += `${line}\n`;
      if (isUnfinished(pending)) continue;
      const text = pending;
      pending = '';
      await runInteractively(shell, text, ctx);
    }
    if (signal.aborted) return exitBySignal(signal);
    stdout.write(shell.kind.name === 'bash' ? 'exit\n' : '\n');
    return shell.state.status;
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    if (shell.kind.name === 'bash') stderr.write('exit\n');
    return error.code;
  } finally {
    own?.leave();
  }
}

/** One command line, in the terminal's foreground: ^C ends it and not the shell. Throws Exit for `exit`. */
async function runInteractively(shell: Interpreter, text: string, ctx: ProcessContext): Promise<void> {
  const { stdout, stderr, signal, terminal } = ctx;
  const job = new AbortController();
  const foreground = terminal?.enter(() => job.abort('SIGINT'));
  const scope: Scope = {
    stdin: foreground?.input ?? ctx.stdin,
    stdout,
    stderr,
    signal: AbortSignal.any([signal, job.signal]),
  };
  try {
    await shell.run(parseShell(text), scope);
  } catch (error) {
    if (error instanceof ShellSyntaxError) {
      shell.complain(scope, error.message, error.line);
      shell.state.status = 2;
    } else if (!(error instanceof Exit) || !job.signal.aborted) throw error;
    else shell.state.status = error.code;
  } finally {
    foreground?.leave();
  }
  if (job.signal.aborted && shell.state.status === SIGINT_EXIT) stdout.write('\n'); // behind the ^C
}

function promptOf({ state, kind }: Interpreter): string {
  const where = state.cwd === state.variables.get('HOME') ? '~' : state.cwd;
  return kind.name === 'bash' ? `root@${kind.ctx.hostname}:${where}# ` : '# ';
}

/** Whether more lines could complete it. */
function isUnfinished(text: string): boolean {
  try {
    parseShell(text);
    return /\\\n$/.test(text);
  } catch (error) {
    return error instanceof ShellSyntaxError && /end of file|Unterminated|EOF in|Missing/.test(error.message);
  }
}
