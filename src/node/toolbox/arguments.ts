// Command lines as getopt_long reads them: single letters may be joined, a value follows its letter or stands next to it.
// Positions count from 1, the program's name being 0.

export interface ParsedArguments {
  /** Values in order of each option; a flag has '' for each time it was given. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** Where the last value of an option stands. */
  readonly positions: ReadonlyMap<string, number>;
  readonly operands: readonly string[];
  readonly operandPositions: readonly number[];
  /** The first option that is not known, or lacks its value. */
  readonly problem?: OptionProblem;
}

export interface OptionProblem {
  readonly kind: 'unknown' | 'valueless';
  /** The whole argument, as written. */
  readonly written: string;
  /** `-x` or `--word`. */
  readonly option: string;
  /** The letter, or the word without dashes. */
  readonly letter: string;
  readonly position: number;
}

/**
 * `spec` maps each option's name (a letter, or a word for --word) to whether it takes a value; aliases map a word to a letter.
 */
export function parseArguments(
  args: readonly string[],
  spec: Readonly<Record<string, boolean>>,
  aliases: Readonly<Record<string, string>> = {},
): ParsedArguments {
  const options = new Map<string, string[]>();
  const positions = new Map<string, number>();
  const operands: string[] = [];
  const operandPositions: number[] = [];
  let problem: OptionProblem | undefined;
  const known = (name: string): boolean => Object.hasOwn(spec, name);
  const add = (name: string, value: string, position: number): void => {
    options.set(name, [...(options.get(name) ?? []), value]);
    positions.set(name, position);
  };
  const complain = (kind: OptionProblem['kind'], option: string, i: number): void => {
    problem = { kind, option, written: args[i]!, letter: option.replace(/^--?/, ''), position: i + 1 };
  };
  for (let i = 0; i < args.length && !problem; i++) {
    const arg = args[i]!;
    if (arg === '--') {
      for (i++; i < args.length; i++) {
        operands.push(args[i]!);
        operandPositions.push(i + 1);
      }
    } else if (!arg.startsWith('-') || arg === '-') {
      operands.push(arg);
      operandPositions.push(i + 1);
    } else if (arg.startsWith('--')) {
      const [word = '', inline] = arg.slice(2).split(/=(.*)/s, 2);
      const name = Object.hasOwn(aliases, word) ? aliases[word]! : word;
      const at = i;
      if (!known(name) || word.length < 2) complain('unknown', `--${word}`, at);
      else {
        const value = spec[name] ? (inline ?? args[++i]) : '';
        if (value === undefined) complain('valueless', `--${word}`, at);
        else add(name, value, i + 1);
      }
    } else i = letters(i);
  }
  return { options, positions, operands, operandPositions, ...(problem ? { problem } : {}) };

  /** Reads the joined letters of argument `i`; returns the index of the last argument used. */
  function letters(i: number): number {
    const arg = args[i]!;
    for (let at = 1; at < arg.length; at++) {
      const name = arg[at]!;
      if (!known(name)) {
        complain('unknown', `-${name}`, i);
        return i;
      }
      if (!spec[name]) {
        add(name, '', i + 1);
        continue;
      }
      const joined = at + 1 < arg.length;
      const value = joined ? arg.slice(at + 1) : args[i + 1];
      if (value === undefined) complain('valueless', `-${name}`, i);
      else add(name, value, joined ? i + 1 : i + 2);
      return joined || value === undefined ? i : i + 1;
    }
    return i;
  }
}
