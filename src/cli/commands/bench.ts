// podwire bench: runs the programs of bench/ one after the other.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CliError } from '../cli-error.ts';

const NAMES = ['wire', 'kernel', 'proxies', 'stack', 'dns', 'ready', 'pods', 'scale'] as const;
/** Those that can write more than a table. */
const WRITE_FILES: readonly string[] = ['proxies'];

export function bench(names: readonly string[], options: { output: string; out?: string }): void {
  const unknown = names.find((n) => !(NAMES as readonly string[]).includes(n));
  if (unknown)
    throw new CliError(`bench ${unknown}: there is no such bench; expected ${NAMES.join(', ')}`, { exitCode: 2 });
  for (const name of names.length > 0 ? names : NAMES) {
    const file = fileURLToPath(new URL(`../../../bench/${name}.js`, import.meta.url));
    if (!existsSync(file)) throw new CliError('the benches are not built; run `npm run build`');
    const args = options.output === 'json' ? ['-o', 'json'] : [];
    if (options.out !== undefined && WRITE_FILES.includes(name)) args.push('--out', options.out);
    const { status } = spawnSync(process.execPath, [file, ...args], { stdio: 'inherit' });
    if (status !== 0) throw new CliError(`bench ${name} failed`, { exitCode: status ?? 1 });
  }
}
