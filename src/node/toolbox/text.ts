// Filters for what the network tools print, worded as coreutils' and GNU grep: head, tail, grep, sort, uniq, wc.
// Left out: tail -f, grep's contexts and recursion, sort keys. Patterns of grep are JavaScript's, which the usual ones share.
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { linesOf, readInput, stdinChunks } from './input.ts';

function complain(ctx: ProcessContext, { problem }: ParsedArguments): number {
  const what = problem?.kind === 'unknown' ? 'invalid option' : 'option requires an argument';
  ctx.stderr.write(
    `${ctx.argv[0]}: ${what} -- '${problem?.letter}'\nTry '${ctx.argv[0]} --help' for more information.\n`,
  );
  return ctx.argv[0] === 'grep' || ctx.argv[0] === 'sort' ? 2 : 1;
}

/** `-5` is `-n 5`. */
function countArguments(ctx: ProcessContext): ParsedArguments {
  const args = ctx.argv.slice(1).map((a) => a.replace(/^-(\d+)$/, '-n$1'));
  return parseArguments(args, { n: true, c: true }, { lines: 'n', bytes: 'c' });
}

export const head: Program = async (ctx) => {
  const parsed = countArguments(ctx);
  if (parsed.problem) return complain(ctx, parsed);
  const count = Number(parsed.options.get('n')?.at(-1) ?? 10);
  const bytes = parsed.options.get('c')?.at(-1);
  const cut = (text: string): string => {
    if (bytes !== undefined) return Buffer.from(text).subarray(0, Number(bytes)).toString();
    return text
      .split(/(?<=\n)/)
      .slice(0, count)
      .join('');
  };
  if (parsed.operands.length === 0) {
    // Ends as soon as it has enough, which is what ends an endless writer before it.
    let text = '';
    for await (const chunk of stdinChunks(ctx)) {
      text += chunk.toString();
      if (
        bytes === undefined
          ? linesOf(text).length > count || text.split('\n').length > count
          : text.length >= Number(bytes)
      )
        break;
    }
    ctx.stdout.write(cut(text));
    return 0;
  }
  return eachInput(ctx, parsed.operands, (text) => void ctx.stdout.write(cut(text)));
};

export const tail: Program = async (ctx) => {
  const parsed = countArguments(ctx);
  if (parsed.problem) return complain(ctx, parsed);
  const given = parsed.options.get('n')?.at(-1) ?? '10';
  return eachInput(ctx, parsed.operands, (text) => {
    const lines = text === '' ? [] : text.split(/(?<=\n)/);
    const from = given.startsWith('+') ? Number(given) - 1 : Math.max(0, lines.length - Number(given));
    ctx.stdout.write(lines.slice(from).join(''));
  });
};

async function eachInput(
  ctx: ProcessContext,
  operands: readonly string[],
  use: (text: string, operand: string) => void,
): Promise<number> {
  let code = 0;
  for (const operand of operands.length > 0 ? operands : ['-']) {
    const text = await readInput(ctx, operand);
    if (text === undefined) code = 1;
    else use(text, operand);
  }
  return code;
}

const GREP = {
  ...{ i: false, v: false, c: false, q: false, n: false, o: false, E: false, F: false, w: false },
  e: true,
};

export const grep: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), GREP, {
    'only-matching': 'o',
    'ignore-case': 'i',
    quiet: 'q',
    count: 'c',
  });
  const { options, problem } = parsed;
  if (problem) return complain(ctx, parsed);
  const pattern = options.get('e')?.at(-1) ?? parsed.operands[0];
  const operands = options.has('e') ? parsed.operands : parsed.operands.slice(1);
  if (pattern === undefined) {
    ctx.stderr.write("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n");
    return 2;
  }
  const expression = grepExpression(pattern, options);
  let matched = false;
  const code = await eachInput(ctx, operands, (text, operand) => {
    const prefix = operands.length > 1 ? `${operand}:` : '';
    let count = 0;
    for (const [i, line] of linesOf(text).entries()) {
      const found = line.match(expression);
      if ((found !== null) === options.has('v')) continue;
      count++;
      if (options.has('c') || options.has('q')) continue;
      const number = options.has('n') ? `${i + 1}:` : '';
      for (const shown of options.has('o') ? (found ?? []) : [line]) ctx.stdout.write(`${prefix}${number}${shown}\n`);
    }
    matched ||= count > 0;
    if (options.has('c') && !options.has('q')) ctx.stdout.write(`${prefix}${count}\n`);
  });
  if (code !== 0) return 2;
  return matched ? 0 : 1;
};

function grepExpression(pattern: string, options: ReadonlyMap<string, unknown>): RegExp {
  let source = pattern;
  if (options.has('F')) source = source.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  // A basic expression's \| \( \) \{ \} \+ \? are operators, and without the backslash they stand for themselves.
  else if (!options.has('E')) source = source.replace(/\\?[|(){}+?]/g, (m) => (m.length === 2 ? m[1]! : `\\${m}`));
  if (options.has('w')) source = `\\b(?:${source})\\b`;
  try {
    return new RegExp(source, options.has('i') ? 'gi' : 'g');
  } catch {
    return /(?!)/; // matches nothing
  }
}

export const sort: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), { r: false, n: false, u: false });
  const { options } = parsed;
  if (parsed.problem) return complain(ctx, parsed);
  const lines: string[] = [];
  const code = await eachInput(ctx, parsed.operands, (text) => void lines.push(...linesOf(text)));
  const value = (line: string): number => Number.parseFloat(line) || 0;
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  lines.sort((a, b) => (options.has('n') ? value(a) - value(b) || byText(a, b) : byText(a, b)));
  if (options.has('r')) lines.reverse();
  for (const line of options.has('u') ? new Set(lines) : lines) ctx.stdout.write(`${line}\n`);
  return code === 0 ? 0 : 2;
};

export const uniq: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), { c: false, d: false, u: false });
  const { options } = parsed;
  if (parsed.problem) return complain(ctx, parsed);
  return eachInput(ctx, parsed.operands.slice(0, 1), (text) => {
    const lines = linesOf(text);
    for (let i = 0; i < lines.length; ) {
      let count = 1;
      while (lines[i + count] === lines[i]) count++;
      const wanted = (!options.has('d') || count > 1) && (!options.has('u') || count === 1);
      if (wanted) ctx.stdout.write(`${options.has('c') ? `${String(count).padStart(7)} ` : ''}${lines[i]}\n`);
      i += count;
    }
  });
};

export const wc: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), { l: false, w: false, c: false });
  const { options, operands } = parsed;
  if (parsed.problem) return complain(ctx, parsed);
  const all = options.size === 0;
  const single = options.size === 1;
  return eachInput(ctx, operands, (text, operand) => {
    const counts: number[] = [];
    if (all || options.has('l')) counts.push(text.split('\n').length - 1);
    if (all || options.has('w')) counts.push(text.split(/\s+/).filter(Boolean).length);
    if (all || options.has('c')) counts.push(Buffer.byteLength(text));
    const width = single ? 1 : operands.length === 0 ? 7 : String(Buffer.byteLength(text)).length;
    const figures = counts.map((n) => String(n).padStart(width)).join(' ');
    ctx.stdout.write(`${figures}${operand === '-' ? '' : ` ${operand}`}\n`);
  });
};
