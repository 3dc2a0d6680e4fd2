import { MessageChannel } from 'node:worker_threads';
import t, { type Test } from 'tap';
import type { Pod } from '../../src/api/core-v1.ts';
import type { ResourceType } from '../../src/api/meta.ts';
import { PODS } from '../../src/api/resources.ts';
import { StatusError } from '../../src/api/status-error.ts';
import { servePort } from '../../src/apiserver/serve-port.ts';
import { MemoryStore } from '../../src/apiserver/storage/memory.ts';
import type { WatchEvent } from '../../src/client/client.ts';
import { Informer } from '../../src/client/informer.ts';
import { connectPort, type PortClient } from '../../src/client/port-client.ts';
import { type ApiWorld, apiWorld, pod, refused } from '../support/api.ts';

function connect(t: Test, { client }: ApiWorld): PortClient {
  const { port1, port2 } = new MessageChannel();
  const server = servePort(port1, client);
  const remote = connectPort(port2);
  t.teardown(() => {
    remote.close();
    server.close();
  });
  return remote;
}

async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000 && !done(); i++) await new Promise((resolve) => setImmediate(resolve));
  if (!done()) throw new Error('condition not met');
}

t.test('every method works as in the same thread', async (t) => {
  const world = await apiWorld(t);
  const remote = connect(t, world);
  const made = await remote.create(PODS, pod('a'));
  t.same(made, await world.client.get(PODS, 'default', 'a'));
  t.ok(Object.isFrozen(made.spec.containers));
  t.same(await remote.get(PODS, 'default', 'a'), made);
  t.same(await remote.list(PODS, { labelSelector: '' }), await world.client.list(PODS));
  t.same(await remote.list(PODS), await world.client.list(PODS));
  const bound = await remote.update(PODS, { ...made, spec: { ...made.spec, nodeName: 'n1' } }, 'binding');
  t.equal(bound.spec.nodeName, 'n1');
  const patched = await remote.patch(PODS, 'default', 'a', 'merge', { metadata: { labels: { x: null, y: 'z' } } });
  t.same(patched.metadata.labels, { y: 'z' });
  const status = await remote.patch(PODS, 'default', 'a', 'strategic', { status: { phase: 'Running' } }, 'status');
  t.equal(status.status?.phase, 'Running');
  await remote.delete(PODS, 'default', 'a');
  t.ok((await remote.get(PODS, 'default', 'a')).metadata.deletionTimestamp);
  await remote.delete(PODS, 'default', 'a', { gracePeriodSeconds: 0 });
  await refused(t, remote.get(PODS, 'default', 'a'), 404, 'pods "a" not found');
});

t.test('errors cross as StatusError with their details', async (t) => {
  const world = await apiWorld(t);
  const remote = connect(t, world);
  const there = await world.client.create(PODS, pod('A')).catch((e: StatusError) => e);
  const here = await remote.create(PODS, pod('A')).catch((e: StatusError) => e);
  t.ok(here instanceof StatusError);
  t.same((here as StatusError).toStatus(), (there as StatusError).toStatus());
  const bogus = { ...PODS, resource: 'bogus' } as ResourceType<Pod>;
  await refused(t, remote.list(bogus), 404, 'the server could not find the requested resource');
});

t.test('a watch gets every event in order, also when thousands are waiting', async (t) => {
  const world = await apiWorld(t);
  const remote = connect(t, world);
  const events: WatchEvent<Pod>[] = [];
  const watch = remote.watch(
    PODS,
    {},
    (event) => events.push(event),
    () => t.fail('ended'),
  );
  await remote.list(PODS); // the watch has been opened before this was answered
  for (let i = 0; i < 3000; i++) await world.client.create(PODS, pod(`p${i}`));
  await until(() => events.length === 3000);
  const revisions = events.map((e) => Number(e.object.metadata.resourceVersion));
  t.same(
    revisions,
    [...revisions].sort((a, b) => a - b),
  );
  t.ok(Object.isFrozen(events[0]!.object));
  watch.close();
  watch.close();
  await world.client.create(PODS, pod('late'));
  await remote.list(PODS);
  t.equal(events.length, 3000);
});

t.test(
  'a reader that blocks does not make the server store events for it; it is told 410 when it is too late',
  async (t) => {
    const world = await apiWorld(t, { store: new MemoryStore({ history: 500 }) });
    const { port1, port2 } = new MessageChannel();
    const server = servePort(port1, world.client);
    t.teardown(() => server.close());
    // A client that never acknowledges.
    const batches: number[] = [];
    let end: unknown;
    port2.on('message', (message: { kind: string; events?: string; error?: unknown }) => {
      if (message.kind === 'events') batches.push((JSON.parse(message.events!) as unknown[]).length);
      if (message.kind === 'end') end = message.error;
    });
    port2.postMessage({ kind: 'watch', id: 1, type: PODS, options: {} });
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 2000; i++) {
      await world.client.create(PODS, pod(`p${i}`));
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => batches.length >= 4);
    t.equal(batches.length, 4, 'four batches under way and no more');
    port2.postMessage({ kind: 'ack', id: 1 });
    await until(() => end !== undefined);
    t.match(end, { reason: 'Expired', code: 410 });
  },
);

t.test('an informer over a port keeps up with the API', async (t) => {
  const world = await apiWorld(t, { store: new MemoryStore({ history: 200 }) });
  const remote = connect(t, world);
  const informer = new Informer<Pod>({ client: remote, clock: world.clock, type: PODS });
  t.teardown(() => informer.close());
  informer.start();
  await until(() => informer.hasSynced());
  for (let i = 0; i < 1000; i++) {
    await world.client.create(PODS, pod(`p${i}`));
    if (i % 3 === 0) await world.client.delete(PODS, 'default', `p${i}`);
  }
  const expected = (await world.client.list(PODS)).items.length;
  for (let i = 0; i < 200 && informer.list().length !== expected; i++) await world.clock.run(1e6);
  t.equal(informer.list().length, expected);
});

t.test('when the port closes, calls fail with 503 and watches end', async (t) => {
  const world = await apiWorld(t);
  const { port1, port2 } = new MessageChannel();
  const server = servePort(port1, world.client);
  const remote = connectPort(port2);
  const ends: (Error | undefined)[] = [];
  remote.watch(
    PODS,
    {},
    () => {},
    (error) => ends.push(error),
  );
  await remote.list(PODS);
  server.close();
  await until(() => ends.length === 1);
  t.match(ends[0], { code: 503 });
  await refused(t, remote.list(PODS), 503, 'the connection to the API server is closed');
  remote.close();
  remote.close();
});
