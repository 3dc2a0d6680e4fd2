// Commands about a Pod's files, worded as coreutils': cat, ls, rm, tee. PodFiles has no owners, times or modes: ls -l makes them up
// from what a container's files usually show. Left out: directories of their own (mkdir), moving and copying.
import type { Program } from '../workloads/program.ts';
import { parseArguments } from './arguments.ts';
import { readNamed, stdinChunks } from './input.ts';
import { absolutePath, directoryEntries, isDirectory, whyNotWritable } from './paths.ts';

export const cat: Program = async (ctx) => {
  let code = 0;
  const operands = ctx.argv.slice(1);
  for (const operand of operands.length > 0 ? operands : ['-']) {
    if (operand === '-') {
      for await (const chunk of stdinChunks(ctx)) ctx.stdout.write(chunk);
      continue;
    }
    const text = readNamed(ctx, operand);
    if (typeof text === 'string') ctx.stdout.write(text);
    else {
      ctx.stderr.write(`cat: ${operand}: ${text.problem}\n`);
      code = 1;
    }
  }
  return code;
};

/** One name a line; -l adds what there is to say. */
export const ls: Program = async (ctx) => {
  const { files, cwd, stdout, stderr } = ctx;
  const { options, operands } = parseArguments(ctx.argv.slice(1), {
    l: false,
    a: false,
    A: false,
    1: false,
    d: false,
    h: false,
  });
  const targets = operands.length > 0 ? operands : ['.'];
  const line = (path: string, name: string): string => {
    if (!options.has('l')) return name;
    const mode = isDirectory(files, path) ? 'drwxr-xr-x' : '-rw-r--r--';
    return `${mode} 1 root root ${String(Buffer.byteLength(files.read(path) ?? '')).padStart(5)} ${name}`;
  };
  let code = 0;
  for (const operand of targets) {
    const path = absolutePath(cwd, operand);
    if (!isDirectory(files, path) || options.has('d')) {
      if (files.read(path) !== undefined || isDirectory(files, path)) stdout.write(`${line(path, operand)}\n`);
      else {
        stderr.write(`ls: cannot access '${operand}': No such file or directory\n`);
        code = 2;
      }
      continue;
    }
    if (targets.length > 1) stdout.write(`${operand}:\n`);
    const names = directoryEntries(files, path).filter(
      (n) => !n.startsWith('.') || options.has('a') || options.has('A'),
    );
    for (const name of names) stdout.write(`${line(absolutePath(path, name), name)}\n`);
  }
  return code;
};

export const rm: Program = async (ctx) => {
  const { options, operands } = parseArguments(ctx.argv.slice(1), { f: false, r: false, R: false });
  if (operands.length === 0 && !options.has('f')) {
    ctx.stderr.write("rm: missing operand\nTry 'rm --help' for more information.\n");
    return 1;
  }
  let code = 0;
  for (const operand of operands) {
    const path = absolutePath(ctx.cwd, operand);
    const problem = isDirectory(ctx.files, path) ? 'Is a directory' : 'No such file or directory';
    if (ctx.files.remove(path)) continue;
    if (options.has('r') || options.has('R')) {
      const below = ctx.files.list().filter((file) => file.startsWith(`${path}/`));
      for (const file of below) ctx.files.remove(file);
      if (below.length > 0) continue;
    }
    if (options.has('f') && problem.startsWith('No')) continue;
    ctx.stderr.write(`rm: cannot remove '${operand}': ${problem}\n`);
    code = 1;
  }
  return code;
};

export const tee: Program = async (ctx) => {
  const { options, operands } = parseArguments(ctx.argv.slice(1), { a: false });
  let code = 0;
  const paths: string[] = [];
  for (const operand of operands) {
    const path = absolutePath(ctx.cwd, operand);
    const problem = whyNotWritable(ctx.files, path);
    if (problem) {
      ctx.stderr.write(`tee: ${operand}: ${problem}\n`);
      code = 1;
    } else paths.push(path);
  }
  const texts = new Map(paths.map((path) => [path, options.has('a') ? (ctx.files.read(path) ?? '') : '']));
  for (const [path, text] of texts) ctx.files.write(path, text);
  for await (const chunk of stdinChunks(ctx)) {
    ctx.stdout.write(chunk);
    for (const [path, text] of texts) {
      texts.set(path, text + chunk.toString());
      ctx.files.write(path, texts.get(path)!);
    }
  }
  return code;
};
