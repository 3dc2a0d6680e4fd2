// The package as a stranger gets it: packed, installed alone, its README's example run and type-checked.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  try {
    if (JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')).name === 'podwire') return from;
  } catch {
    // not here
  }
  return findRoot(dirname(from));
}

function run(cwd: string, file: string, ...args: string[]): string {
  const env = { ...process.env, TAP: '' };
  // tap puts a loader into NODE_OPTIONS of every child; what is run here must be as at a user's.
  return execFileSync('env', ['-u', 'NODE_OPTIONS', file, ...args], {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
  });
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

t.test('packed and installed alone, the README’s example prints what it says', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'tcpip-ts-')); // outside the repository: nothing of it can be found by climbing
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  // Packed from a copy of the sources, since packing builds in place.
  const copy = join(home, 'copy');
  for (const part of ['package.json', 'tsconfig.json', join('src', 'lib'), join('src', 'tcpip-ts')]) {
    cpSync(join(root, part), join(copy, part), { recursive: true, filter: (path) => basename(path) !== 'dist' });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  run(join(copy, 'src', 'tcpip-ts'), 'npm', 'pack', '--offline', '--silent', '--pack-destination', home);
  const tarball = readdirSync(home).find((name) => name.endsWith('.tgz'))!;
  const installed = join(home, 'node_modules', '@tcpip-ts', 'stack');
  mkdirSync(installed, { recursive: true });
  run(home, 'tar', '-xzf', tarball, '--strip-components=1', '-C', installed);

  const top = readdirSync(installed).sort();
  t.same(top, ['LICENSE', 'README.md', 'dist', 'package.json']);
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  t.equal(manifest.dependencies, undefined);
  for (const file of filesBelow(join(installed, 'dist')).filter((f) => f.endsWith('.js'))) {
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) .*from '([^']+)'/gm)) {
      t.match(target, /^(node:|\.\.?\/.*\.js$)/, `${file.slice(installed.length)} imports ${target}`);
    }
  }

  const readme = readFileSync(join(installed, 'README.md'), 'utf8');
  const example = readme.match(/```js\n([\s\S]*?)```/)![1]!;
  const promised = readme.match(/^prints `(.*)`/m)![1]!;
  writeFileSync(join(home, 'example.mjs'), example);
  t.equal(run(home, process.execPath, 'example.mjs').trim(), promised);

  writeFileSync(join(home, 'example.mts'), example);
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023'];
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
  t.doesNotThrow(() => run(home, tsc, ...flags, ...types, 'example.mts'), 'its types are found');
});
