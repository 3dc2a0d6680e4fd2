import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { claim, RunDirError, release, runDir, runningPid } from '../../src/cluster/run-dir.ts';

/** A Unix socket's path has at most 107 bytes; t.testdir() is often too deep. */
function shortDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('a directory is claimed, held, and given up', async (t) => {
  const dir = runDir({ PODWIRE_RUN_DIR: join(shortDir(t), 'run') });
  claim(dir);
  t.equal(readFileSync(join(dir.path, 'pid'), 'utf8'), String(process.pid));
  t.equal(runningPid(dir), process.pid);
  t.doesNotThrow(() => claim(dir), 'by its own process again');
  release(dir);
  t.notOk(existsSync(dir.path));
  t.equal(runningPid(dir), undefined);
});

t.test('a directory of a living cluster is refused, that of a dead one is taken over', async (t) => {
  const dir = runDir({ PODWIRE_RUN_DIR: join(shortDir(t), 'run') });
  mkdirSync(dir.path, { recursive: true });
  writeFileSync(join(dir.path, 'pid'), String(process.ppid));
  if (/node/.test(readFileSync(`/proc/${process.ppid}/comm`, 'utf8'))) {
    t.throws(
      () => claim(dir),
      new RunDirError(`a cluster is already running (process ${process.ppid}); end it with \`podwire down\``),
    );
  }
  writeFileSync(join(dir.path, 'pid'), '999999999');
  writeFileSync(join(dir.path, 'left'), 'by the dead');
  claim(dir);
  t.notOk(existsSync(join(dir.path, 'left')));
  release(dir);
});

t.test("a directory that holds somebody's files is not taken, nor emptied", async (t) => {
  const dir = runDir({ PODWIRE_RUN_DIR: shortDir(t) });
  writeFileSync(join(dir.path, 'thesis.txt'), 'years of work');
  t.throws(
    () => claim(dir),
    new RunDirError(`PODWIRE_RUN_DIR=${dir.path}: holds files that are no cluster's; name a new or an empty directory`),
  );
  t.equal(readFileSync(join(dir.path, 'thesis.txt'), 'utf8'), 'years of work');
  rmSync(join(dir.path, 'thesis.txt'));
  claim(dir);
  release(dir);
  t.notOk(existsSync(dir.path), 'an empty one is taken');
});

t.test('a directory that cannot be had is named, with the way out', async (t) => {
  t.throws(() => claim(runDir({ PODWIRE_RUN_DIR: '/proc/podwire' })), {
    message: "run directory: ENOENT: no such file or directory, mkdir '/proc/podwire'; PODWIRE_RUN_DIR names another",
  });
});

t.test('another directory marks its namespaces otherwise', async (t) => {
  const a = runDir({ PODWIRE_RUN_DIR: '/somewhere/a' });
  const b = runDir({ PODWIRE_RUN_DIR: '/somewhere/b' });
  t.not(a.netnsPrefix, b.netnsPrefix);
  t.equal(runDir({}).netnsPrefix, 'pw_', 'the usual one is the one to type');
});

t.test('a directory too deep for its socket is refused, not cut', async (t) => {
  const deep = join('/', 'x'.repeat(100));
  t.throws(() => runDir({ PODWIRE_RUN_DIR: deep }), {
    message: /too long; a Unix socket's path has at most 107 bytes/,
  });
});
