import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { claim, RunDirError, release, runDir, runningPid } from '../../src/cluster/run-dir.ts';

t.test('a directory is claimed, held, and given up', async (t) => {
  const dir = runDir({ PODWIRE_RUN_DIR: join(t.testdir(), 'run') });
  claim(dir);
  t.equal(readFileSync(join(dir.path, 'pid'), 'utf8'), String(process.pid));
  t.equal(runningPid(dir), process.pid);
  t.doesNotThrow(() => claim(dir), 'by its own process again');
  release(dir);
  t.notOk(existsSync(dir.path));
  t.equal(runningPid(dir), undefined);
});

t.test('a directory of a living cluster is refused, that of a dead one is taken over', async (t) => {
  const dir = runDir({ PODWIRE_RUN_DIR: join(t.testdir(), 'run') });
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

t.test('another directory marks its namespaces otherwise', async (t) => {
  const a = runDir({ PODWIRE_RUN_DIR: '/somewhere/a' });
  const b = runDir({ PODWIRE_RUN_DIR: '/somewhere/b' });
  t.not(a.netnsPrefix, b.netnsPrefix);
  t.equal(runDir({}).netnsPrefix, 'pw_', 'the usual one is the one to type');
});
