// test(1) and [: strings, integers, and what files there are. Worded as dash's. Left out: file times and modes.
import type { ProcessContext, Program } from '../workloads/program.ts';
import { absolutePath, isDirectory } from './paths.ts';

class TestError extends Error {}

export const test: Program = async (ctx) => {
  const name = ctx.argv[0]!;
  const args = ctx.argv.slice(1);
  try {
    if (name === '[' && args.pop() !== ']') throw new TestError('missing ]');
    return new Condition(ctx, args).holds() ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TestError)) throw error;
    ctx.stderr.write(`sh: 1: ${name}: ${error.message}\n`);
    return 2;
  }
};

type Binary = (a: string, b: string) => boolean;

const BINARY: Readonly<Record<string, Binary>> = {
  '=': (a, b) => a === b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '-eq': (a, b) => integer(a) === integer(b),
  '-ne': (a, b) => integer(a) !== integer(b),
  '-lt': (a, b) => integer(a) < integer(b),
  '-le': (a, b) => integer(a) <= integer(b),
  '-gt': (a, b) => integer(a) > integer(b),
  '-ge': (a, b) => integer(a) >= integer(b),
};

class Condition {
  readonly #ctx: ProcessContext;
  readonly #args: readonly string[];
  #at = 0;

  constructor(ctx: ProcessContext, args: readonly string[]) {
    this.#ctx = ctx;
    this.#args = args;
  }

  holds(): boolean {
    if (this.#args.length === 0) return false;
    const result = this.#or();
    if (this.#at < this.#args.length) throw new TestError(`${this.#args[this.#at]}: unexpected operator`);
    return result;
  }

  #or(): boolean {
    let result = this.#and();
    while (this.#take('-o')) result = this.#and() || result;
    return result;
  }

  #and(): boolean {
    let result = this.#not();
    while (this.#take('-a')) result = this.#not() && result;
    return result;
  }

  #not(): boolean {
    // `! ` alone is a string like any other.
    if (this.#args.length - this.#at > 1 && this.#take('!')) return !this.#not();
    return this.#primary();
  }

  #primary(): boolean {
    const [first, second, third] = this.#args.slice(this.#at);
    if (first === undefined) throw new TestError('argument expected');
    const binary = second === undefined ? undefined : BINARY[second];
    if (binary) {
      if (third === undefined) throw new TestError(`${second}: argument expected`);
      this.#at += 3;
      return binary(first, third);
    }
    if (first === '(' && second !== undefined) {
      this.#at++;
      const result = this.#or();
      if (!this.#take(')')) throw new TestError('closing paren expected');
      return result;
    }
    if (second !== undefined && /^-[defnrsxzLt]$/.test(first)) {
      this.#at += 2;
      return this.#unary(first, second);
    }
    this.#at++;
    return first !== '';
  }

  #unary(operator: string, operand: string): boolean {
    if (operator === '-n') return operand !== '';
    if (operator === '-z') return operand === '';
    if (operator === '-t') return this.#ctx.tty;
    const { files, cwd } = this.#ctx;
    const path = absolutePath(cwd, operand);
    const text = files.read(path);
    if (operator === '-d') return isDirectory(files, path);
    if (operator === '-f') return text !== undefined;
    if (operator === '-s') return text !== undefined && text !== '';
    if (operator === '-L') return false;
    return text !== undefined || isDirectory(files, path);
  }

  #take(word: string): boolean {
    if (this.#args[this.#at] !== word) return false;
    this.#at++;
    return true;
  }
}

function integer(text: string): bigint {
  if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new TestError(`Illegal number: ${text}`);
  return BigInt(text.trim().replace('+', ''));
}
