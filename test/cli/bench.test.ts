// podwire bench: names, and an end that leaves nothing when it comes early.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { eventually, Podwire } from '../support/podwire.ts';

const COMMAND = join(import.meta.dirname, '../../src/cli/podwire.js');

t.test('a bench that is not there is refused with those that are', async (t) => {
  const { code, stderr } = await new Podwire(t).run('bench', 'fast');
  t.equal(code, 2);
  t.match(stderr, /^podwire: bench fast: there is no such bench; expected wire, kernel, /);
});

t.test('who ends the command ends the bench, and its cluster with it', async (t) => {
  const TMPDIR = mkdtempSync(join(tmpdir(), 'pw-')); // short: a socket is below it
  t.teardown(() => rmSync(TMPDIR, { recursive: true, force: true }));
  const { NODE_OPTIONS: _, ...env } = process.env; // tap puts a loader there
  const bench = spawn(process.execPath, [COMMAND, 'bench', 'pods'], { env: { ...env, TMPDIR }, stdio: 'ignore' });
  const made = (): string | undefined => readdirSync(TMPDIR).find((name) => name.startsWith('podwire-bench-'));
  await eventually('a cluster', () => existsSync(join(TMPDIR, made() ?? '', 'run/control.sock')));
  bench.kill('SIGTERM');
  t.same(await once(bench, 'exit'), [143, null]);
  t.equal(made(), undefined);
});
