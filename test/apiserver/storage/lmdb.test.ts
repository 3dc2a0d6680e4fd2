import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import { LmdbStore, StoreError, StoreInUseError } from '../../../src/apiserver/storage/lmdb.ts';
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

const MODULE = new URL('../../../src/apiserver/storage/lmdb.js', import.meta.url).href;

/** Arguments of spawn: Node with a script of its own, without tap's loader. */
function nodeWith(script: string, ...args: readonly string[]): [string, string[]] {
  return ['env', ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', script, ...args]];
}

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
  // Two objects a commit, always with the same value; each acknowledged value is printed.
  const writer = `
    import { LmdbStore } from ${JSON.stringify(MODULE)};
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
    const child = spawn(...nodeWith(writer, dir), { stdio: ['ignore', 'pipe', 'inherit'] });
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

t.test('a disk that is full refuses what does not fit, and nothing more', async (t) => {
  // The limit of a file's size stands for the disk; SIGXFSZ is ignored, so that a write fails instead.
  const writer = `
    import { LmdbStore } from ${JSON.stringify(MODULE)};
    const store = new LmdbStore(process.argv[1]);
    const commit = (name, size) =>
      store.commit([{ key: '/' + name, object: { kind: 'Thing', metadata: { name }, data: 'x'.repeat(size) } }]);
    const said = [];
    for (const [name, size] of [['a', 10], ['big', 3e6], ['big', 3e6], ['b', 10]]) {
      said.push(await commit(name, size).then(({ ok }) => ok, (error) => error.name + ': ' + error.message));
    }
    const { objects } = await store.list('/');
    await store.close();
    console.log(JSON.stringify([...said, ...objects.map(({ metadata }) => metadata.name)]));`;
  const dir = join(t.testdir(), 'store');
  const limited = 'trap \'\' XFSZ; ulimit -f 1024; exec "$@"';
  const [program, args] = nodeWith(writer, dir);
  const child = spawn('bash', ['-c', limited, 'sh', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = await once(child, 'close');
  t.equal(code, 0, errors);
  const refused = new RegExp(`^StoreError: store ${dir}: `);
  t.match(JSON.parse(output || '[]'), [true, refused, refused, true, 'a', 'b']);
  const store = new LmdbStore(dir);
  t.same(
    (await store.list('/')).objects.map(({ metadata }) => metadata.name),
    ['a', 'b'],
  );
  await store.close();
});

t.test('a file that is damaged or none of LMDB is refused, in one sentence', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'data.mdb');
  const store = new LmdbStore(dir);
  for (let i = 0; i < 200; i++) {
    await store.commit([{ key: `/a/${i}`, object: { ...thing(`${i}`), data: 'x'.repeat(i * 20) } as KubeObject }]);
  }
  await store.close();
  const good = readFileSync(file);
  const scribbled = Buffer.from(good);
  for (let at = 2 * 4096; at < scribbled.length; at += 4096) scribbled.fill(0, at, at + 64);
  const cases: { what: string; place: string; message: RegExp }[] = [];
  for (const [what, bytes, message] of [
    ['noise', Buffer.alloc(100_000, 0x5a), /is no LMDB file, or its beginning is damaged$/],
    ['a few bytes', Buffer.from('hello'), /is no LMDB file, or its beginning is damaged$/],
    [
      'a second meta page that is damaged',
      Buffer.concat([good.subarray(0, 4096), Buffer.alloc(4096)]),
      /is no LMDB file/,
    ],
    ['cut off', good.subarray(0, 2 * 4096), /MDB_/],
    ['cut off later', good.subarray(0, Math.floor(good.length / 2)), /MDB_|JSON/],
    ['pages overwritten', scribbled, /MDB_/],
  ] as const) {
    const place = join(dir, what.replaceAll(' ', '-')); // a place of its own: LMDB shares what one process opens twice
    mkdirSync(place);
    writeFileSync(join(place, 'data.mdb'), bytes);
    cases.push({ what, place, message });
  }
  // LMDB itself writes to stderr what it thinks of such pages.
  const opener = `
    import { LmdbStore } from ${JSON.stringify(MODULE)};
    const open = (place) => new LmdbStore(place).close().then(() => 'opened', (error) => error);
    const results = [];
    for (const place of process.argv.slice(1)) {
      const result = await (async () => open(place))().catch((error) => error);
      results.push(result instanceof Error ? [result.constructor.name, result.message] : [result, '']);
    }
    console.log(JSON.stringify(results));`;
  const child = spawn(...nodeWith(opener, ...cases.map(({ place }) => place)), { stdio: ['ignore', 'pipe', 'ignore'] });
  const results = JSON.parse(await text(child.stdout)) as [string, string][];
  for (const [i, { what, place, message }] of cases.entries()) {
    const [name, said] = results[i]!;
    t.equal(name, StoreError.name, what);
    t.match(said, message, what);
    t.ok(said.startsWith(`store ${place}: `), `${what}: says which store`);
  }
  const again = new LmdbStore(dir);
  t.equal((await again.list('/a/')).objects.length, 200, 'the good one is good');
  await again.close();
});

t.test('a place that is none for a store is refused', async (t) => {
  const dir = t.testdir({ file: '' });
  t.throws(() => new LmdbStore(join(dir, 'file')), { message: /^store .*: EEXIST/ });
});
