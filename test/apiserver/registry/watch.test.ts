import t, { type Test } from 'tap';
import type { Pod } from '../../../src/api/core-v1.ts';
import { CONFIGMAPS, NAMESPACES, PODS, SERVICEACCOUNTS } from '../../../src/api/resources.ts';
import { MemoryStore } from '../../../src/apiserver/storage/memory.ts';
import type { WatchEvent, WatchOptions } from '../../../src/client/client.ts';
import { type ApiWorld, apiWorld, namespace, pod, serviceAccount } from '../../support/api.ts';

interface Seen {
  readonly events: WatchEvent<Pod>[];
  readonly lines: () => string[];
  ended?: Error | undefined;
  close(): void;
}

function watchPods({ client }: ApiWorld, t: Test, options: WatchOptions): Seen {
  const events: WatchEvent<Pod>[] = [];
  const watch = client.watch(
    PODS,
    options,
    (event) => events.push(event),
    (error) => {
      seen.ended = error;
    },
  );
  t.teardown(() => watch.close());
  const seen: Seen = {
    events,
    lines: () => events.map((e) => `${e.type} ${e.object.metadata.name}`),
    close: () => watch.close(),
  };
  return seen;
}

t.test('a watch without a revision begins with what there is', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  await client.create(PODS, pod('a'));
  const seen = watchPods(world, t, {});
  await client.create(PODS, pod('b'));
  await client.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { x: 'y' } } });
  const before = await client.get(PODS, 'default', 'b');
  await client.delete(PODS, 'default', 'b');
  await clock.run(1);
  t.same(seen.lines(), ['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED b']);
  const deleted = seen.events[3]!.object.metadata.resourceVersion!;
  t.ok(Number(deleted) > Number(before.metadata.resourceVersion), 'a deletion has a revision of its own');
  seen.close();
  await client.create(PODS, pod('c'));
  await clock.run(1);
  t.equal(seen.events.length, 4);
});

t.test('a watch from a list’s revision sees what came after it, of its namespace', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  await client.create(NAMESPACES, namespace('other'));
  await client.create(SERVICEACCOUNTS, serviceAccount('default', 'other'));
  await client.create(PODS, pod('a'));
  const { metadata } = await client.list(PODS);
  await client.create(PODS, pod('b'));
  await client.create(PODS, { ...pod('c'), metadata: { name: 'c', namespace: 'other' } });
  const all = watchPods(world, t, { resourceVersion: metadata.resourceVersion });
  const some = watchPods(world, t, { resourceVersion: metadata.resourceVersion, namespace: 'default' });
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', namespace: 'default' },
  });
  await clock.run(1);
  t.same(all.lines(), ['ADDED b', 'ADDED c']);
  t.same(some.lines(), ['ADDED b']);
});

t.test('objects that begin or cease to match are added and deleted', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  const seen = watchPods(world, t, { labelSelector: 'app=web', fieldSelector: 'spec.nodeName=n1' });
  const made = await client.create(PODS, pod('a', {}, { app: 'web' }));
  await client.update(PODS, { ...made, spec: { ...made.spec, nodeName: 'n1' } }, 'binding');
  await client.patch(PODS, 'default', 'a', 'merge', { metadata: { annotations: { n: '1' } } });
  const out = await client.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { app: 'db' } } });
  await client.patch(PODS, 'default', 'a', 'merge', { metadata: { annotations: { n: '2' } } });
  await client.delete(PODS, 'default', 'a', { gracePeriodSeconds: 0 });
  await clock.run(1);
  t.same(seen.lines(), ['ADDED a', 'MODIFIED a', 'DELETED a']);
  const last = seen.events[2]!.object.metadata;
  t.same(
    [last.labels, last.resourceVersion],
    [{ app: 'web' }, out.metadata.resourceVersion],
    'as it last matched, with the new revision',
  );
});

t.test('a revision that is gone ends the watch with 410 Expired', async (t) => {
  const world = await apiWorld(t, { store: new MemoryStore({ history: 20 }) });
  const { client, clock } = world;
  const { metadata } = await client.list(PODS);
  for (let i = 0; i < 40; i++) await client.create(PODS, pod(`p${i}`));
  const seen = watchPods(world, t, { resourceVersion: metadata.resourceVersion });
  await clock.run(1);
  t.match(seen.ended, { reason: 'Expired', code: 410, message: /^too old resource version: 3 \(\d+\)$/ });
  t.same(seen.events, []);
});

t.test('bookmarks tell how far a quiet watch has come', async (t) => {
  const world = await apiWorld(t);
  const { client, clock, server } = world;
  const marked = watchPods(world, t, { allowWatchBookmarks: true });
  const plain = watchPods(world, t, {});
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', namespace: 'default' },
  });
  await clock.run(61e6);
  const resourceVersion = String(await server.store.revision());
  t.same(marked.events, [
    { type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'Pod', metadata: { resourceVersion } } },
  ]);
  t.same(plain.events, []);
});

t.test('a streaming list: the objects, a bookmark at their end, then changes', async (t) => {
  const { client, server } = await apiWorld(t);
  await client.create(PODS, pod('a'));
  const registry = await server.registry(PODS);
  const watch = await registry.watch(
    { sendInitialEvents: true, allowWatchBookmarks: true, resourceVersion: '1' },
    () => {},
  );
  t.teardown(() => watch.close());
  await client.create(PODS, pod('b'));
  const lines: string[] = [];
  for (let events = watch.read(10); events.length > 0; events = watch.read(10)) {
    for (const { type, object } of events)
      lines.push(`${type} ${object.metadata.name ?? JSON.stringify(object.metadata.annotations)}`);
  }
  t.same(lines, ['ADDED a', 'BOOKMARK {"k8s.io/initial-events-end":"true"}', 'ADDED b']);
});
