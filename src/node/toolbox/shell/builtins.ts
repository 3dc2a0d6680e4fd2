// Commands that a shell must run itself, because they change it. Worded as dash's.
import { absolutePath, isDirectory } from '../paths.ts';
import { exitBySignal, unlessSignalled } from '../wait.ts';
import type { Interpreter, Scope } from './interpreter.ts';
import { Exit, LoopJump } from './jumps.ts';
import { readLine } from './line-reader.ts';

export interface BuiltinCall {
  readonly shell: Interpreter;
  readonly argv: readonly string[];
  readonly scope: Scope;
  readonly line: number;
}

type Builtin = (call: BuiltinCall) => number | Promise<number>;

const NAME = /^[A-Za-z_]\w*$/;

function fail({ shell, argv, scope, line }: BuiltinCall, message: string): number {
  shell.complain(scope, `${argv[0]}: ${message}`, line);
  return 2;
}

/** The number in argv[1], `otherwise` without one. Ends the shell when it is none. */
function count(call: BuiltinCall, otherwise: number): number {
  const text = call.argv[1];
  if (text === undefined) return otherwise;
  if (!/^\d+$/.test(text)) throw new Exit(fail(call, `Illegal number: ${text}`));
  return Number(text);
}

function jump(kind: 'break' | 'continue'): Builtin {
  return (call) => {
    const levels = count(call, 1);
    if (call.shell.loopDepth > 0) throw new LoopJump(kind, levels);
    return 0;
  };
}

const cd: Builtin = (call) => {
  const { shell, argv } = call;
  const { state } = shell;
  const target = argv[1] === '-' ? state.variables.get('OLDPWD') : (argv[1] ?? state.variables.get('HOME') ?? '/');
  const path = absolutePath(state.cwd, target ?? state.cwd);
  if (!isDirectory(shell.kind.ctx.files, path)) return fail(call, `can't cd to ${target}`);
  shell.assign('OLDPWD', state.cwd);
  shell.assign('PWD', path);
  state.cwd = path;
  if (argv[1] === '-') call.scope.stdout.write(`${path}\n`);
  return 0;
};

const command: Builtin = (call) => {
  const { shell, argv, scope, line } = call;
  if (argv[1] === '-v' || argv[1] === '-V') return describe({ ...call, argv: argv.slice(1) }, argv[1] === '-v');
  if (argv.length === 1) return 0;
  const rest = argv.slice(1);
  const builtin = BUILTINS.get(rest[0]!);
  return builtin ? builtin({ ...call, argv: rest }) : shell.launch(rest, scope, line);
};

function describe({ shell, argv, scope }: BuiltinCall, brief: boolean): number {
  let status = 0;
  for (const name of argv.slice(1)) {
    const path = shell.find(name) ? (name.includes('/') ? name : `/usr/bin/${name}`) : undefined;
    const found = BUILTINS.has(name)
      ? brief
        ? name
        : `${name} is a shell builtin`
      : path && (brief ? path : `${name} is ${path}`);
    if (!found) status = 127;
    if (found) scope.stdout.write(`${found}\n`);
    else if (!brief) scope.stdout.write(`${name}: not found\n`);
  }
  return status;
}

const doExport: Builtin = (call) => {
  const { shell, argv, scope } = call;
  const { state } = shell;
  for (const word of argv.slice(1).filter((a) => a !== '-p')) {
    const [name = '', value] = word.split(/=(.*)/s, 2);
    if (!NAME.test(name)) throw new Exit(fail(call, `${name}: bad variable name`));
    if (value !== undefined) shell.assign(name, value);
    state.exported.add(name);
  }
  if (argv.length === 1 || argv[1] === '-p')
    for (const [name, value] of Object.entries(state.environment())) scope.stdout.write(`export ${name}='${value}'\n`);
  return 0;
};

const exec: Builtin = async ({ shell, argv, scope, line }) => {
  if (argv.length === 1) return 0;
  const name = argv[1]!;
  if (shell.find(name)) throw new Exit(await shell.launch(argv.slice(1), scope, line));
  shell.complain(scope, `exec: ${name}: not found`, line);
  throw new Exit(127);
};

const kill: Builtin = (call) => {
  const { shell, argv } = call;
  const signal = argv[1]?.startsWith('-') ? `SIG${argv[1].slice(1).replace(/^SIG/, '')}` : 'SIGTERM';
  let status = 0;
  for (const pid of argv.slice(1).filter((a) => !a.startsWith('-'))) {
    const job = shell.background.get(Number(pid));
    if (job?.isRunning) job.kill(signal === 'SIG9' ? 'SIGKILL' : signal);
    else {
      fail(call, 'No such process');
      status = 1;
    }
  }
  return status;
};

const read: Builtin = async (call) => {
  const { shell, argv, scope } = call;
  const names = argv.slice(1).filter((a) => !a.startsWith('-'));
  if (names.length === 0) return fail(call, 'arg count');
  const line = await readLine(scope.stdin, scope.signal);
  let rest = (line ?? '').trim();
  for (const [i, name] of names.entries()) {
    const field = i === names.length - 1 ? rest : (/^\S*/.exec(rest)?.[0] ?? '');
    shell.assign(name, field);
    rest = rest.slice(field.length).trimStart();
  }
  return line === undefined ? 1 : 0;
};

const set: Builtin = (call) => {
  const { shell, argv, scope } = call;
  const { state } = shell;
  if (argv.length === 1)
    for (const [name, value] of [...state.variables].sort()) scope.stdout.write(`${name}='${value}'\n`);
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i]!;
    if (arg === '--' || !/^[-+]./.test(arg)) {
      state.positional = argv.slice(arg === '--' ? i + 1 : i);
      return 0;
    }
    if (!state.setOptions(arg)) throw new Exit(fail(call, `Illegal option ${arg}`));
  }
  return 0;
};

const shift: Builtin = (call) => {
  const { state } = call.shell;
  const n = count(call, 1);
  if (n > state.positional.length) throw new Exit(fail(call, "can't shift that many"));
  state.positional = state.positional.slice(n);
  return 0;
};

const source: Builtin = async (call) => {
  const { shell, argv, scope } = call;
  const text = shell.kind.ctx.files.read(absolutePath(shell.state.cwd, argv[1] ?? ''));
  if (argv[1] === undefined || text === undefined)
    throw new Exit(fail(call, argv[1] === undefined ? 'argument expected' : `cannot open ${argv[1]}: No such file`));
  return shell.runText(text, scope);
};

/** For the given jobs, whose last one's exit code it returns, or for all. */
const wait: Builtin = async ({ shell, argv, scope }) => {
  const pids = argv.length > 1 ? argv.slice(1).map(Number) : [...shell.background.keys()];
  const codes = Promise.all(pids.map((pid) => shell.background.get(pid)?.done ?? 127));
  const result = await unlessSignalled(scope, codes);
  if (!result) return exitBySignal(scope.signal);
  for (const pid of pids) shell.background.delete(pid);
  return argv.length > 1 ? result.at(-1)! : 0;
};

export const BUILTINS: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['.', source],
  [':', () => 0],
  ['break', jump('break')],
  ['cd', cd],
  ['command', command],
  ['continue', jump('continue')],
  ['eval', ({ shell, argv, scope }) => shell.runText(argv.slice(1).join(' '), scope)],
  ['exec', exec],
  [
    'exit',
    (call) => {
      throw new Exit(count(call, call.shell.state.status) & 0xff);
    },
  ],
  ['export', doExport],
  ['kill', kill],
  [
    'pwd',
    ({ shell, scope }) => {
      scope.stdout.write(`${shell.state.cwd}\n`);
      return 0;
    },
  ],
  ['read', read],
  ['set', set],
  ['shift', shift],
  ['source', source],
  ['type', (call) => describe(call, false)],
  [
    'unset',
    ({ shell, argv }) => {
      for (const name of argv.slice(1)) shell.state.variables.delete(name);
      return 0;
    },
  ],
  ['wait', wait],
]);
