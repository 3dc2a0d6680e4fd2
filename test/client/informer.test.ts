import t, { type Test } from 'tap';
import type { Pod } from '../../src/api/core-v1.ts';
import type { KubeObject, List, ResourceType } from '../../src/api/meta.ts';
import { PODS } from '../../src/api/resources.ts';
import { StatusError } from '../../src/api/status-error.ts';
import { MemoryStore } from '../../src/apiserver/storage/memory.ts';
import type { ApiClient, ListOptions, Watch, WatchOptions } from '../../src/client/client.ts';
import { Informer, type InformerOptions } from '../../src/client/informer.ts';
import { type ApiWorld, apiWorld, pod } from '../support/api.ts';

function podInformer(t: Test, { client, clock }: ApiWorld, options: Partial<InformerOptions<Pod>> = {}) {
  const informer = new Informer<Pod>({ client, clock, type: PODS, ...options });
  t.teardown(() => informer.close());
  const log: string[] = [];
  informer.addHandler({
    add: (p) => log.push(`+${p.metadata.name}`),
    update: (old, p) =>
      log.push(`~${p.metadata.name} ${old.metadata.labels?.['v'] ?? ''}>${p.metadata.labels?.['v'] ?? ''}`),
    delete: (p) => log.push(`-${p.metadata.name}`),
  });
  return { informer, log };
}

/** An ApiClient that fails or ends as told, over a real one. */
class FlakyClient {
  readonly client: ApiClient;
  lists = 0;
  watches: string[] = [];
  failLists = 0;
  #ends: ((error?: Error) => void)[] = [];

  constructor(inner: ApiClient) {
    this.client = Object.assign(Object.create(inner) as ApiClient, {
      list: <T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<List<T>> => {
        this.lists++;
        if (this.failLists-- > 0) return Promise.reject(new StatusError('ServiceUnavailable', 503, 'away'));
        return inner.list(type, options);
      },
      watch: <T extends KubeObject>(
        type: ResourceType<T>,
        options: WatchOptions,
        onEvent: (event: never) => void,
        onEnd: (error?: Error) => void,
      ): Watch => {
        this.watches.push(options.resourceVersion ?? '');
        const watch = inner.watch(type, options, onEvent as never, onEnd);
        this.#ends.push((error) => {
          watch.close();
          onEnd(error);
        });
        return watch;
      },
    });
  }

  endWatch(error?: Error): void {
    this.#ends.pop()!(error);
  }
}

t.test('the copy follows the API, and handlers hear of every change', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  await client.create(PODS, pod('a', {}, { v: '1' }));
  const { informer, log } = podInformer(t, world);
  t.notOk(informer.hasSynced());
  informer.start();
  informer.start();
  await informer.synced;
  t.ok(informer.hasSynced());
  await client.create(PODS, pod('b'));
  await client.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { v: '2' } } });
  await client.delete(PODS, 'default', 'b');
  await clock.run(1);
  t.same(log, ['+a', '+b', '~a 1>2', '-b']);
  t.equal(informer.get('default/a')?.metadata.labels?.['v'], '2');
  t.equal(informer.get('default/b'), undefined);
  t.same(
    informer.list().map((p) => p.metadata.name),
    ['a'],
  );
});

t.test('a late handler hears of what is there, and may leave', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  await client.create(PODS, pod('a'));
  const { informer } = podInformer(t, world);
  informer.start();
  await informer.synced;
  const late: string[] = [];
  const remove = informer.addHandler({ add: (p) => late.push(p.metadata.name) });
  t.same(late, ['a']);
  await client.create(PODS, pod('b'));
  await clock.run(1);
  remove();
  await client.create(PODS, pod('c'));
  await clock.run(1);
  t.same(late, ['a', 'b']);
});

t.test('indexes are right when handlers run', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  await client.create(PODS, pod('a', { nodeName: 'n1' }));
  const { informer } = podInformer(t, world);
  informer.addIndex('node', (p) => (p.spec.nodeName ? [p.spec.nodeName] : []));
  const names = (node: string) =>
    informer
      .byIndex('node', node)
      .map((p) => p.metadata.name)
      .sort()
      .join(' ');
  const seen: string[] = [];
  informer.addHandler({ add: () => seen.push(names('n1')), delete: () => seen.push(names('n1')) });
  informer.start();
  await informer.synced;
  const b = await client.create(PODS, pod('b'));
  await client.update(PODS, { ...b, spec: { ...b.spec, nodeName: 'n1' } }, 'binding');
  await client.delete(PODS, 'default', 'a', { gracePeriodSeconds: 0 });
  await clock.run(1);
  t.same(seen, ['a', 'a', 'b']);
  informer.addIndex('late', (p) => [p.metadata.name]);
  t.equal(informer.byIndex('late', 'b').length, 1);
  t.throws(() => informer.byIndex('none', 'x'), /no index "none"/);
});

t.test('selectors narrow the copy', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  const { informer, log } = podInformer(t, world, { labelSelector: 'app=web', fieldSelector: 'metadata.name!=x' });
  informer.start();
  await informer.synced;
  for (const name of ['a', 'x']) await client.create(PODS, pod(name, {}, { app: 'web' }));
  await client.create(PODS, pod('b'));
  await client.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { app: 'db' } } });
  await clock.run(1);
  t.same(log, ['+a', '-a']);
});

t.test('410 leads to a new list; what changed meanwhile becomes events', async (t) => {
  const world = await apiWorld(t);
  const { clock } = world;
  const flaky = new FlakyClient(world.client);
  await world.client.create(PODS, pod('a', {}, { v: '1' }));
  await world.client.create(PODS, pod('b'));
  const { informer, log } = podInformer(t, world, { client: flaky.client });
  informer.start();
  await informer.synced;
  await clock.run(1);
  flaky.endWatch(new StatusError('Expired', 410, 'too old'));
  await world.client.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { v: '2' } } });
  await world.client.delete(PODS, 'default', 'b');
  await world.client.create(PODS, pod('c'));
  await clock.run(1);
  t.equal(flaky.lists, 2);
  t.same(log, ['+a', '+b', '~a 1>2', '+c', '-b']);
});

t.test('a watch that merely ends goes on from the last revision, without a list', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  const flaky = new FlakyClient(client);
  const { informer, log } = podInformer(t, world, { client: flaky.client });
  informer.start();
  await informer.synced;
  const a = await client.create(PODS, pod('a'));
  await clock.run(1);
  flaky.endWatch();
  await client.create(PODS, pod('b'));
  await clock.run(1e6);
  t.same(log, ['+a', '+b']);
  t.equal(flaky.lists, 1);
  t.equal(flaky.watches.at(-1), a.metadata.resourceVersion);
});

t.test('failing lists are retried with backoff until one succeeds', async (t) => {
  const world = await apiWorld(t);
  const { clock } = world;
  const flaky = new FlakyClient(world.client);
  flaky.failLists = 3;
  const errors: string[] = [];
  const { informer } = podInformer(t, world, {
    client: flaky.client,
    onError: (e) => errors.push((e as Error).message),
  });
  informer.start();
  await clock.run(5e6);
  t.notOk(informer.hasSynced(), '0.8 + 1.6 + 3.2 s');
  await clock.run(1e6);
  t.ok(informer.hasSynced());
  t.same(errors, ['away', 'away', 'away']);
});

t.test('a closed informer is silent', async (t) => {
  const world = await apiWorld(t);
  const { client, clock } = world;
  const { informer, log } = podInformer(t, world);
  informer.start();
  await informer.synced;
  informer.close();
  informer.close();
  await client.create(PODS, pod('a'));
  await clock.run(1);
  t.same(log, []);
});

t.test('an informer survives a history shorter than the burst it misses', async (t) => {
  const world = await apiWorld(t, { store: new MemoryStore({ history: 30 }) });
  const { client, clock } = world;
  const { informer } = podInformer(t, world);
  informer.start();
  await informer.synced;
  // Without awaiting between the commits the watch cannot keep up.
  await Promise.all(Array.from({ length: 200 }, (_, i) => client.create(PODS, pod(`p${i}`))));
  await clock.run(60e6);
  t.equal(informer.list().length, 200);
});
