import t from 'tap';
import { ChangeTracker } from '../../src/proxy/change-tracker.ts';

const same = (a: number | undefined, b: number | undefined): boolean => a === b;

t.test('changes of one object accumulate to its first previous and its last current state', (t) => {
  const tracker = new ChangeTracker<number>(same);
  t.equal(tracker.update('a', undefined, 1), true);
  t.equal(tracker.update('a', 1, 2), true);
  t.equal(tracker.update('b', 7, undefined), true);
  t.same(tracker.drain(), [
    ['a', { previous: undefined, current: 2 }],
    ['b', { previous: 7, current: undefined }],
  ]);
  t.same(tracker.drain(), []);
  t.end();
});

t.test('an object that is back where it was is no change', (t) => {
  const tracker = new ChangeTracker<number>(same);
  tracker.update('a', 1, 2);
  t.equal(tracker.update('a', 2, 1), false);
  t.equal(tracker.size, 0);
  t.equal(tracker.update('b', 3, 3), false, 'nor is an update that changes nothing');
  t.end();
});
