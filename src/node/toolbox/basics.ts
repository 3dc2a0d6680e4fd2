// The smallest commands: those of coreutils and hostname(1) that people type in a Pod.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { exitBySignal, signalled, sleepMs } from './wait.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ a: '\x07', b: '\b', e: '\x1b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\' },
};

/** Backslash escapes as echo -e and printf know them; `\c` ends the output. */
function unescaped(text: string): { text: string; ended: boolean } {
  const [before = '', after] = text.split(/(?<!\\)(?:\\\\)*\\c/s, 2);
  const out = before.replace(/\\(?:0?([0-7]{1,3})|x([0-9a-fA-F]{1,2})|([abefnrtv\\]))/g, (_, octal, hex, letter) =>
    letter
      ? ESCAPES[letter]!
      : String.fromCharCode(octal ? Number.parseInt(octal, 8) & 0xff : Number.parseInt(hex, 16)),
  );
  return { text: out, ended: after !== undefined };
}

export const echo: Program = async (ctx) => {
  const words = ctx.argv.slice(1);
  let newline = true;
  let escapes = false;
  while (/^-[neE]+$/.test(words[0] ?? '')) {
    for (const letter of words.shift()!.slice(1)) {
      if (letter === 'n') newline = false;
      else escapes = letter === 'e';
    }
  }
  const { text, ended } = escapes ? unescaped(words.join(' ')) : { text: words.join(' '), ended: false };
  ctx.stdout.write(newline && !ended ? `${text}\n` : text);
  return 0;
};

/** %s %b %d %i %u %x %X %o %c %%, widths and precisions; the format is used again while arguments are left. */
export const printf: Program = async (ctx) => {
  const [format, ...args] = ctx.argv.slice(1);
  if (format === undefined) {
    ctx.stderr.write('sh: 1: printf: usage: printf format [arg ...]\n');
    return 2;
  }
  let code = 0;
  do {
    const before = args.length;
    const out = format.replace(
      /%([-+ 0#]*)(\d*)(?:\.(\d+))?([sbdiuxXoc%])|\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)/gs,
      (match, flags, width, precision, kind) => {
        if (kind === undefined) return unescaped(match).text;
        if (kind === '%') return '%';
        const arg = args.shift();
        const value = conversion(ctx, kind, arg, precision, flags);
        if (value.bad) code = 1;
        if (flags.includes('-')) return value.text.padEnd(Number(width));
        return value.text.padStart(Number(width), flags.includes('0') && kind !== 's' ? '0' : ' ');
      },
    );
    ctx.stdout.write(out);
    if (args.length === before) break;
  } while (args.length > 0);
  return code;
};

function conversion(
  { stderr }: ProcessContext,
  kind: string,
  arg: string | undefined,
  precision: string | undefined,
  flags: string,
): { text: string; bad: boolean } {
  if (kind === 's' || kind === 'b' || kind === 'c') {
    const text = kind === 'b' ? unescaped(arg ?? '').text : (arg ?? '');
    if (kind === 'c') return { text: text.slice(0, 1), bad: false };
    return { text: precision === undefined ? text : text.slice(0, Number(precision)), bad: false };
  }
  const number = Number((arg ?? '0') === '' ? 0 : (arg ?? 0));
  const bad = !Number.isInteger(number);
  if (bad) stderr.write(`sh: 1: printf: ${arg}: expected numeric value\n`);
  const value = bad ? Number.parseInt(arg!, 10) || 0 : number;
  const radix = kind === 'x' || kind === 'X' ? 16 : kind === 'o' ? 8 : 10;
  const digits = Math.abs(value)
    .toString(radix)
    .padStart(Number(precision ?? 0), '0');
  const text = `${value < 0 ? '-' : flags.includes('+') ? '+' : ''}${kind === 'X' ? digits.toUpperCase() : digits}`;
  return { text, bad };
}

export const seq: Program = async (ctx) => {
  const numbers = ctx.argv.slice(1).map(Number);
  const bad = ctx.argv.slice(1).find((a) => !/^-?\d+$/.test(a));
  if (numbers.length === 0 || numbers.length > 3 || bad !== undefined) {
    const what =
      bad !== undefined
        ? `invalid floating point argument: '${bad}'`
        : numbers.length === 0
          ? 'missing operand'
          : `extra operand '${ctx.argv[4]}'`;
    ctx.stderr.write(`seq: ${what}\nTry 'seq --help' for more information.\n`);
    return 1;
  }
  const first = numbers.length > 1 ? numbers[0]! : 1;
  const step = numbers.length > 2 ? numbers[1]! : 1;
  const last = numbers.at(-1)!;
  if (step === 0) {
    ctx.stderr.write("seq: invalid Zero increment value: '0'\nTry 'seq --help' for more information.\n");
    return 1;
  }
  for (let n = first; step > 0 ? n <= last : n >= last; n += step) ctx.stdout.write(`${n}\n`);
  return 0;
};

/** The Pod's name and address; it has no domain of its own. */
export const hostname: Program = async (ctx) => {
  const option = ctx.argv[1] ?? '';
  const answers: Readonly<Record<string, string>> = {
    '-i': `${formatIPv4(ctx.podIP)}\n`,
    '-I': `${formatIPv4(ctx.podIP)} \n`,
    '-d': '',
    '-s': `${ctx.hostname.split('.')[0]}\n`,
  };
  ctx.stdout.write(answers[option] ?? `${ctx.hostname}\n`);
  return 0;
};

/** Prints the environment; `env NAME=VALUE... ` adds to it. Running a command with it is the shell's to do. */
export const env: Program = async (ctx) => {
  const added = ctx.argv.slice(1).map((word) => word.split(/=(.*)/s, 2));
  const stray = added.find(([, value]) => value === undefined);
  if (stray) {
    ctx.stderr.write(`env: '${stray[0]}': No such file or directory\n`);
    return 127;
  }
  for (const [name, value] of Object.entries({ ...ctx.env, ...Object.fromEntries(added) }))
    ctx.stdout.write(`${name}=${value}\n`);
  return 0;
};

export const printenv: Program = async (ctx) => {
  const names = ctx.argv.slice(1);
  if (names.length === 0) return env({ ...ctx, argv: ['env'] });
  for (const name of names) if (ctx.env[name] !== undefined) ctx.stdout.write(`${ctx.env[name]}\n`);
  return names.every((name) => ctx.env[name] !== undefined) ? 0 : 1;
};

/** date(1) without options, in UTC: `Sun Nov 22 05:04:15 UTC 2026`. */
export const date: Program = async (ctx) => {
  const format = ctx.argv[1] ?? '+%a %b %e %H:%M:%S UTC %Y';
  const now = new Date(ctx.clock.unixMs());
  const [weekday = '', day = '', month = '', year = '', time = ''] = now.toUTCString().replace(',', '').split(' ');
  const fields: Readonly<Record<string, string>> = {
    ...{
      a: weekday,
      b: month,
      d: day,
      e: String(Number(day)).padStart(2),
      Y: year,
      T: time,
      F: now.toISOString().slice(0, 10),
    },
    ...{ H: time.slice(0, 2), M: time.slice(3, 5), S: time.slice(6), m: now.toISOString().slice(5, 7) },
    ...{
      s: String(Math.floor(now.getTime() / 1000)),
      N: String(now.getMilliseconds() * 1e6).padStart(9, '0'),
      '%': '%',
    },
  };
  const shown = format.startsWith('+') ? format.slice(1) : '%a %b %e %H:%M:%S UTC %Y';
  ctx.stdout.write(`${shown.replace(/%(.)/g, (match, letter) => fields[letter] ?? match)}\n`);
  return 0;
};

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

export const sleep: Program = async (ctx) => {
  const operands = ctx.argv.slice(1);
  const complain = (what: string): number => {
    ctx.stderr.write(`sleep: ${what}\nTry 'sleep --help' for more information.\n`);
    return 1;
  };
  if (operands.length === 0) return complain('missing operand');
  let totalS = 0;
  for (const operand of operands) {
    const interval = /^(\d*\.?\d+|inf|infinity)([smhd]?)$/.exec(operand);
    if (!interval) return complain(`invalid time interval '${operand}'`);
    totalS += Number(interval[1]!.replace(/^inf.*/, 'Infinity')) * UNITS[interval[2] || 's']!;
  }
  await (totalS === Number.POSITIVE_INFINITY ? signalled(ctx) : sleepMs(ctx, totalS * 1000));
  return ctx.signal.aborted ? exitBySignal(ctx.signal) : 0;
};

/** Prints a fixed text. */
export const prints =
  (text: (ctx: ProcessContext) => string): Program =>
  async (ctx) => {
    ctx.stdout.write(`${text(ctx)}\n`);
    return 0;
  };

/** Ends with a fixed code. */
export const exits =
  (code: number): Program =>
  async () =>
    code;
