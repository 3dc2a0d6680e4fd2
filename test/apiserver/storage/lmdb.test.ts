import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import { LmdbStore, StoreInUseError } from '../../../src/apiserver/storage/lmdb.ts';
import { storeConformance } from './conformance.ts';

storeConformance({
  name: 'lmdb',
  open: async (t) => {
    const store = new LmdbStore(t.testdir());
    t.teardown(() => store.close());
    return store;
  },
  settle: () => new Promise((resolve) => setImmediate(resolve)),
});

const thing = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name } });

t.test('what was acknowledged is there again, at the same revision', async (t) => {
  const dir = t.testdir();
  const first = new LmdbStore(dir);
  await first.commit([{ key: '/a/1', object: thing('1') }]);
  await first.commit([
    { key: '/a/2', object: thing('2') },
    { key: '/a/3', object: thing('3') },
  ]);
  await first.commit([{ key: '/a/1' }]);
  const before = await first.list('/');
  await first.close();
  const second = new LmdbStore(dir);
  t.teardown(() => second.close());
  const after = await second.list('/');
  t.same(after, before);
  await t.rejects(
    second.watch('/', before.revision - 1, () => {}),
    { name: 'CompactedError' },
    'history is not kept',
  );
  const more = await second.commit([{ key: '/a/4', object: thing('4'), expect: 0 }]);
  t.same([more.ok, more.ok && more.revision], [true, before.revision + 1]);
});

t.test('commits that come together decide as if they came one after the other', async (t) => {
  const store = new LmdbStore(t.testdir());
  t.teardown(() => store.close());
  const results = await Promise.all([
    store.commit([{ key: '/k', object: thing('first'), expect: 0 }]),
    store.commit([{ key: '/k', object: thing('second'), expect: 0 }]),
    store.commit([{ key: '/k' }]),
    store.commit([{ key: '/k', object: thing('third'), expect: 0 }]),
    store.commit([{ key: '/none' }]),
  ]);
  t.same(
    results.map((r) => r.ok),
    [true, false, true, true, false],
  );
  t.equal((await store.get('/k'))?.metadata.name, 'third');
});

t.test('a store in use is refused, that of a dead process is taken over', async (t) => {
  const dir = t.testdir({ owner: String(process.ppid) });
  t.throws(() => new LmdbStore(dir), new StoreInUseError(`store ${dir}: in use by process ${process.ppid}`));
  const dead = t.testdir({ owner: '999999999' });
  await new LmdbStore(dead).close();
});

t.test('kill -9 during writes loses nothing that was acknowledged, and leaves no half commit', async (t) => {
  const module = new URL('../../../src/apiserver/storage/lmdb.js', import.meta.url).href;
  // Two objects a commit, always with the same value; each acknowledged value is printed.
  const writer = `
    import { LmdbStore } from ${JSON.stringify(module)};
    const store = new LmdbStore(process.argv[1]);
    const start = Number((await store.get('/a'))?.value ?? 0);
    const object = (name, value) => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name }, value });
    for (let value = start + 1; ; value++) {
      await store.commit([{ key: '/a', object: object('a', value) }, { key: '/b', object: object('b', value) }]);
      process.stdout.write(value + '\\n');
    }`;
  const dir = join(t.testdir(), 'store');
  let acknowledged = 0;
  for (let round = 0; round < 20; round++) {
    const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', writer, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    const enough = 3 + round * 2;
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.split('\n').length > enough) resolve();
      });
    });
    child.kill('SIGKILL');
    await once(child, 'close');
    acknowledged = Number(output.trimEnd().split('\n').at(-1));
    const store = new LmdbStore(dir);
    const [a, b] = [await store.get('/a'), await store.get('/b')] as unknown as { value: number }[];
    await store.close();
    if (a!.value < acknowledged || a!.value !== b!.value) {
      t.fail(`round ${round}: acknowledged ${acknowledged}, found ${a!.value} and ${b!.value}`);
    }
  }
  t.ok(acknowledged > 60, `${acknowledged} commits acknowledged over 20 kills`);
});
