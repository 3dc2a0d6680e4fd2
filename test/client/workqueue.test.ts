import t from 'tap';
import { WorkQueue } from '../../src/client/workqueue.ts';
import { VirtualClock } from '../../src/lib/clock.ts';

t.test('a key waits at most once, in the order of adding', async (t) => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const done: string[] = [];
  for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
  t.equal(queue.length, 3);
  const running = queue.run((key) => void done.push(key));
  await clock.run(1);
  t.same(done, ['a', 'b', 'c']);
  t.ok(queue.idle);
  queue.close();
  await running;
});

t.test('a key is never worked on twice at once, and one added meanwhile is worked on again', async (t) => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const release: (() => void)[] = [];
  const started: string[] = [];
  const running = queue.run((key) => {
    started.push(key);
    return new Promise<void>((resolve) => release.push(resolve));
  }, 3);
  queue.add('a');
  await clock.run(1);
  queue.add('a');
  queue.add('a');
  queue.add('b');
  await clock.run(1);
  t.same(started, ['a', 'b']);
  release.shift()!();
  await clock.run(1);
  t.same(started, ['a', 'b', 'a']);
  queue.close();
  for (const resolve of release) resolve();
  await running;
});

t.test('failures come back with growing delays, success forgets them', async (t) => {
  const clock = new VirtualClock();
  const errors: unknown[] = [];
  const queue = new WorkQueue({ clock, baseDelayUs: 1000, maxDelayUs: 5000, onError: (error) => errors.push(error) });
  const at: number[] = [];
  const running = queue.run(() => {
    at.push(clock.nowUs());
    if (at.length < 6) throw new Error(`try ${at.length}`);
  });
  queue.add('a');
  await clock.run(100_000);
  t.same(at, [0, 1000, 3000, 7000, 12_000, 17_000]);
  t.equal(errors.length, 5);
  t.equal(queue.requeues('a'), 0);
  queue.close();
  await running;
});

t.test('of several delays for a key the shortest counts', async (t) => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const at: number[] = [];
  const running = queue.run(() => void at.push(clock.nowUs()));
  queue.addAfter('a', 5000);
  queue.addAfter('a', 2000);
  queue.addAfter('a', 9000);
  queue.addAfter('b', 0);
  await clock.run(20_000);
  t.same(at, [0, 2000]);
  queue.close();
  await running;
});

t.test('a closed queue takes nothing and its workers end', async (t) => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const running = queue.run(() => void t.fail('worked after close'), 4);
  queue.addAfter('late', 1000);
  await clock.run(1);
  queue.close();
  queue.close();
  queue.add('a');
  queue.addRateLimited('b');
  await clock.run(1e6);
  await running;
  t.equal(queue.length, 0);
});
