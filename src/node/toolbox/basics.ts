// The smallest commands: those of coreutils and hostname(1) that people type in a Pod.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { Program } from '../workloads/program.ts';
import { absolutePath } from './paths.ts';
import { signalled, sleepMs } from './wait.ts';

export const cat: Program = async (ctx) => {
  let code = 0;
  const operands = ctx.argv.slice(1);
  for (const operand of operands.length > 0 ? operands : ['-']) {
    if (operand === '-') {
      for await (const chunk of ctx.stdin) ctx.stdout.write(chunk);
      continue;
    }
    const text = ctx.files.read(absolutePath(ctx.cwd, operand));
    if (text !== undefined) ctx.stdout.write(text);
    else {
      ctx.stderr.write(`cat: ${operand}: No such file or directory\n`);
      code = 1;
    }
  }
  return code;
};

export const echo: Program = async (ctx) => {
  const words = ctx.argv.slice(1);
  const bare = words[0] === '-n';
  ctx.stdout.write(`${words.slice(bare ? 1 : 0).join(' ')}${bare ? '' : '\n'}`);
  return 0;
};

export const hostname: Program = async (ctx) => {
  ctx.stdout.write(`${/^-[iI]$/.test(ctx.argv[1] ?? '') ? formatIPv4(ctx.podIP) : ctx.hostname}\n`);
  return 0;
};

export const env: Program = async (ctx) => {
  for (const [name, value] of Object.entries(ctx.env)) ctx.stdout.write(`${name}=${value}\n`);
  return 0;
};

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

export const sleep: Program = async (ctx) => {
  let totalS = 0;
  for (const operand of ctx.argv.slice(1)) {
    if (operand === 'infinity' || operand === 'inf') totalS = Number.POSITIVE_INFINITY;
    const interval = /^(\d*\.?\d+)([smhd]?)$/.exec(operand);
    if (!interval && totalS !== Number.POSITIVE_INFINITY) {
      ctx.stderr.write(`sleep: invalid time interval ‘${operand}’\n`);
      return 1;
    }
    if (interval) totalS += Number(interval[1]) * UNITS[interval[2] || 's']!;
  }
  if (ctx.argv.length < 2) {
    ctx.stderr.write('sleep: missing operand\n');
    return 1;
  }
  await (totalS === Number.POSITIVE_INFINITY ? signalled(ctx) : sleepMs(ctx, totalS * 1000));
  return ctx.signal.aborted ? 143 : 0;
};

/** Files directly in a directory, and the directories that files below it imply. */
export const ls: Program = async (ctx) => {
  const operand = ctx.argv.slice(1).find((a) => !a.startsWith('-')) ?? ctx.cwd;
  const path = absolutePath(ctx.cwd, operand);
  if (ctx.files.read(path) !== undefined) {
    ctx.stdout.write(`${operand}\n`);
    return 0;
  }
  const prefix = path === '/' ? '/' : `${path}/`;
  const names = new Set(
    ctx.files
      .list()
      .filter((f) => f.startsWith(prefix))
      .map((f) => f.slice(prefix.length).split('/')[0]!),
  );
  if (names.size === 0 && path !== '/') {
    ctx.stderr.write(`ls: cannot access '${operand}': No such file or directory\n`);
    return 2;
  }
  for (const name of names) ctx.stdout.write(`${name}\n`);
  return 0;
};

/** Ends with a fixed code. */
export const exits =
  (code: number): Program =>
  async () =>
    code;
