// podwire bench: runs the programs of bench/ one after the other.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CliError } from '../cli-error.ts';

const NAMES = ['wire', 'kernel', 'proxies', 'stack', 'dns', 'ready', 'pods', 'scale'] as const;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];
/** Those that can write more than a table. */
const WRITE_FILES: readonly string[] = ['proxies'];

export async function bench(names: readonly string[], options: { output: string; out?: string }): Promise<void> {
  const unknown = names.find((n) => !(NAMES as readonly string[]).includes(n));
  if (unknown)
    throw new CliError(`bench ${unknown}: there is no such bench; expected ${NAMES.join(', ')}`, { exitCode: 2 });
  if (options.out !== undefined && names.length > 0 && !names.some((n) => WRITE_FILES.includes(n)))
    throw new CliError(`bench ${names.join(' ')}: --out is for ${WRITE_FILES.join(', ')} alone`, { exitCode: 2 });
  for (const name of names.length > 0 ? names : NAMES) {
    const file = fileURLToPath(new URL(`../../../bench/${name}.js`, import.meta.url));
    if (!existsSync(file)) throw new CliError('the benches are not built; run `npm run build`');
    const args = options.output === 'json' ? ['-o', 'json'] : [];
    if (options.out !== undefined && WRITE_FILES.includes(name)) args.push('--out', options.out);
    const code = await run([file, ...args]);
    if (code !== 0) throw new CliError(`bench ${name} failed`, { exitCode: code });
  }
}

/** Its exit code. Whoever ends this process ends the bench, which may have a cluster to take down. */
async function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, pass);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  for (const name of SIGNALS) process.off(name, pass);
  return code ?? 128 + constants.signals[signal!];
}
