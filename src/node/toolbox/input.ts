// Reading a program's input: named files, or stdin until its end or the process's.
import type { ProcessContext } from '../workloads/program.ts';
import { absolutePath, isDirectory } from './paths.ts';
import { unlessSignalled } from './wait.ts';

/** The chunks of stdin as they come; ends early when the process is signalled. */
export async function* stdinChunks(ctx: ProcessContext): AsyncGenerator<Buffer> {
  const chunks = ctx.stdin.iterator({ destroyOnReturn: false });
  for (;;) {
    const next = await unlessSignalled(ctx, chunks.next());
    if (!next || next.done) return;
    yield next.value as Buffer;
  }
}

/** The text of a file, or of stdin for `-`; undefined, and said so, when it cannot be read. */
export async function readInput(ctx: ProcessContext, operand: string): Promise<string | undefined> {
  if (operand === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of stdinChunks(ctx)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }
  const text = readNamed(ctx, operand);
  if (typeof text === 'string') return text;
  ctx.stderr.write(`${ctx.argv[0]}: ${operand}: ${text.problem}\n`);
  return undefined;
}

/** The text of a named file, or why there is none. */
export function readNamed({ files, cwd }: ProcessContext, name: string): string | { problem: string } {
  const path = absolutePath(cwd, name);
  if (path === '/dev/null') return '';
  return files.read(path) ?? { problem: isDirectory(files, path) ? 'Is a directory' : 'No such file or directory' };
}

/** Lines without their newlines; no empty one after the last newline. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
