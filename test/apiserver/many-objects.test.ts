// Many objects and many watchers: nothing is lost among them. How fast it goes is bench/scale's to say.
import t from 'tap';
import type { Pod } from '../../src/api/core-v1.ts';
import { PODS } from '../../src/api/resources.ts';
import { MemoryStore } from '../../src/apiserver/storage/memory.ts';
import { Informer } from '../../src/client/informer.ts';
import { apiWorld, pod } from '../support/api.ts';

const PODS_COUNT = 10_000;

t.test('ten thousand Pods are created, listed and watched', async (t) => {
  const { client, server, clock } = await apiWorld(t);
  const informer = new Informer<Pod>({ client, clock, type: PODS });
  t.teardown(() => informer.close());
  informer.addIndex('node', (p) => [p.spec.nodeName ?? '']);
  informer.start();
  await informer.synced;
  for (let i = 0; i < PODS_COUNT; i++)
    await client.create(PODS, pod(`p${i}`, { nodeName: `n${i % 10}` }, { app: `a${i % 100}` }));
  await clock.run(1);
  t.equal(informer.size, PODS_COUNT);
  t.equal(informer.byIndex('node', 'n3').length, PODS_COUNT / 10);
  const list = await client.list(PODS);
  t.equal(list.items.length, PODS_COUNT);
  const some = await client.list(PODS, { labelSelector: 'app=a7' });
  t.equal(some.items.length, PODS_COUNT / 100);
  const registry = await server.registry(PODS);
  let page = await registry.list({ limit: 500 });
  const pages = [page];
  while (page.metadata.continue) {
    page = await registry.list({ limit: 500, continue: page.metadata.continue });
    pages.push(page);
  }
  t.equal(pages.length, PODS_COUNT / 500);
  t.equal(new Set(pages.flatMap(({ items }) => items.map((p) => p.metadata.name))).size, PODS_COUNT);
  for (let i = 0; i < PODS_COUNT; i++)
    await client.patch(PODS, 'default', `p${i}`, 'merge', { status: { phase: 'Running' } }, 'status');
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
  for (let i = 0; i < 200; i++) await client.create(PODS, pod(`p${i}`, { nodeName: `n${i % 10}` }));
  await clock.run(1);
  t.equal(events, 200 * 100);
});
