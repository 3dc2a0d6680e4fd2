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
