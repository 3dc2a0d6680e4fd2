// What every Store must do, whatever it stands on. Each kind's test calls `storeConformance` with a factory; `settle` lets
// wake-ups happen.
import type { Test } from 'tap';
import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import {
  CompactedError,
  FutureRevisionError,
  revisionOf,
  type Store,
  type StoreEvent,
  type StoreWatch,
} from '../../../src/apiserver/storage/store.ts';

export interface StoreFactory {
  readonly name: string;
  open(t: Test): Promise<Store>;
  settle(): Promise<void>;
}

function thing(name: string, value: number = 0): KubeObject {
  return { apiVersion: 'v1', kind: 'Thing', metadata: { name }, value } as KubeObject;
}

async function put(store: Store, key: string, value: number = 0): Promise<number> {
  const result = await store.commit([{ key, object: thing(key, value) }]);
  if (!result.ok) throw new Error('put refused');
  return result.revision;
}

function valueIn(object: KubeObject | undefined): unknown {
  return (object as { value?: unknown } | undefined)?.value;
}

function readAll(watch: StoreWatch): StoreEvent[] {
  const out: StoreEvent[] = [];
  for (let events = watch.read(3); events.length > 0; events = watch.read(3)) out.push(...events);
  return out;
}

const brief = (events: readonly StoreEvent[]) => events.map((e) => `${e.type} ${e.key} ${e.revision}`);

export function storeConformance({ name, open, settle }: StoreFactory): void {
  t.test(`${name}: every commit makes one new revision, and objects carry it`, async (t) => {
    const store = await open(t);
    const start = await store.revision();
    t.equal(await put(store, '/a/1'), start + 1);
    const result = await store.commit([
      { key: '/a/2', object: thing('2') },
      { key: '/a/3', object: thing('3') },
    ]);
    t.ok(result.ok);
    t.equal(await store.revision(), start + 2);
    for (const key of ['/a/2', '/a/3']) t.equal(revisionOf((await store.get(key))!), start + 2);
    t.equal((await store.get('/a/1'))?.metadata.resourceVersion, String(start + 1));
  });

  t.test(`${name}: objects are frozen throughout, on the way in and out`, async (t) => {
    const store = await open(t);
    const object = { ...thing('x'), spec: { list: [{ a: 1 }] } };
    await store.commit([{ key: '/a/x', object }]);
    const stored = (await store.get('/a/x')) as unknown as { spec: { list: { a: number }[] } };
    t.throws(() => {
      stored.spec.list[0]!.a = 2;
    }, TypeError);
    t.same(stored.spec, { list: [{ a: 1 }] });
  });

  t.test(`${name}: conditional writes succeed only on the expected revision`, async (t) => {
    const store = await open(t);
    const first = await store.commit([{ key: '/a/1', object: thing('1', 1), expect: 0 }]);
    t.ok(first.ok);
    const again = await store.commit([{ key: '/a/1', object: thing('1', 2), expect: 0 }]);
    t.notOk(again.ok);
    if (!again.ok) t.equal(valueIn(again.current), 1);
    const revision = await store.revision();
    t.notOk((await store.commit([{ key: '/a/1', object: thing('1', 2), expect: revision - 1 }])).ok);
    t.ok((await store.commit([{ key: '/a/1', object: thing('1', 2), expect: revision }])).ok);
    t.notOk((await store.commit([{ key: '/a/1', expect: revision }])).ok, 'a delete is conditional too');
    t.ok((await store.commit([{ key: '/a/1', expect: revision + 1 }])).ok);
    t.notOk((await store.commit([{ key: '/a/1' }])).ok, 'nothing to delete');
  });

  t.test(`${name}: a commit is all or nothing`, async (t) => {
    const store = await open(t);
    await put(store, '/a/1', 1);
    const revision = await store.revision();
    const result = await store.commit([
      { key: '/a/2', object: thing('2') },
      { key: '/a/1', object: thing('1', 9), expect: 0 },
    ]);
    t.notOk(result.ok);
    t.equal(await store.get('/a/2'), undefined);
    t.equal(valueIn(await store.get('/a/1')), 1);
    t.equal(await store.revision(), revision);
  });

  t.test(`${name}: of many writers at once exactly one wins each revision`, async (t) => {
    const store = await open(t);
    await put(store, '/a/n', 0);
    const increment = async (): Promise<void> => {
      for (;;) {
        const current = (await store.get('/a/n'))!;
        const object = thing('n', (valueIn(current) as number) + 1);
        if ((await store.commit([{ key: '/a/n', object, expect: revisionOf(current) }])).ok) return;
      }
    };
    await Promise.all(Array.from({ length: 50 }, increment));
    t.equal(valueIn(await store.get('/a/n')), 50);
  });

  t.test(`${name}: a list is a range of keys in order, in pages of one revision`, async (t) => {
    const store = await open(t);
    for (const key of ['/b/1', '/a/3', '/a/1', '/ab/1', '/a/2']) await put(store, key);
    const whole = await store.list('/a/');
    t.same(whole.keys, ['/a/1', '/a/2', '/a/3']);
    t.equal(whole.revision, await store.revision());
    const page = await store.list('/a/', { limit: 2 });
    t.same([page.keys, page.remaining], [['/a/1', '/a/2'], 1]);
    await put(store, '/a/25');
    await store.commit([{ key: '/a/3' }]);
    await put(store, '/a/1', 5);
    const rest = await store.list('/a/', { after: '/a/2', revision: page.revision });
    t.same([rest.keys, rest.remaining, rest.revision], [['/a/3'], 0, page.revision]);
    const past = await store.list('/a/', { revision: page.revision });
    t.same(past.keys, ['/a/1', '/a/2', '/a/3']);
    t.equal(valueIn(past.objects[0]), 0, 'as it was then');
    t.same((await store.list('/a/')).keys, ['/a/1', '/a/2', '/a/25']);
    t.same((await store.list('/zzz/')).keys, []);
  });

  t.test(`${name}: a watch reads every event of its prefix after its revision, in order`, async (t) => {
    const store = await open(t);
    await put(store, '/a/1', 1);
    const from = await store.revision();
    await put(store, '/a/1', 2);
    await put(store, '/b/1');
    let wakes = 0;
    const watch = await store.watch('/a/', from, () => wakes++);
    await put(store, '/a/2');
    await settle();
    t.equal(wakes, 1, 'woken once for all of it');
    await store.commit([{ key: '/a/1' }]);
    await settle();
    t.equal(wakes, 1, 'and not again before it has read to the end');
    const events = readAll(watch);
    t.same(brief(events), [`put /a/1 ${from + 1}`, `put /a/2 ${from + 3}`, `delete /a/1 ${from + 4}`]);
    t.same(
      events.map((e) => [valueIn(e.previous), valueIn(e.object), revisionOf(e.object)]),
      [
        [1, 2, from + 1],
        [undefined, 0, from + 3],
        [2, 2, from + 4],
      ],
    );
    t.equal(watch.revision, from + 4);
    await put(store, '/a/3');
    await settle();
    t.equal(wakes, 2);
    t.same(brief(readAll(watch)), [`put /a/3 ${from + 5}`]);
    watch.close();
    watch.close();
    await put(store, '/a/4');
    await settle();
    t.equal(wakes, 2, 'a closed watch sleeps');
    t.same(watch.read(1), []);
  });

  t.test(`${name}: a list and a watch from its revision leave no gap`, async (t) => {
    const store = await open(t);
    const seen = new Map<string, unknown>();
    const writer = (async () => {
      for (let i = 0; i < 200; i++) {
        await put(store, `/a/${i % 20}`, i);
        if (i % 3 === 0) await store.commit([{ key: `/a/${i % 20}` }]);
      }
    })();
    await settle();
    const { objects, keys, revision } = await store.list('/a/');
    for (const [i, key] of keys.entries()) seen.set(key, valueIn(objects[i]));
    const watch = await store.watch('/a/', revision, () => {});
    await writer;
    for (const event of readAll(watch)) {
      if (event.type === 'put') seen.set(event.key, valueIn(event.object));
      else seen.delete(event.key);
    }
    const now = await store.list('/a/');
    t.same([...seen].sort(), now.keys.map((key, i) => [key, valueIn(now.objects[i])]).sort());
  });

  t.test(`${name}: history that was compacted is refused, for lists and for watches`, async (t) => {
    const store = await open(t);
    for (let i = 0; i < 5; i++) await put(store, `/a/${i}`);
    const late = await store.watch('/a/', 1, () => {});
    const idle = await store.watch('/b/', 1, () => {});
    const revision = await store.revision();
    await store.compact(revision - 1);
    await t.rejects(store.list('/a/', { revision: revision - 2 }), CompactedError);
    await t.rejects(
      store.watch('/a/', revision - 2, () => {}),
      CompactedError,
    );
    t.throws(() => late.read(10), CompactedError);
    t.same((await store.list('/a/', { revision: revision - 1 })).keys.length, 4);
    const watch = await store.watch('/a/', revision - 1, () => {});
    t.same(brief(readAll(watch)), [`put /a/4 ${revision}`]);
    await put(store, '/b/1');
    t.equal(readAll(idle).length, 1, 'a watch that had nothing to read does not expire');
    t.equal((await store.list('/a/')).keys.length, 5, 'the present is not touched');
  });

  t.test(`${name}: a revision of the future is refused`, async (t) => {
    const store = await open(t);
    const revision = (await store.revision()) + 10;
    await t.rejects(store.list('/a/', { revision }), FutureRevisionError);
    await t.rejects(
      store.watch('/a/', revision, () => {}),
      FutureRevisionError,
    );
    await t.rejects(store.compact(revision), FutureRevisionError);
  });
}
