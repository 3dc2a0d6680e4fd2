// Sanity, not a benchmark: orders of magnitude that a change should not lose unnoticed. Limits are ten times what an idle
// machine needs.
import t from 'tap';
import type { Pod } from '../../src/api/core-v1.ts';
import { PODS } from '../../src/api/resources.ts';
import { MemoryStore } from '../../src/apiserver/storage/memory.ts';
import { Informer } from '../../src/client/informer.ts';
import { apiWorld, pod } from '../support/api.ts';

const PODS_COUNT = 10_000;

t.test('ten thousand Pods are created, listed and watched quickly', async (t) => {
  const { client, server, clock } = await apiWorld(t);
  const time = async <R>(what: string, limitMs: number, work: () => Promise<R>): Promise<R> => {
    const start = performance.now();
    const result = await work();
    const ms = performance.now() - start;
    t.comment(`${what}: ${ms.toFixed(0)} ms`);
    t.ok(ms < limitMs, `${what} within ${limitMs} ms`);
    return result;
  };
  const informer = new Informer<Pod>({ client, clock, type: PODS });
  t.teardown(() => informer.close());
  informer.addIndex('node', (p) => [p.spec.nodeName ?? '']);
  informer.start();
  await informer.synced;
  await time('create', 20_000, async () => {
    for (let i = 0; i < PODS_COUNT; i++)
      await client.create(PODS, pod(`p${i}`, { nodeName: `n${i % 10}` }, { app: `a${i % 100}` }));
  });
  await clock.run(1);
  t.equal(informer.size, PODS_COUNT);
  t.equal(informer.byIndex('node', 'n3').length, PODS_COUNT / 10);
  const list = await time('list', 500, () => client.list(PODS));
  t.equal(list.items.length, PODS_COUNT);
  const some = await time('list by label', 500, () => client.list(PODS, { labelSelector: 'app=a7' }));
  t.equal(some.items.length, PODS_COUNT / 100);
  const registry = await server.registry(PODS);
  await time('list in chunks of 500', 2000, async () => {
    let page = await registry.list({ limit: 500 });
    let count = page.items.length;
    while (page.metadata.continue) {
      page = await registry.list({ limit: 500, continue: page.metadata.continue });
      count += page.items.length;
    }
    t.equal(count, PODS_COUNT);
  });
  await time('status of each', 20_000, async () => {
    for (let i = 0; i < PODS_COUNT; i++)
      await client.patch(PODS, 'default', `p${i}`, 'merge', { status: { phase: 'Running' } }, 'status');
  });
  await clock.run(1);
  t.ok(informer.list().every((p) => p.status?.phase === 'Running'));
});

t.test('a thousand watchers hear of each change', async (t) => {
  const { client, clock } = await apiWorld(t, { store: new MemoryStore() });
  let events = 0;
  for (let i = 0; i < 1000; i++) {
    const watch = client.watch(
      PODS,
      { resourceVersion: '2', fieldSelector: `spec.nodeName=n${i % 10}` },
      () => events++,
      () => t.fail('ended'),
    );
    t.teardown(() => watch.close());
  }
  await clock.run(1);
  const start = performance.now();
  for (let i = 0; i < 200; i++) await client.create(PODS, pod(`p${i}`, { nodeName: `n${i % 10}` }));
  await clock.run(1);
  t.comment(`200 changes to 1000 watchers: ${(performance.now() - start).toFixed(0)} ms`);
  t.equal(events, 200 * 100);
});
