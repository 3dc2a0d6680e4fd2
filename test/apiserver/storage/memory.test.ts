import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import { MemoryStore } from '../../../src/apiserver/storage/memory.ts';
import { CompactedError } from '../../../src/apiserver/storage/store.ts';
import { storeConformance } from './conformance.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

storeConformance({ name: 'memory', open: async () => new MemoryStore(), settle });
// With the smallest history that the cases allow, so that trimming is always near.
storeConformance({ name: 'memory, short history', open: async () => new MemoryStore({ history: 600 }), settle });

t.test('history is bounded: a reader that falls behind is told so, one that keeps up is not', async (t) => {
  const store = new MemoryStore({ history: 100 });
  const object = (i: number): KubeObject => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: String(i) } });
  const slow = await store.watch('/a/', 1, () => {});
  const quick = await store.watch('/a/', 1, () => {});
  let read = 0;
  for (let i = 0; i < 1000; i++) {
    await store.commit([{ key: `/a/${i % 10}`, object: object(i) }]);
    read += quick.read(10).length;
  }
  t.equal(read, 1000);
  t.throws(() => slow.read(1), CompactedError);
});

t.test('history is bounded by weight as well', async (t) => {
  const store = new MemoryStore({ historyBytes: 1_000_000 });
  const object = (i: number): KubeObject =>
    ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' }, data: `${i}${'x'.repeat(100_000)}` }) as KubeObject;
  const slow = await store.watch('/a/', 1, () => {});
  const quick = await store.watch('/a/', 1, () => {});
  let read = 0;
  for (let i = 0; i < 30; i++) {
    await store.commit([{ key: '/a/a', object: object(i) }]);
    read += quick.read(10).length;
  }
  t.equal(read, 30);
  t.ok(slow.lost);
  t.notOk(quick.lost);
  t.throws(() => slow.read(1), CompactedError);
  const late = await store.watch('/a/', (await store.revision()) - 5, () => {});
  t.equal(late.read(10).length, 5);
});
