// Runs the compiled tests with tap and closes with one plain line, `N passed, N failed`, that any CI can count.
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';

// A test that was renamed would go on running from dist.
const stale = (await import('./stale-dist.mjs')).staleFiles();
for (const file of stale) if (existsSync(file)) rmSync(file);

const tap = spawn('npx', ['tap', 'run', '--reporter=terse', ...process.argv.slice(2)], { stdio: ['ignore', 'pipe', 'inherit'] });
let output = '';
tap.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  output += chunk;
});
tap.on('close', (code) => {
  // The reporter may print its totals again and again while the tests run: the last ones count.
  const total = output.replace(/\x1b\[[0-9;?]*[a-zA-Z]/g, '').match(/Asserts:.*$/gm)?.at(-1) ?? '';
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(total)?.[1] ?? 0);
  process.stdout.write(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped\n`);
  process.exit(code ?? 1);
});
