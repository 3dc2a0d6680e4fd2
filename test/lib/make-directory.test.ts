import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeDirectory } from '../../src/lib/make-directory.ts';

t.test('a directory is made with what is missing above it, once', async (t) => {
  const path = join(t.testdir(), 'a/b/c');
  makeDirectory(path, 0o700);
  makeDirectory(path, 0o700);
  t.equal(statSync(path).mode & 0o7777, 0o700);
});

t.test('where none can be made the error comes at once and names the topmost', async (t) => {
  t.throws(() => makeDirectory('/proc/podwire/pki', 0o700), { code: 'ENOENT', path: '/proc/podwire' });
  const file = join(t.testdir(), 'file');
  writeFileSync(file, '');
  t.throws(() => makeDirectory(file, 0o700), { code: 'EEXIST', path: file });
  t.throws(() => makeDirectory(join(file, 'below'), 0o700), { code: 'ENOTDIR' });
});
