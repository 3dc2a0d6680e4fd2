// Command lines as getopt_long reads them: single letters may be joined, a value follows its letter or stands next to it.

export interface ParsedArguments {
  /** Values in order of each option; a flag has '' for each time it was given. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
  /** The first option that is not known, or lacks its value, as it was written. */
  readonly problem?: { readonly kind: 'unknown' | 'valueless'; readonly option: string };
}

/**
 * `spec` maps each option's name (a letter, or a word for --word) to whether it takes a value; aliases map a word to a letter.
 */
export function parseArguments(
  args: readonly string[],
  spec: Readonly<Record<string, boolean>>,
  aliases: Readonly<Record<string, string>> = {},
  stopAtOperand = false,
): ParsedArguments {
  const options = new Map<string, string[]>();
  const operands: string[] = [];
  const add = (name: string, value: string): void => void options.set(name, [...(options.get(name) ?? []), value]);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--') {
      operands.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      operands.push(arg);
      if (!stopAtOperand) continue;
      operands.push(...args.slice(i + 1));
      break;
    }
    if (arg.startsWith('--')) {
      const [word = '', inline] = arg.slice(2).split(/=(.*)/s, 2);
      const name = aliases[word] ?? word;
      if (!(name in spec)) return { options, operands, problem: { kind: 'unknown', option: arg } };
      const value = spec[name] ? (inline ?? args[++i]) : '';
      if (value === undefined) return { options, operands, problem: { kind: 'valueless', option: arg } };
      add(name, value);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const name = arg[at]!;
      if (!(name in spec)) return { options, operands, problem: { kind: 'unknown', option: `-${name}` } };
      if (!spec[name]) {
        add(name, '');
        continue;
      }
      const value = at + 1 < arg.length ? arg.slice(at + 1) : args[++i];
      if (value === undefined) return { options, operands, problem: { kind: 'valueless', option: `-${name}` } };
      add(name, value);
      break;
    }
  }
  return { options, operands };
}
