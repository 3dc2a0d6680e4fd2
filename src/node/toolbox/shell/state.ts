// What a shell remembers between commands. A subshell works on a copy.
import type { ProcessContext } from '../../workloads/program.ts';

export class ShellState {
  readonly variables: Map<string, string>;
  readonly exported: Set<string>;
  positional: readonly string[];
  cwd: string;
  /** Exit code of the last command. */
  status = 0;
  /** Of the last command put in the background: what `$!` is. */
  lastBackground: number | undefined;
  errexit = false;
  nounset = false;
  xtrace = false;

  constructor(ctx: Pick<ProcessContext, 'env' | 'cwd'>, positional: readonly string[]) {
    this.variables = new Map(Object.entries(ctx.env));
    this.exported = new Set(this.variables.keys());
    this.positional = positional;
    this.cwd = ctx.cwd;
  }

  copy(): ShellState {
    const copy = new ShellState({ env: {}, cwd: this.cwd }, this.positional);
    for (const [name, value] of this.variables) copy.variables.set(name, value);
    for (const name of this.exported) copy.exported.add(name);
    const { status, lastBackground, errexit, nounset, xtrace } = this;
    return Object.assign(copy, { status, lastBackground, errexit, nounset, xtrace });
  }

  /** Sets `-e`, `-u`, `-x`, or with `+` resets them; false for a letter that is not known. */
  setOptions(flags: string): boolean {
    const on = flags.startsWith('-');
    for (const letter of flags.slice(1)) {
      if (letter === 'e') this.errexit = on;
      else if (letter === 'u') this.nounset = on;
      else if (letter === 'x') this.xtrace = on;
      else return false;
    }
    return true;
  }

  environment(): Record<string, string> {
    const entries = [...this.exported].map((name) => [name, this.variables.get(name)] as const);
    return Object.fromEntries(entries.filter((e): e is [string, string] => e[1] !== undefined));
  }
}
